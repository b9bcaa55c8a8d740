"""What kind of word each word of a caption is."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Annotated, ClassVar, Self

import pyarrow as pa
from pydantic import Field

from curation.classes import wordnet_digest
from curation.classes._wordnet import read_file, wordnet_folder
from curation.measure import CAPTION, Block, Column, Columns, Measure, Model
from curation.measures._content_words import FUNCTION_WORDS, folded
from curation.measures.of_caption._attribute_words import KINDS, kinds_of_word
from curation.measures.of_caption._parts_of_speech import COUNTS, part_of_speech
from curation.plugin_options import pinned

SPEECH = {"nouns": "noun", "adjectives": "adj"}
"""Kinds that WordNet tells, and what it calls them."""
MARKS = ".,;:!?\"'`()[]{}<>"
"""What is taken off a word's ends before it is looked up."""
_BLANK = re.compile(r"[\t\n\f\r ]+")


@dataclass(frozen=True, slots=True)
class WordKinds(Measure):
    """The places of a caption's colours, materials, sizes, shapes, patterns, surfaces, ages and numbers.

    They are what captions are made less rich by (arXiv 2310.04971). Words are divided by blanks, tabs and ends
    of lines, as the rule `caption-detail` divides them; the first is 1. A word is looked up in lower case,
    composed (NFC), without what is not seen, punctuation around it and 's. The lists are in
    `_attribute_words.py`. With WordNet, nouns and adjectives are told as well: what a word, or else its last
    piece after a hyphen, mostly is; words of grammar are neither.

    Attributes:
        parts_of_speech: Whether nouns and adjectives are told.
        digest: Of WordNet's files, where they are read. It is filled in; a plan that gives it is held to it.
    """

    parts_of_speech: Annotated[bool, Field(strict=True)] = False
    digest: str | None = None
    needs: ClassVar[tuple[str, ...]] = (CAPTION,)

    def resolved(self, where: str) -> Self:
        """Find WordNet, where it is needed.

        Raises:
            PlanError: If it is not there, or not the one of the digest.
        """
        if not self.parts_of_speech:
            return self
        counts = read_file(COUNTS, f"{where}.parts_of_speech", wordnet_folder())
        files = wordnet_digest(f"{where}.parts_of_speech")
        digest = pinned(self.digest, sha256(files.encode() + counts).hexdigest(), f"{where}: WordNet", where)
        return replace(self, digest=digest)

    def columns(self) -> tuple[Column, ...]:
        """A list of places for each kind."""
        told = (*KINDS, *(SPEECH if self.parts_of_speech else ()))
        return tuple(
            Column(kind, pa.list_(pa.int32()), f"places of the caption's {kind}, the first word is 1")
            for kind in told
        )

    def apply(self, block: Block, model: Model) -> Columns:
        """Look word by word."""
        kinds = [column.name for column in self.columns()]
        found: dict[str, list[list[int] | None]] = {kind: [] for kind in kinds}
        for text in block.columns[CAPTION].to_pylist():
            for kind in kinds:
                found[kind].append(None if text is None else [])
            for place, word in enumerate(_BLANK.split(text or ""), 1):
                for kind in self._kinds(word):
                    found[kind][-1].append(place)  # type: ignore[union-attr]
        return {kind: pa.array(places, pa.list_(pa.int32())) for kind, places in found.items()}

    def _kinds(self, word: str) -> list[str]:
        plain = plain_word(word)
        if not plain:
            return []
        kinds = sorted(kinds_of_word(plain))
        if self.parts_of_speech and plain not in FUNCTION_WORDS:
            part = part_of_speech(plain) or part_of_speech(plain.rpartition("-")[2])
            kinds += [kind for kind, of in SPEECH.items() if of == part]
        return kinds


def plain_word(word: str) -> str:
    """Bring a word of a caption into the form in which it is looked up."""
    return folded(word).strip(MARKS).removesuffix("'s")
