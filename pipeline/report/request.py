"""What a report is made from: the committed files by role, never a folder to search."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class WantedPicture:
    """A sample whose picture is wanted.

    Attributes:
        part: Number of its part.
        uid: 32 hex digits.
        url: Where its picture came from, "" where that is not known.
        path: What the set's own `image_path` says, "" where it has none.
    """

    part: int
    uid: str = ""
    url: str = ""
    path: str = ""


FetchImages = Callable[[Mapping[str, Mapping[str, WantedPicture]]], Mapping[tuple[str, str], bytes]]


class Writer(Protocol):
    """The part of a commit attempt that a report needs."""

    def file(self, relative: str) -> Path:
        """Say where to write an output."""

    def add(self, relative: str, rows: int | None = None) -> None:
        """Declare an output as complete."""


@dataclass(frozen=True, slots=True)
class SetFiles:
    """The committed files of one set; paths are relative to the output folder.

    Attributes:
        name: "pool", "reference", or what the plan calls it.
        dataset: Dataset that the set is part of, where the plan says so.
        samples: Its rows, in part order.
        lost: Rows that could not be read or decoded.
        quarantined: Rows whose vector cannot be compared, with the reason, by part: two encoders may name one row.
        duplicates: Rows that repeat a uid and take no part; None where there are none.
    """

    name: str
    dataset: str | None = None
    samples: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()
    quarantined: tuple[tuple[str, ...], ...] = ()
    duplicates: str | None = None


@dataclass(frozen=True, slots=True)
class BenchmarkFiles:
    """A benchmark.

    Attributes:
        rows: Its rows.
        queries: Its queries with their thresholds.
        neighbours: Each query's nearest pool samples.
        similarity: The pool's similarities to it, one file for each part of the pool, in the same order for every
            benchmark.
        unrelated: How alike drawn pairs of a query and a pool sample are; None leaves that open.
        index: Its queries' vectors; None leaves out what needs them.
    """

    rows: SetFiles
    queries: str
    neighbours: str
    similarity: tuple[str, ...] = ()
    unrelated: str | None = None
    index: str | None = None

    def opened(self) -> tuple[str, ...]:
        """List its files, but for those of its rows."""
        more = (path for path in (self.unrelated, self.index) if path is not None)
        return (self.queries, self.neighbours, *self.similarity, *more)

    @property
    def name(self) -> str:
        """The benchmark's name in the plan."""
        return self.rows.name


@dataclass(frozen=True, slots=True)
class SplitFiles:
    """A split.

    Attributes:
        name: Its name in the plan.
        facts: Its `split.json`.
        neighbours: Each query's nearest samples in it, for all benchmarks; None where the plan has none.
        uids: Its `uids.npy`, to see which byte-identical files are left; None leaves that open.
        parts: The samples that it keeps.
    """

    name: str
    facts: str
    neighbours: str | None = None
    uids: str | None = None
    parts: tuple[str, ...] = ()

    def opened(self) -> tuple[str, ...]:
        """List its files."""
        return (self.facts, *self.parts, *(path for path in (self.neighbours, self.uids) if path is not None))


