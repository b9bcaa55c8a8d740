"""Class frequency as the study of long-tailed pools counts it."""

from __future__ import annotations

import re
from functools import lru_cache

from curation.classes._bags import Bags
from curation.classes._class_lists import NamedClasses
from curation.classes._matcher import Matcher
from curation.classes._wordnet import NOUN, lexicon, shortest_noun

VETOES = {
    "n02389026": "plant herb flower leaf",
    "n03535780": "chart plot graph diagram",
    "n02422699": "car automobile vehicle chevy",
    "n02879718": "tie",
    "n02277742": "hair",
    "n02412080": "car truck automobile vehicle dodge logo computer memory random access chip review",
    "n03126707": "bird fish water wing leg zoo",
    "n04347754": "sandwich bread italian meatball grill menu",
    "n01756291": "missile army military resort park",
}
"""Words that say that another thing of that name is meant, by class: sorrel, horizontal bar, impala, bow, ringlet, ram,
crane (the machine), submarine, sidewinder."""
CONTRACTIONS = {
    "cannot": ("can", "not"),
    "gimme": ("gim", "me"),
    "gonna": ("gon", "na"),
    "gotta": ("got", "ta"),
    "lemme": ("lem", "me"),
    "wanna": ("wan", "na"),
}
"""What NLTK's tokeniser splits of words without an apostrophe."""
_LETTERS = re.compile("[a-z]+")
REMEMBERED = 1 << 17


class FrequencyMatcher(Matcher):
    """A class is named where all words of a name of its are in the caption (arXiv 2405.21070, `calc_frequency`).

    The text is lower-cased, and what is not a-z separates words: "Café" gives "caf", a lone "s" is a word. NLTK's six
    contractions are split ("cannot" is "can", "not"), and each word becomes the shortest noun of WordNet that it may be
    a form of. A word of `VETOES` in the caption rules its class out, and no other. Names are treated as captions are.

    The published counts are of the authors' names, which differ from WordNet's in 258 classes ("crane bird"): give them
    as `names`, an object by WordNet id. Vetoes go by WordNet id.
    """

    needs_wordnet = True

    def __init__(self, classes: NamedClasses) -> None:
        nouns = lexicon(NOUN)
        self._lemma = lru_cache(REMEMBERED)(lambda word: shortest_noun(nouns, word))
        vetoes = {
            position: frozenset(VETOES[name].split())
            for position, name in enumerate(classes.ids)
            if name in VETOES
        }
        self._bags = Bags(([self.bag(name) for name in names] for names in classes.names), vetoes)

    def bag(self, text: str) -> set[str]:
        """Gather the lemmas of a text."""
        words = set(_LETTERS.findall(text.lower()))
        for word in CONTRACTIONS.keys() & words:
            words.remove(word)
            words.update(CONTRACTIONS[word])
        return set(map(self._lemma, words))

    def match(self, text: str) -> list[int]:
        """Find names as bags of lemmas."""
        return self._bags.found(self.bag(text))
