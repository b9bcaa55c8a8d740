"""The rule of CC12M-Cls and YFCC-15M-Cls, as its authors' code has it."""

from __future__ import annotations

from curation.classes._class_lists import NamedClasses
from curation.classes._matcher import Matcher
from curation.classes._whole_words import WholeWords


class WholeWordExactMatcher(Matcher):
    r"""A class is named where `\b(name|name|…)\b` matches, case ignored (arXiv 2405.21070, `process_wnid`).

    Names are pieces of the expression as they are, not escaped: "R.V." matches "rave" and not "R.V. trip", whose last
    dot is followed by no word. `whole_word` takes names literally. A caption may name several classes.
    """

    def __init__(self, classes: NamedClasses) -> None:
        self._words = WholeWords(classes.names, literal=False)

    def match(self, text: str) -> list[int]:
        """Find classes whose expression matches."""
        return self._words.found(text)
