"""What splits are cut from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any


@dataclass(frozen=True, slots=True)
class PoolPart:
    """Files of one part of the pool; a measure's rows are those of the samples without `skip`, in the same order.

    Attributes:
        samples: `samples/pool/part-NNNN.parquet`, absolute; None for measures alone, whose uids then list the rows.
        skip: Values of `row` that repeat a uid; they take no part and count as duplicates.
        quarantined: Parquet files (uid, key, reason, row) of rows whose vector cannot be compared; they take no part.
        measures: The part of each measure by the name that rules have for it: `clip_score`, or a benchmark.
    """

    samples: str | None
    skip: tuple[int, ...] = ()
    quarantined: tuple[str, ...] = ()
    measures: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SplitRequest:
    """One split.

    Attributes:
        name: Its name, and its folder under `splits/`.
        rules: Name and options of each rule, in order, as `curation.rules.dump` writes them.
        from_: None for the whole pool, or `{"union" | "intersect" | "minus": [split, ...]}`.
        splits: The `part-*.parquet` of each split that `from_` or a rule names.
        sets: Of those that hold samples of further sets, which sets.
        fingerprints: What the split depends on, copied into `split.json`.
    """

    name: str
    rules: tuple[tuple[str, Mapping[str, Any]], ...] = ()
    from_: Mapping[str, tuple[str, ...]] | None = None
    splits: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    fingerprints: Mapping[str, str] = field(default_factory=dict)
    sets: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def used(self, name: str) -> UsedSplit:
        """Return a split that this one names."""
        return UsedSplit(self.splits[name], self.sets.get(name, ()))


@dataclass(frozen=True, slots=True)
class UsedSplit:
    """A split that another one names: its files, and the further sets that samples in it come from."""

    parts: tuple[str, ...]
    sets: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class OfferedSet:
    """A further set that rules bring in or count.

    Attributes:
        parts: Its parts, with the measures of it that rules read.
        lost: Parquet files of its rows that could not be read.
        measures: Every measure of it in the plan: a column of its own that is called like one is `pool_<name>`.
    """

    parts: tuple[PoolPart, ...]
    lost: tuple[str, ...] = ()
    measures: tuple[str, ...] = ()

    def with_measures(self, other: OfferedSet) -> OfferedSet:
        """Return the same set with the measures that another split reads of it too."""
        parts = zip(self.parts, other.parts, strict=True)
        return replace(self, parts=tuple(replace(a, measures={**a.measures, **b.measures}) for a, b in parts))


@dataclass(frozen=True, slots=True)
class CutRequest:
    """Splits that are cut from one look at the pool.

    Attributes:
        parts: The pool, in order.
        splits: The splits; none of them is named by another.
        benchmarks: Names in plan order.
        reference: Whether the plan has a reference.
        lost: Parquet files of the pool's rows that could not be read, with `outcome` and `reason`.
        memory_limit: DuckDB's.
        threads: Threads of DuckDB, and of the writers; all cores if None.
        measures: Every measure of the plan, also those that no rule here names: a column of the pool that is called
            like one is `pool_<name>`.
        sets: Further sets that a split brings in, by name, in the plan's order.
    """

    parts: tuple[PoolPart, ...]
    splits: tuple[SplitRequest, ...]
    benchmarks: tuple[str, ...] = ()
    reference: bool = False
    lost: tuple[str, ...] = ()
    memory_limit: str = "1GB"
    threads: int | None = None
    measures: tuple[str, ...] = ()
    sets: Mapping[str, OfferedSet] = field(default_factory=dict)
