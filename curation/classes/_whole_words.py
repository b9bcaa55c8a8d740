"""Regular expressions of many classes, each tried only on texts that hold all words of one of its names.

A name that its expression takes literally can match only where each of its runs of letters, digits and underscores is
a whole such run of the text: inside the name the other characters bound it, at its ends the expression does. So a set
of the text's runs says which expressions are worth trying. Where that argument does not hold, for a name with
characters that mean something in an expression or beyond ASCII, the class is always tried.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from indexes.errors import PlanError

_RUN = re.compile(r"\w+")
_MEANING = frozenset(r".^$*+?{}[]\|()")
_FOLDS = str.maketrans({"\u0130": "i", "\u0131": "i", "\u017f": "s", "\u212a": "k"})
"""The four letters beyond ASCII that equal one of ASCII where case is ignored."""


def folded(text: str) -> str:
    """Write letters so that those that are equal with case ignored, to one of ASCII, are the same."""
    return text.lower() if text.isascii() else text.translate(_FOLDS).lower()


class WholeWords:
    """Finds the classes whose expression matches.

    Args:
        names: The names of each class.
        literal: Whether names are taken literally; otherwise each is a piece of an expression.

    Raises:
        PlanError: If the names of a class are no expression.
    """

    def __init__(self, names: Sequence[Sequence[str]], literal: bool) -> None:
        self._search = [_expression(position, each, literal).search for position, each in enumerate(names)]
        self._always: list[int] = []
        self._longest: dict[str, list[tuple[frozenset[str], int]]] = {}
        for position, each in enumerate(names):
            runs = [frozenset(_RUN.findall(folded(name))) for name in each if _screened(name, literal)]
            if len(runs) < len(each):
                self._always.append(position)
                continue
            for words in runs:
                rarest = max(words, key=lambda word: (len(word), word))
                self._longest.setdefault(rarest, []).append((words, position))

    def found(self, text: str) -> list[int]:
        """List the classes whose expression matches somewhere in a text, ascending."""
        runs = frozenset(_RUN.findall(folded(text)))
        worth = set(self._always)
        for word in runs & self._longest.keys():
            worth.update(position for words, position in self._longest[word] if words <= runs)
        return sorted(position for position in worth if self._search[position](text))


def _expression(position: int, names: Sequence[str], literal: bool) -> re.Pattern[str]:
    if literal:
        return re.compile(rf"(?<!\w)({'|'.join(map(re.escape, names))})(?!\w)", re.IGNORECASE)
    try:
        return re.compile(rf"\b({'|'.join(names)})\b", re.IGNORECASE)
    except re.error as error:
        raise PlanError(
            f"whole_word_exact takes names as pieces of a regular expression, and those of class {position} "
            f"({', '.join(names)}) make none: {error}. Take whole_word, which takes names literally"
        ) from None


def _screened(name: str, literal: bool) -> bool:
    return name.isascii() and bool(_RUN.search(name)) and (literal or not _MEANING & set(name))
