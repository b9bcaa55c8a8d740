"""What part of speech a word mostly is, by WordNet's own counts of its senses."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from curation.classes._wordnet import PARTS, lexicon, read_file, wordnet_folder

COUNTS = "cntlist.rev"
"""WordNet's file of how often each sense stands in its tagged texts (cntlist(5WN))."""
_TYPES = {"1": "noun", "2": "verb", "3": "adj", "4": "adv", "5": "adj"}
"""Kinds of synset in a sense's key; 5 are adjectives that stand beside another."""


def part_of_speech(word: str) -> str | None:
    """Name the part of speech, of `PARTS`, that a word most often has.

    That is the one whose senses of the word's lemmas are counted most often in WordNet's tagged texts; of several, and
    where none is counted, the first in the order noun, adjective, verb, adverb of those that know the word.

    Args:
        word: In lower case.

    Returns:
        None where WordNet does not know it.

    Raises:
        PlanError: If WordNet is not there.
    """
    return _part(word, str(wordnet_folder()))


@lru_cache(maxsize=1 << 18)
def _part(word: str, folder: str) -> str | None:
    counted = _counts(folder)
    known = {part: lexicon(part).lemmas(word) for part in sorted(PARTS, key=_order)}
    found = {part: sum(counted[part][lemma] for lemma in of) for part, of in known.items() if of}
    return max(found, key=lambda part: (found[part], -_order(part)), default=None)


def _order(part: str) -> int:
    return ("noun", "adj", "verb", "adv").index(part)


@lru_cache(maxsize=2)
def _counts(folder: str) -> Mapping[str, Counter[str]]:
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for line in read_file(COUNTS, "a part of speech", Path(folder)).decode("utf-8", "replace").splitlines():
        key, _, times = line.split()
        lemma, _, sense = key.partition("%")
        counts[_TYPES[sense[0]]][lemma] += int(times)
    return counts
