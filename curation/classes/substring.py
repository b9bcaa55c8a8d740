"""Names anywhere in a text."""

from __future__ import annotations

import ahocorasick_rs

from curation.classes._class_lists import NamedClasses
from curation.classes._matcher import Matcher


class SubstringMatcher(Matcher):
    """A class is named where one of its names is a substring (YFCC-15M-Cls of arXiv 2205.01397, sec. 4).

    Case counts, and words do not: "kite" is in "kitesurfing". All names are looked for at once, by an automaton over
    the bytes of UTF-8, in which a character never begins inside another.
    """

    def __init__(self, classes: NamedClasses) -> None:
        pairs = [(_bytes(name), position) for position, names in enumerate(classes.names) for name in names]
        self._positions = [position for _, position in pairs]
        self._automaton = ahocorasick_rs.BytesAhoCorasick([name for name, _ in pairs])

    def match(self, text: str) -> list[int]:
        """Find every name, those inside others too."""
        hits = self._automaton.find_matches_as_indexes(_bytes(text), overlapping=True)
        return sorted({self._positions[number] for number, _, _ in hits})


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
