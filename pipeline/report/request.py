"""What a report is made from: the committed files by role, never a folder to search."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

FetchImages = Callable[[Mapping[str, Mapping[str, int]]], Mapping[tuple[str, str], bytes]]


class Writer(Protocol):
    """The part of a commit attempt that a report needs."""

    def file(self, relative: str) -> Path:
        """Give the path to write an output to."""
        ...

    def add(self, relative: str, rows: int | None = None) -> None:
        """Declare an output as complete."""
        ...


@dataclass(frozen=True, slots=True)
class SetFiles:
    """The committed files of one set; paths are relative to the output folder.

    Attributes:
        name: Folder under `samples/`: "pool", "reference" or the benchmark's name.
        dataset: Dataset that the set is part of, where the plan says so.
        samples: `samples/<name>/part-*.parquet`, in part order.
        lost: `samples/<name>/lost-*.parquet`: rows that could not be read or decoded.
        quarantined: Parquet files of rows whose vector was refused (column `reason`).
        duplicates: `samples/<name>/duplicates.parquet`: rows that repeat a uid and take no part.
    """

    name: str
    dataset: str | None = None
    samples: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()
    quarantined: tuple[str, ...] = ()
    duplicates: str | None = None


@dataclass(frozen=True, slots=True)
class BenchmarkFiles:
    """A benchmark: its rows, its queries with their thresholds, and each query's nearest pool samples."""

    rows: SetFiles
    queries: str
    neighbours: str

    @property
    def name(self) -> str:
        """The benchmark's name in the plan."""
        return self.rows.name


@dataclass(frozen=True, slots=True)
class SplitFiles:
    """A split.

    Attributes:
        name: Its name in the plan.
        facts: `splits/<name>/split.json`.
        neighbours: Per benchmark, `neighbours/<name>/<benchmark>.parquet`.
        uids: `splits/<name>/uids.npy`, to see which byte-identical files are left; None leaves that open.
    """

    name: str
    facts: str
    neighbours: Mapping[str, str]
    uids: str | None = None


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
class Options:
    """Levels and sizes.

    Attributes:
        hard: Above this similarity a pair may be the same image.
        soft: Above this similarity a pair may be a near-copy.
        pairs: Pairs shown per benchmark, at the top and again around the threshold.
        caption_limit: Characters of a caption that are shown.
    """

    hard: float = 0.99
    soft: float = 0.95
    pairs: int = 24
    caption_limit: int = 280


def _no_images(wanted: Mapping[str, Mapping[str, int]]) -> Mapping[tuple[str, str], bytes]:
    return {}


@dataclass(frozen=True, slots=True)
class ReportRequest:
    """Everything that a report shows.

    Attributes:
        out: The output folder; every path below is relative to it.
        plan: Name of the plan.
        pool: The pool's files.
        reference: The reference's files; None where the plan has none (no thresholds, no margins).
        benchmarks: The benchmarks, in plan order.
        splits: The splits, in plan order.
        measures: `measures/similarity/part-*.parquet`, in part order.
        options: Levels and sizes.
        search: How neighbours were found.
        provenance: Fingerprints, versions, seeds and digests, shown as they are. No time, host or absolute
            path belongs here: the report's bytes must not depend on when and where it was made.
        command: The command that reproduces the report.
        fetch_images: Gives the file bytes of images. It is called with set -> {key: part} (a mapping of keys,
            so a collection of keys too) and returns what it has by (set, key).
        withheld: uids (32 hex digits) whose image, caption and key are never shown, only counted.
    """

    out: Path
    plan: str
    pool: SetFiles
    reference: SetFiles | None
    benchmarks: tuple[BenchmarkFiles, ...]
    splits: tuple[SplitFiles, ...]
    measures: tuple[str, ...]
    options: Options = Options()
    search: Search = Search()
    provenance: Mapping[str, Any] = field(default_factory=dict)
    command: str = ""
    fetch_images: FetchImages = _no_images
    withheld: frozenset[str] = frozenset()

    def path(self, relative: str) -> Path:
        """Locate a committed file."""
        return self.out / relative

    @property
    def has_reference(self) -> bool:
        """Whether queries have thresholds."""
        return self.reference is not None
