"""DataComp's text_based rule."""

from __future__ import annotations

import re
from functools import lru_cache

from curation.classes._class_lists import NamedClasses
from curation.classes._matcher import Matcher
from curation.classes._wordnet import PARTS, lexicon
from indexes.errors import PlanError

_ID = re.compile(r"n\d{8}")
REMEMBERED = 1 << 17


class TextBasedMatcher(Matcher):
    """A class is named by a word whose first sense is the class (DataComp `baselines/apply_filter.py`).

    Words are what `str.split()` gives, marks included: "zebra," is no word of WordNet. Of a word, WordNet's first sense
    counts, over nouns, verbs, adjectives and adverbs in this order, and of it the offset alone, whatever the part of
    speech: an adjective at the offset of a class's noun names that class. DataComp takes `names: imagenet-21k`, and a
    caption passes that names any class; the language is another rule's matter.

    Classes are known by their WordNet 3.0 ids (n02084071), and their names play no part.
    """

    needs_wordnet = True

    def __init__(self, classes: NamedClasses) -> None:
        wrong = next((name for name in classes.ids if not _ID.fullmatch(name)), None)
        if wrong is not None:
            raise PlanError(
                f"text_based knows classes by WordNet id, n and 8 digits, and one is called {wrong!r}; take names: "
                'imagenet-21k, or a JSON object by id, {"n02084071": ["dog"]}'
            )
        self._positions = {int(name[1:]): position for position, name in enumerate(classes.ids)}
        self._lexicons = [lexicon(part) for part in PARTS]
        self._class_of = lru_cache(REMEMBERED)(self._looked_up)

    def _looked_up(self, word: str) -> int | None:
        """Find the class of a word's first sense."""
        form = word.lower()
        for each in self._lexicons:
            for lemma in each.lemmas(form)[:1]:
                return self._positions.get(each.first[lemma])
        return None

    def match(self, text: str) -> list[int]:
        """Look each word up."""
        found = {self._class_of(word) for word in text.split()}
        return sorted(position for position in found if position is not None)
