"""Phrases between blanks: which of many occur in a text, all blanks being the same character, U+0020.

A phrase occurs iff `" " + phrase + " "` is a substring of `" " + text + " "`. Both are cut at every blank, so that two
blanks in a row leave an empty word; a phrase is then a run of equal words. Each phrase is looked up under its first
word, so that a text costs one set operation and whatever phrases begin with one of its words.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping


class Phrases:
    """Looks phrases up.

    Args:
        owners: The classes of each phrase, by phrase.
    """

    def __init__(self, owners: Mapping[str, Iterable[int]]) -> None:
        self._single: dict[str, tuple[int, ...]] = {}
        self._longer: dict[str, list[tuple[str, tuple[int, ...]]]] = {}
        for phrase, classes in owners.items():
            first, blank, _ = phrase.partition(" ")
            if blank:
                self._longer.setdefault(first, []).append((f" {phrase} ", tuple(classes)))
            else:
                self._single[first] = tuple(classes)
        self._first = frozenset({*self._single, *self._longer})

    def found(self, text: str) -> list[int]:
        """List the classes of all phrases that occur in a text, ascending."""
        words = self._first.intersection(text.split(" "))
        if not words:
            return []
        padded, classes = f" {text} ", set[int]()
        for word in words:
            classes.update(self._single.get(word, ()))
            for phrase, owners in self._longer.get(word, ()):
                if phrase in padded:
                    classes.update(owners)
        return sorted(classes)


def owners(pairs: Iterable[tuple[str, int]]) -> dict[str, list[int]]:
    """Gather the classes of each phrase."""
    gathered: dict[str, list[int]] = {}
    for phrase, position in pairs:
        gathered.setdefault(phrase, []).append(position)
    return gathered
