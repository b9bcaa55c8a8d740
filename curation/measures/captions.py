"""What a caption's length, language and content are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, ClassVar, Self

import pyarrow as pa

from curation.classes import class_list, digest_of
from curation.measure import CAPTION, Block, Column, Columns, Measure, Model
from curation.measures._content_words import content_words, shown
from curation.measures._languages import language
from indexes.errors import PlanError


@dataclass(frozen=True, slots=True)
class Captions(Measure):
    """Words, characters, language and content words of a caption; a missing caption has none of them.

    Words are what Python's `str.split()` gives; characters are code points, untrimmed; the language is fastText's
    likeliest (DataComp `baselines/apply_filter.py`, the basic filter). Content words are distinct, without English
    words of grammar.

    Attributes:
        names: A class list as `classes` takes it. With it, `label_only` says which captions name a class and say no
            more: their content words, but for "photo" and the like, are those of one name (arXiv 2310.04971).
        digest: Of the class list. It is filled in; a plan that gives it is held to it.
    """

    names: str | None = None
    digest: str | None = None
    needs: ClassVar[tuple[str, ...]] = (CAPTION,)
    version: ClassVar[int] = 2

    def resolved(self, where: str) -> Self:
        """Find out whether the class list can be read.

        Raises:
            PlanError: If it is wrong, or not the one of the digest.
        """
        if self.names is None:
            return self
        digest = digest_of(self.names, f"{where}.names")
        if self.digest not in (None, digest):
            raise PlanError(
                f"{where}.names: {self.names} is not what it was: its digest is {digest}, {where}.digest says "
                f"{self.digest}. Bring the former file back, or leave {where}.digest out"
            )
        _labels(self.names, digest)
        return replace(self, digest=digest)

    def columns(self) -> tuple[Column, ...]:
        """Counts, the language, and where classes are given whether a caption says no more than one."""
        counts = (
            Column("words", pa.int32(), "words of the caption, by white space"),
            Column("characters", pa.int32(), "code points of the caption, white space included"),
            Column("language", pa.string(), "likeliest language by fastText, as its code: en"),
            Column("language_score", pa.float32(), "fastText's probability of that language, 0 to 1"),
            Column(
                "content_words",
                pa.int32(),
                "distinct words of the caption that are no English words of grammar",
            ),
        )
        label = Column("label_only", pa.bool_(), "the caption says no more than one name of a class")
        return counts if self.names is None else (*counts, label)

    def apply(self, block: Block, model: Model) -> Columns:
        """Look caption by caption."""
        texts = block.columns[CAPTION].to_pylist()
        found = {
            "words": _each(texts, lambda text: len(text.split()), pa.int32()),
            "characters": _each(texts, len, pa.int32()),
            "content_words": _each(texts, lambda text: len(content_words(text)), pa.int32()),
        }
        answers = [None if text is None else language(text) for text in texts]
        found["language"] = pa.array([answer and answer[0] for answer in answers], pa.string())
        found["language_score"] = pa.array([answer and answer[1] for answer in answers], pa.float32())
        if self.names is not None:
            labels = _labels(self.names, self.digest or digest_of(self.names, "names"))
            found["label_only"] = _each(texts, lambda text: shown(text) in labels, pa.bool_())
        return found


def _each(texts: Sequence[str | None], say: Callable[[str], Any], kind: Any) -> Any:
    """Lay out what is said of each text; NULL where there is none."""
    return pa.array([None if text is None else say(text) for text in texts], kind)


@lru_cache(maxsize=4)
def _labels(names: str, digest: str) -> frozenset[frozenset[str]]:
    found = class_list(names, digest, "names")
    return frozenset(words for each in found.names for name in each if (words := shown(name)))