@dataclass(frozen=True, slots=True)
class MeasureFiles:
    """A measure other than similarity.

    Attributes:
        name: What rules call it.
        kind: The measure that it is.
        columns: Name and meaning of each of its columns.
        parts: Its columns, one file for each part of the pool.
        options: Its options, as a plan has them.
        tables: Of the tables beside its columns, those that sections read, one file for each part.
        told: What became of the rows of the user's table that it reads, by outcome; empty where it reads none.
        of_sets: Its columns of further sets, by set.
    """

    name: str
    kind: str
    columns: tuple[tuple[str, str], ...]
    parts: tuple[str, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    tables: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    told: Mapping[str, int] = field(default_factory=dict)
    of_sets: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Search:
    """How neighbours were found; an approximate search may miss near-copies, so its recall is stated.

    Attributes:
        backend: Name of the search backend.
        exact: Whether every sample was compared with every query.
        recall: Share of comparisons (a sample and a benchmark) in which a nearest query was found.
        sampled: Samples that were checked exactly for it.
        compared: Comparisons that they make.
        similarity_error: Largest amount by which a similarity was too low.
        differing_decisions: Comparisons whose margin lies on the other side of zero; None without thresholds.
    """

    backend: str = "exact"
    exact: bool = True
    recall: float | None = None
    sampled: int | None = None
    compared: int | None = None
    similarity_error: float | None = None
    differing_decisions: int | None = None


@dataclass(frozen=True, slots=True)
class ReportOptions:
    """Levels and sizes.

    Attributes:
        hard: Above this similarity a pair may be the same image.
        soft: Above this similarity a pair may be a near-copy.
        pairs: Pairs shown per benchmark: so many nearest ones, and as many others around the threshold.
        caption_limit: Characters of a caption that are shown.
    """

    hard: float = 0.99
    soft: float = 0.95
    pairs: int = 24
    caption_limit: int = 280


def _no_images(wanted: Mapping[str, Mapping[str, WantedPicture]]) -> Mapping[tuple[str, str], bytes]:
    return {}


@dataclass(frozen=True, slots=True)
class ReportRequest:
    """Everything that a report shows.

    Attributes:
        out: The output folder; every path below is relative to it.
        plan: Name of the plan.
        pool: The pool's files.
        reference: The reference's files; None where the plan has none (no thresholds, no margins).
        benchmarks: The benchmarks, in plan order; a plan may have none.
        splits: The splits, in plan order.
        measures: The measures other than similarity, in the order in which they were computed.
        sources: Further sets that rules may draw from.
        alike: Of each set that was looked at within, how near each sample comes to those before it.
        spectra: The tables of spectra, summary and values; empty where the plan asks for none.
        options: Levels and sizes.
        search: How neighbours were found.
        neighbours: How many pool samples the run lists for each query, at most.
        accuracies: A user's table of accuracies by class; None where there is none.
        results: A user's table of models' accuracies under shifts.
        image_classes: The column that lists what is seen in an image: of the pool, or `measure.column`.
        memory_limit: What the database may hold in memory, as DuckDB writes it.
        threads: Of the database; None takes all cores.
        provenance: Fingerprints, versions, seeds and digests, shown as they are. No time, host or absolute
            path belongs here: the report's bytes must not depend on when and where it was made.
        command: The command that reproduces the report.
        fetch_images: Reads the file bytes of images. It is called with set -> {key: sample} (a mapping of keys,
            so a collection of keys too) and returns what it has by (set, key).
    """

    out: Path
    plan: str
    pool: SetFiles
    reference: SetFiles | None
    benchmarks: tuple[BenchmarkFiles, ...]
    splits: tuple[SplitFiles, ...]
    measures: tuple[MeasureFiles, ...] = ()
    sources: tuple[SetFiles, ...] = ()
    alike: Mapping[str, str] = field(default_factory=dict)
    spectra: tuple[str, ...] = ()
    options: ReportOptions = ReportOptions()
    search: Search = Search()
    neighbours: int = 0
    accuracies: str | None = None
    results: str | None = None
    image_classes: str | None = None
    memory_limit: str = "1GB"
    threads: int | None = None
    provenance: Mapping[str, Any] = field(default_factory=dict)
    command: str = ""
    fetch_images: FetchImages = _no_images

    def path(self, relative: str) -> Path:
        """Locate a committed file."""
        return self.out / relative

    def set_files(self, name: str) -> SetFiles:
        """Find the files of the pool, of the reference, or of a benchmark."""
        known = {each.name: each.rows for each in self.benchmarks} | {"pool": self.pool}
        return self.reference if name == "reference" and self.reference is not None else known[name]

    @property
    def has_reference(self) -> bool:
        """Whether queries have thresholds."""
        return self.reference is not None
