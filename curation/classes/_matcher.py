"""What a matcher is: made of a class list once, it then says of any text which classes the text names."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from curation.classes._class_lists import NamedClasses


class Matcher(ABC):
    """A pure function of text, made of a class list.

    Raises:
        PlanError: When made, if the class list does not suit it, or if it needs WordNet and there is none.
    """

    needs_wordnet: ClassVar[bool] = False
    """Whether it reads WordNet's files; their digest is then part of what decides its answers."""

    @abstractmethod
    def __init__(self, classes: NamedClasses) -> None:
        """Prepare for a class list."""

    @abstractmethod
    def match(self, text: str) -> list[int]:
        """Say which classes a text names.

        Args:
            text: Any string: empty, a megabyte, with NUL, lone surrogates or marks of direction.

        Returns:
            Positions in the class list, ascending, each once.
        """
