"""Phrases between blanks: which of many occur in a text, all blanks being the same character, U+0020.

A phrase occurs iff `" " + phrase + " "` is a substring of `" " + text + " "`. Both are cut at every blank, so that two
blanks in a row leave an empty word; a phrase is then a run of equal words. Single words are looked up in one set
operation, longer phrases under their first two words, so that half a million phrases cost little more than a thousand.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import pairwise


class Phrases:
    """Looks phrases up.

    Args:
        owners: The classes of each phrase, by phrase.
    """

    def __init__(self, owners: Mapping[str, Iterable[int]]) -> None:
        self._single: dict[str, tuple[int, ...]] = {}
        self._longer: dict[str, list[tuple[str, tuple[int, ...]]]] = {}
        for phrase, classes in owners.items():
            words = phrase.split(" ", 2)
            if len(words) == 1:
                self._single[phrase] = tuple(classes)
            else:
                pair = f"{words[0]} {words[1]}"
                self._longer.setdefault(pair, []).append((f" {phrase} ", tuple(classes)))
        self._words, self._pairs = frozenset(self._single), frozenset(self._longer)
        self._begins = frozenset(pair.partition(" ")[0] for pair in self._pairs)

    def found(self, text: str) -> list[int]:
        """List the classes of all phrases that occur in a text, ascending."""
        words, classes = text.split(" "), set[int]()
        for word in self._words.intersection(words):
            classes.update(self._single[word])
        if not self._begins.isdisjoint(words):
            padded = f" {text} "
            for pair in self._pairs.intersection([f"{first} {second}" for first, second in pairwise(words)]):
                for phrase, owners in self._longer[pair]:
                    if phrase in padded:
                        classes.update(owners)
        return sorted(classes) if classes else []


def owners(pairs: Iterable[tuple[str, int]]) -> dict[str, list[int]]:
    """Gather the classes of each phrase."""
    gathered: dict[str, list[int]] = {}
    for phrase, position in pairs:
        gathered.setdefault(phrase, []).append(position)
    return gathered
