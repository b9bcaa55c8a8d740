"""Small pools with known scores, and the splits that plain Python makes of them."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import pyarrow as pa

from pipeline.commit import Unit, attempt
from pipeline.files.parquet import read_parquet, write_parquet
from pipeline.sets.uids import from_hex
from pipeline.splits.cutting import SplitRequest, cut

BENCHMARKS = ("photo", "sketch", "art")
SCORE = pa.struct(
    [
        ("similarity", pa.float64()),
        ("nearest", pa.int32()),
        ("margin", pa.float64()),
        ("margin_query", pa.int32()),
    ]
)
LOST = pa.schema(
    [
        ("key", pa.string()),
        ("uid", pa.uuid()),
        ("url", pa.string()),
        ("caption", pa.string()),
        ("outcome", pa.string()),
        ("reason", pa.string()),
    ]
)
THRESHOLD = 0.5


@dataclass(frozen=True)
class Sample:
    """One sample; a similarity may be None or NaN. Its margin is similarity - THRESHOLD."""

    uid: int
    similarity: tuple[float | None, ...]
    width: int | None = 0
    caption: str | None = ""
    key: str = ""

    @property
    def hex(self) -> str:
        return f"{self.uid:032x}"

    def known(self, names: Sequence[str]) -> list[float] | None:
        """Similarities to the named benchmarks, or None where one is missing."""
        values = [self.similarity[BENCHMARKS.index(name)] for name in names]
        return (
            None
            if any(v is None or math.isnan(v) for v in values)
            else [float(v) for v in values if v is not None]
        )

    def hash(self, seed: int) -> int:
        """The lower 64 bits of md5, as DuckDB's `md5_number_lower` counts them."""
        digest = hashlib.md5(f"{UUID(int=self.uid)}:{seed}".encode(), usedforsecurity=False).digest()
        return int.from_bytes(digest[8:], "little")


def score(similarity: float | None) -> dict[str, Any]:
    margin = None if similarity is None else similarity - THRESHOLD
    return {"similarity": similarity, "nearest": 0, "margin": margin, "margin_query": 0}


@dataclass
class Pool:
    """A pool on disk, one part per list of samples."""

    out: Path
    parts: list[list[Sample]]
    names: tuple[str, ...] = BENCHMARKS
    own: Mapping[str, Callable[[Sample], Any]] = field(default_factory=lambda: {"width": lambda s: s.width})
    request: dict[str, Any] = field(default_factory=dict)
    kind: Any = field(default_factory=pa.int64)

    def __post_init__(self) -> None:
        numbers = range(len(self.parts))
        samples = [self._write_samples(n) for n in numbers]
        measures = [self._write_measures(n) for n in numbers]
        found = {"samples": tuple(samples), "measures": tuple(measures), "benchmarks": self.names}
        self.request = {"reference": True, "threads": 2, "memory_limit": "500MB", **found, **self.request}

    @property
    def samples(self) -> list[Sample]:
        return [sample for part in self.parts for sample in part]

    def _write_samples(self, number: int) -> str:
        part = self.parts[number]
        columns: dict[str, Any] = {
            "uid": from_hex(pa.array([s.hex for s in part], pa.string())),
            "part": pa.array([number] * len(part), pa.int32()),
            "row": pa.array(range(len(part)), pa.int64()),
            "key": pa.array([s.key or s.hex for s in part], pa.string()),
            "url": pa.array([f"http://example.org/{s.hex}" for s in part], pa.string()),
            "caption": pa.array([s.caption for s in part], pa.string()),
            "label": pa.nulls(len(part), pa.string()),
            "image_sha256": pa.nulls(len(part), pa.string()),
        }
        for name, value in self.own.items():
            columns[name] = pa.array([value(s) for s in part], self.kind)
        return self.write(f"samples/pool/part-{number:04d}.parquet", pa.table(columns))

    def _write_measures(self, number: int) -> str:
        part = self.parts[number]
        columns: dict[str, Any] = {"uid": from_hex(pa.array([s.hex for s in part], pa.string()))}
        for place, name in enumerate(self.names):
            columns[name] = pa.array([score(s.similarity[place]) for s in part], SCORE)
        return self.write(f"measures/similarity/part-{number:04d}.parquet", pa.table(columns))

    def write(self, relative: str, table: pa.Table) -> str:
        path = self.out / relative
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        write_parquet(path, table, table.schema)
        return str(path)

    def cut(self, rules: Sequence[tuple[str, Any]], name: str = "core", **request: Any) -> Cut:
        """Cut a split without committing it."""
        values = {**self.request, "name": name, "rules": tuple(rules), **request}
        with attempt(self.out, Unit("split", name, "test")) as into:
            facts = cut(SplitRequest(**values), self.out, into)
            folder = into.file(f"splits/{name}/split.json").parent
            files = {path.name: path.read_bytes() for path in sorted(folder.iterdir())}
            tables = {
                stem: pa.concat_tables(
                    [read_parquet(path) for path in sorted(folder.glob(f"{stem}-*.parquet"))]
                )
                for stem in ("part", "dropped")
            }
        return Cut(facts, files, tables["part"], tables["dropped"])


