"""Concept frequency by text: the nouns of a caption."""

from __future__ import annotations

import re
from functools import lru_cache

from curation.classes._bags import Bags
from curation.classes._class_lists import NamedClasses
from curation.classes._matcher import Matcher
from curation.classes._wordnet import NOUN, PARTS, lexicon

_WORD = re.compile(r"[^\W_]+")
REMEMBERED = 1 << 17


class NounLemmasMatcher(Matcher):
    """A class is named where all nouns of one of its names are among the caption's (arXiv 2404.04125, by text).

    Words are runs of letters and digits in lower case, lemmatised by WordNet. As a noun counts what may be one, and as
    a proper noun what WordNet does not know at all; the paper ("No Zero-Shot Without Exponential Data") asks a tagger,
    spaCy, so its counts are others. Words of a name that are no nouns are dropped, as the paper drops words that its
    index lacks. `frequency` counts by another rule, and the two disagree.
    """

    needs_wordnet = True

    def __init__(self, classes: NamedClasses) -> None:
        self._nouns, *self._others = (lexicon(part) for part in (NOUN, *PARTS[1:]))
        self._noun = lru_cache(REMEMBERED)(self._looked_up)
        self._bags = Bags(([self.nouns(name) for name in names] for names in classes.names), {})

    def _looked_up(self, word: str) -> str | None:
        """Lemmatise a noun; None for a word that is none."""
        for lemma in self._nouns.lemmas(word)[:1]:
            return lemma
        return None if any(each.lemmas(word) for each in self._others) else word

    def nouns(self, text: str) -> set[str]:
        """Gather the nouns of a text."""
        return {noun for word in set(_WORD.findall(text.lower())) if (noun := self._noun(word)) is not None}

    def match(self, text: str) -> list[int]:
        """Find names as bags of nouns."""
        return self._bags.found(self.nouns(text))
