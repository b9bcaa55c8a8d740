"""Names as bags of words: a name is found where all of its words are among a text's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set


class Bags:
    """Finds the names whose words a text has, in any order.

    Args:
        names: For each class, the words of each of its names; a name without words is never found.
        vetoes: By class, words of which the text may have none.
    """

    def __init__(self, names: Iterable[Iterable[Set[str]]], vetoes: Mapping[int, Set[str]]) -> None:
        self._vetoes = vetoes
        self._under: dict[str, list[tuple[frozenset[str], int]]] = {}
        for position, each in enumerate(names):
            for words in each:
                if words:
                    # The longest word is seldom in a text that does not have the others.
                    key = max(words, key=lambda word: (len(word), word))
                    self._under.setdefault(key, []).append((frozenset(words), position))

    def found(self, bag: Set[str]) -> list[int]:
        """List the classes of which a name is in a bag of words and no veto is, ascending."""
        classes = set()
        for word in self._under.keys() & bag:
            for words, position in self._under[word]:
                if words <= bag and self._vetoes.get(position, frozenset()).isdisjoint(bag):
                    classes.add(position)
        return sorted(classes)
