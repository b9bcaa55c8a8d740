"""MetaCLIP's rule: which entries of a list, up to half a million, stand in a text."""

from __future__ import annotations

from curation.classes._class_lists import NamedClasses
from curation.classes._matcher import Matcher
from curation.classes._phrases import Phrases, owners

SET_APART = (",", ".", ";", ":", "?", "!", "`")
BLANK = ("\t", "\n", "\r")


def spaced(text: str) -> str:
    """Pad a text with a blank at both ends and around each mark; tabs and ends of lines become blanks."""
    padded = f" {text} "
    for mark in SET_APART:
        padded = padded.replace(mark, f" {mark} ")
    for character in BLANK:
        padded = padded.replace(character, " ")
    return padded


class MetaclipMatcher(Matcher):
    """An entry is found where it stands between blanks (arXiv 2309.16671; MetaCLIP `spacing`, `substr_matching`).

    The text alone is spaced, the entries are not: "St. Louis" is never found, "St" is. Case counts. The class list is
    the list of entries; 500,000 take some 200 MB.
    """

    def __init__(self, classes: NamedClasses) -> None:
        pairs = ((name, position) for position, names in enumerate(classes.names) for name in names)
        self._phrases = Phrases(owners(pairs))

    def match(self, text: str) -> list[int]:
        """Find entries between blanks."""
        return self._phrases.found(spaced(text)[1:-1])
