"""What kind of leakage a near pair may be, and how sure one can be of it.

The vocabulary is that of "Data Leakage in Visual Datasets" (arXiv 2508.17416): leakage by degree (hard:
the same image; soft: a near-copy), by modality (the image alone, or with its class name or caption) and by
coverage (within one dataset's own splits, or from another dataset). Only equal bytes prove identity. A high
similarity does not: smooth backgrounds alone can give it. So pairs are shown and counted, never asserted to
be copies, and a crowd of equally near samples lowers the stated confidence.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

# Above this share of crowded queries, the threshold says more about the encoder than about copies.
CROWDED_SHARE = 0.5


class Modality(IntEnum):
    """What a leaking sample brings along with the image; a higher value leaks more."""

    UNKNOWN = 0
    IMAGE = 1
    CLASS_NAME = 2
    CAPTION = 3


MODALITY_NAMES = ("text not known", "image only", "with its class name", "with its caption")


def words(text: str | None) -> tuple[str, ...]:
    """Split text into words: compatibility-normalised, case folded, separators (also `_`, `-`) dropped."""
    folded = unicodedata.normalize("NFKC", text or "").casefold()
    return tuple(re.findall(r"[^\W_]+", folded))


@dataclass(frozen=True, slots=True)
class Text:
    """The words that a query or a sample brings: its caption and its class name, each perhaps empty."""

    caption: tuple[str, ...]
    label: tuple[str, ...]

    @staticmethod
    def of(caption: str | None, label: str | None) -> Text:
        """Split a caption and a class name into words."""
        return Text(words(caption), words(label))


def modality(query: Text, sample: Text) -> Modality:
    """Say what a pool sample shares with a query beside the image.

    The caption counts where both have the same words in the same order. The class name counts where the
    sample's own class is the same, or its caption has the class name's words in a row (a plural "s" on the
    last one is let pass).
    """
    if query.caption and query.caption == sample.caption:
        return Modality.CAPTION
    if query.label and (query.label == sample.label or _contains(sample.caption, query.label)):
        return Modality.CLASS_NAME
    known = (query.caption or query.label) and (sample.caption or sample.label)
    return Modality.IMAGE if known else Modality.UNKNOWN


def _contains(caption: tuple[str, ...], name: tuple[str, ...]) -> bool:
    plural = (*name[:-1], name[-1] + "s")
    starts = range(len(caption) - len(name) + 1)
    return any(caption[at : at + len(name)] in (name, plural) for at in starts)


def coverage(dataset: str | None, benchmark_dataset: str | None) -> str:
    """Say whether two sets are splits of one dataset; unknown unless both datasets are named."""
    if dataset is None or benchmark_dataset is None:
        return "not stated"
    return "within one dataset" if dataset == benchmark_dataset else "across datasets"


@dataclass(frozen=True, slots=True)
class Leakage:
    """Queries of one benchmark whose nearest sample has one degree of similarity.

    Attributes:
        degree: "hard" or "soft".
        above: The degree's threshold; a query counts if its nearest similarity is strictly above it
            (and, for soft, not above hard).
        queries: Queries that count.
        by_modality: The same queries by the most that any of their samples above the threshold brings along.
        crowded: How many of them have a last listed neighbour above the threshold too; a copy stands alone, a
            crowd of equally near samples is what an encoder gives for plain backgrounds or a common motif.
    """

    degree: str
    above: float
    queries: int
    by_modality: tuple[int, int, int, int]
    crowded: int

    @property
    def mostly_crowded(self) -> bool:
        """Whether most of the queries have a crowd of samples above the threshold."""
        return self.crowded > CROWDED_SHARE * self.queries

    @property
    def confidence(self) -> str:
        """How sure one can be that these are copies, in one word."""
        if self.mostly_crowded:
            return "low"
        return "moderate" if self.degree == "hard" else "low"


@dataclass(frozen=True, slots=True)
class NearPairs:
    """Pairs of a query and a sample above the soft threshold.

    Attributes:
        query: `(n,)` position of the query in its benchmark.
        similarity: `(n,)` its similarity to the sample.
        modality: `(n,)` codes of `Modality`.
        crowd: `(q,)` similarity of each query's last listed neighbour; -inf where fewer than two are listed.
    """

    query: IntArray
    similarity: FloatArray
    modality: NDArray[np.int8]
    crowd: FloatArray


def classify(pairs: NearPairs, hard: float, soft: float) -> tuple[Leakage, Leakage]:
    """Count the queries that leak hard and those that leak soft; each counts once, by its nearest sample."""
    nearest = np.full(len(pairs.crowd), -np.inf)
    np.maximum.at(nearest, pairs.query, pairs.similarity)
    is_hard = nearest > hard
    is_soft = (nearest > soft) & ~is_hard
    return _leakage("hard", hard, is_hard, pairs), _leakage("soft", soft, is_soft, pairs)


def _leakage(degree: str, above: float, affected: NDArray[np.bool_], pairs: NearPairs) -> Leakage:
    most = np.zeros(len(affected), dtype=np.int8)
    counts = pairs.similarity > above
    np.maximum.at(most, pairs.query[counts], pairs.modality[counts])
    by_modality = np.bincount(most[affected], minlength=len(Modality))
    crowded = np.count_nonzero(affected & (pairs.crowd > above))
    one, two, three, four = (int(count) for count in by_modality)
    return Leakage(degree, above, int(np.count_nonzero(affected)), (one, two, three, four), int(crowded))


@dataclass(frozen=True, slots=True)
class Identical:
    """Byte-identical files of a benchmark and a set, by sha256, at any similarity.

    Attributes:
        queries: Queries with at least one identical file.
        pairs: Pairs of a query and an identical sample.
        checked: Queries that could be checked: both sides brought files, not only vectors.
    """

    queries: int
    pairs: int
    checked: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """What an audit says of one benchmark.

    Attributes:
        level: "identical", "hard", "soft" or "none".
        queries: Queries of the benchmark.
        affected: Queries that the level is about.
        confidence: "certain", "moderate" or "low" that these are copies; for "none", that there are none.
    """

    level: str
    queries: int
    affected: int
    confidence: str

    @property
    def fraction(self) -> float:
        """Share of the benchmark's queries that the level is about."""
        return self.affected / max(self.queries, 1)


LEVELS = ("none", "soft", "hard", "identical")


def verdict(queries: int, identical: Identical, hard: Leakage, soft: Leakage, exact_search: bool) -> Verdict:
    """Pick the gravest finding and how sure it is; identity is said only of equal bytes."""
    if identical.queries:
        return Verdict("identical", queries, identical.queries, "certain")
    for found in (hard, soft):
        if found.queries:
            return Verdict(found.degree, queries, found.queries, found.confidence)
    return Verdict("none", queries, 0, "moderate" if exact_search else "low")
