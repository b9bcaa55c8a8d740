"""What a caption's length, language and content are, and whether it names its class."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Annotated, Any, ClassVar, Self

import pyarrow as pa
from pydantic import Field

from curation.classes import class_list, digest_of
from curation.measure import CAPTION, Block, Column, Columns, Measure, Model
from curation.measures._content_words import FUNCTION_WORDS, PICTURE_WORDS, says, shown, tokens
from curation.measures._languages import language
from curation.measures.of_caption._attribute_words import attributes_of
from curation.plugin_options import pinned
from indexes.errors import PlanError


@dataclass(frozen=True, slots=True)
class Captions(Measure):
    """Words, characters, language, content words and attributes of a caption; a missing caption has none of them.

    Words are what Python's `str.split()` gives; characters are code points, untrimmed; the language is fastText's
    likeliest (DataComp `baselines/apply_filter.py`, the basic filter). Content words are distinct, without English
    words of grammar. Attributes are those of them that say how something looks: colours, materials, sizes, shapes,
    patterns, surfaces, ages, by plain lists of English words (`of_caption/_attribute_words.py`).

    Attributes:
        names: A class list as `classes` takes it. With it, `label_only` says which captions name a class and say no
            more: their content words, but for "photo" and the like, are those of one name (arXiv 2310.04971).
        label: With names, the pool's column of a sample's own class, by its id, one of its names or its position:
            `class_named` says whether the caption has a name of it as a phrase, whatever the case. (ImageNet-Captions
            names the class in 94 % of its texts, arXiv 2205.01397.) A label that is no class of the list is NULL.
        digest: Of the class list. It is filled in; a plan that gives it is held to it.
    """

    names: str | None = None
    label: Annotated[str, Field(strict=True, min_length=1)] | None = None
    digest: str | None = None
    needs: ClassVar[tuple[str, ...]] = (CAPTION,)
    version: ClassVar[int] = 3

    def requires(self) -> tuple[str, ...]:
        """The caption, and the sample's own class where it is looked for."""
        return (CAPTION,) if self.label is None else tuple(dict.fromkeys((CAPTION, self.label)))

    def resolved(self, where: str) -> Self:
        """Find out whether the class list can be read.

        Raises:
            PlanError: If it is wrong or missing, or not the one of the digest.
        """
        if self.names is None:
            if self.label is not None:
                raise PlanError(
                    f"{where}.label names the column {self.label}, and no class list says what a class is called; give "
                    f"{where}.names beside it"
                )
            return self
        found = digest_of(self.names, f"{where}.names")
        digest = pinned(self.digest, found, f"{where}.names: {self.names}", where)
        _labels(self.names, digest)
        return replace(self, digest=digest)

    def columns(self) -> tuple[Column, ...]:
        """Counts, the language, attributes, and where classes are given what the caption says of them."""
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
            Column(
                "attributes", pa.list_(pa.string()), "those of them that say how something looks, in order"
            ),
        )
        label = Column("label_only", pa.bool_(), "the caption says no more than one name of a class")
        named = Column("class_named", pa.bool_(), f"the caption names the class that {self.label} says")
        more = () if self.names is None else (label,) if self.label is None else (label, named)
        return (*counts, *more)

    def apply(self, block: Block, model: Model) -> Columns:
        """Look caption by caption."""
        texts = block.columns[CAPTION].to_pylist()
        words = [None if text is None else tokens(text) for text in texts]
        content = [None if of is None else frozenset(of) - FUNCTION_WORDS for of in words]
        found = {
            "words": _each(texts, lambda text: len(text.split()), pa.int32()),
            "characters": _each(texts, len, pa.int32()),
            "content_words": _each(content, len, pa.int32()),
            "attributes": _each(content, attributes_of, pa.list_(pa.string())),
        }
        answers = [None if text is None else language(text) for text in texts]
        found["language"] = pa.array([answer and answer[0] for answer in answers], pa.string())
        found["language_score"] = pa.array([answer and answer[1] for answer in answers], pa.float32())
        if self.names is not None:
            digest = self.digest or digest_of(self.names, "names")
            labels = _labels(self.names, digest)
            found["label_only"] = _each(content, lambda of: (of - PICTURE_WORDS) in labels, pa.bool_())
            if self.label is not None:
                own = block.columns[self.label].cast(pa.string()).to_pylist()
                phrases = _phrases(self.names, digest)
                named = [
                    _named(of, phrases.get(plain_label(label or "")))
                    for of, label in zip(words, own, strict=True)
                ]
                found["class_named"] = pa.array(named, pa.bool_())
        return found


def plain_label(label: str) -> str:
    """Bring a label, an id or a name into one form: its words, or the text where it has none."""
    return " ".join(tokens(label.replace("_", " "))) or label


def _named(words: Sequence[str] | None, names: Sequence[Sequence[str]] | None) -> bool | None:
    return None if words is None or names is None else any(says(words, name) for name in names)


def _each(texts: Sequence[Any], say: Callable[[Any], Any], kind: Any) -> Any:
    """Lay out what is said of each text; NULL where there is none."""
    return pa.array([None if text is None else say(text) for text in texts], kind)


@lru_cache(maxsize=4)
def _labels(names: str, digest: str) -> frozenset[frozenset[str]]:
    found = class_list(names, digest, "names")
    return frozenset(words for each in found.names for name in each if (words := shown(name)))


@lru_cache(maxsize=4)
def _phrases(names: str, digest: str) -> dict[str, list[list[str]]]:
    """List the names of each class, as words, by its position, id and names; a name of two classes means both."""
    found = defaultdict[str, list[list[str]]](list)
    listed = class_list(names, digest, "names")
    for at, (label, own) in enumerate(zip(listed.ids, listed.names, strict=True)):
        phrases = [words for name in own if (words := tokens(name.replace("_", " ")))]
        for called in {str(at), plain_label(label), *map(plain_label, own)}:
            found[called] += phrases
    return dict(found)
