"""What a dataset card says, as values: nothing but committed facts, no path of this machine, no time."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ShippedFile:
    """A file of the export.

    Attributes:
        name: Its name in the folder.
        bytes: Its size.
        sha256: Its digest, in lowercase hex.
        rows: Samples in it; None where it has none.
    """

    name: str
    bytes: int
    sha256: str
    rows: int | None


@dataclass(frozen=True, slots=True)
class SplitSteps:
    """How a split came about.

    Attributes:
        name: The split.
        start: What it starts from, in words; empty for the pool.
        steps: Reason, words, samples brought in, samples dropped and samples left of each rule, in order.
    """

    name: str
    start: str
    steps: tuple[tuple[str, str, int, int, int], ...]


@dataclass(frozen=True, slots=True)
class SetLosses:
    """One set, and what became of its rows: failed, quarantined, repeated and measured ones add up to those listed.

    Attributes:
        name: The set, as the report calls it: `pool`, `benchmark NAME`.
        dataset: What it is part of; empty where the plan does not say.
        format: How it was read; empty where the plan left it to be found.
        contents: A digest of what was in its files.
        listed: Rows that it lists.
        measured: Those that took part.
        failed: Those that never arrived, by reason.
        quarantined: Those that are damaged or cannot be compared, by reason.
        repeated: Those that have the uid of an earlier row.
    """

    name: str
    dataset: str
    format: str
    contents: str
    listed: int
    measured: int
    failed: dict[str, int]
    quarantined: dict[str, int]
    repeated: int


@dataclass(frozen=True, slots=True)
class Nearness:
    """How near the split comes to a benchmark.

    Attributes:
        name: The benchmark.
        queries: Its queries.
        median: Median, over queries, of the similarity of the nearest sample; None where there is none.
        highest: The highest of these.
        soft: Queries with a sample above the soft level.
        hard: Those with one above the hard level.
        nearer: Those with one nearer than the reference comes; None without a reference.
        identical: Those of which the split has a byte-identical file; None where the files are not known.
    """

    name: str
    queries: int
    median: float | None
    highest: float | None
    soft: int
    hard: int
    nearer: int | None
    identical: int | None


@dataclass(frozen=True, slots=True)
class CardFacts:
    """All of it.

    Attributes:
        plan: Name of the plan.
        split: The split.
        license: As the user said it; empty where not said.
        samples: Samples in the tars, repeated ones as often as they count.
        kept: Samples that differ.
        tars: The tars, in order.
        beside: Listings, counts and sizes.
        kinds: Members of each kind.
        left_out: Members that stayed behind, since a loader would unpickle them, by kind.
        sources: Where several sets are in it: how many samples are of each.
        splits: The split, then those that it starts from.
        rows: Every set, the pool first.
        levels: The soft and the hard level.
        nearness: Every benchmark.
        exact: Whether every sample was compared with every query exactly.
        encoders: What made the embeddings: by name, what is known of it.
        versions: Of the packages that made the report.
    """

    plan: str
    split: str
    license: str
    samples: int
    kept: int
    tars: tuple[ShippedFile, ...]
    beside: tuple[ShippedFile, ...]
    kinds: dict[str, int]
    left_out: dict[str, int]
    sources: tuple[tuple[str, int], ...]
    splits: tuple[SplitSteps, ...]
    rows: tuple[SetLosses, ...]
    levels: tuple[float, float]
    nearness: tuple[Nearness, ...]
    exact: bool
    encoders: dict[str, dict[str, str]]
    versions: dict[str, str]

    @property
    def uniform(self) -> bool:
        """Whether every sample has the same kinds of members, without which `datasets` reads no tars."""
        return all(count == self.samples for count in self.kinds.values())

    @property
    def listings(self) -> tuple[ShippedFile, ...]:
        """The tables of samples, in order."""
        return tuple(one for one in self.beside if one.name.endswith(".parquet"))