@dataclass(frozen=True)
class Cut:
    """What cutting a split wrote."""

    facts: dict[str, Any]
    files: dict[str, bytes]
    kept: pa.Table
    dropped: pa.Table

    @property
    def uids(self) -> list[int]:
        return [int(uid, 16) for uid in self.kept["uid"].to_pylist()]

    @property
    def reasons(self) -> dict[int, str]:
        uids, reasons = (self.dropped[name].to_pylist() for name in ("uid", "reason"))
        return {int(uid, 16): reason for uid, reason in zip(uids, reasons, strict=True)}


def chosen(rule: str, options: Mapping[str, Any], samples: Sequence[Sample]) -> set[int]:
    """Apply one rule by sorting Python lists; return the uids that stay."""
    if rule == "where":
        return {s.uid for s in samples if s.width is not None and s.width >= int(options["at_least"])}
    if rule == "random":
        ordered = sorted(samples, key=lambda s: (s.hash(options.get("seed", 0)), s.uid))
        return {s.uid for s in ordered[: amount(options, len(samples))]}
    names = BENCHMARKS if options.get("to", "all") == "all" else options["to"]
    names = [name for name in BENCHMARKS if name in names]
    known = [(s, values) for s in samples if (values := s.known(names)) is not None]
    if "keep" in options or "fraction" in options:
        return ranked(rule, options, known, amount(options, len(samples)))
    threshold = options.get("threshold", "per_query")
    limit = THRESHOLD if threshold == "per_query" else threshold
    above = [
        max(v - limit for v in values) > 0 if threshold == "per_query" else max(values) > limit
        for _, values in known
    ]
    return {s.uid for (s, _), is_above in zip(known, above, strict=True) if is_above == (rule == "far")}


def ranked(
    rule: str, options: Mapping[str, Any], known: list[tuple[Sample, list[float]]], n: int
) -> set[int]:
    if rule == "near":
        return {s.uid for s, _ in sorted(known, key=lambda each: (max(each[1]), each[0].uid))[:n]}
    combine = options.get("combine", "max")
    if combine == "max":
        return {s.uid for s, _ in sorted(known, key=lambda each: (-max(each[1]), each[0].uid))[:n]}
    width = len(known[0][1]) if known else 0
    orders = [sorted(known, key=lambda each: (-each[1][place], each[0].uid)) for place in range(width)]
    if combine == "quota":
        taken: set[int] = set()
        for place, order in enumerate(orders):
            share = n // width + (place < n % width)
            taken |= {s.uid for s, _ in [each for each in order if each[0].uid not in taken][:share]}
        return taken
    places = [{s.uid: place for place, (s, _) in enumerate(order)} for order in orders]
    best = {s.uid: min(place[s.uid] for place in places) for s, _ in known}
    return {
        s.uid for s, _ in sorted(known, key=lambda each: (best[each[0].uid], -max(each[1]), each[0].uid))[:n]
    }


def amount(options: Mapping[str, Any], rows: int) -> int:
    if "keep" in options:
        return int(options["keep"])
    return math.floor(options["fraction"] * rows + 0.5)


def expected(
    rules: Sequence[tuple[str, Mapping[str, Any]]], samples: Sequence[Sample]
) -> tuple[list[int], dict[int, str]]:
    """Return the kept uids in order, and the reason of each dropped one."""
    left, reasons = list(samples), {}
    for place, (rule, options) in enumerate(rules, 1):
        stays = chosen(rule, options, left)
        reasons |= {s.uid: f"{place}:{rule}" for s in left if s.uid not in stays}
        left = [s for s in left if s.uid in stays]
    return sorted(s.uid for s in left), reasons
