"""Small pools with known scores, and the splits that plain Python makes of them."""

from __future__ import annotations

import hashlib
import io
import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import pyarrow as pa

from pipeline.commit import Unit, attempt
from pipeline.files.parquet import read_parquet, write_parquet
from pipeline.splits.cutting import cut_many
from pipeline.splits.requests import CutRequest, PoolPart, SplitRequest

BENCHMARKS = ("photo", "sketch", "art")
SCORE = pa.schema(
    [
        ("uid", pa.string()),
        ("similarity", pa.float64()),
        ("nearest", pa.int32()),
        ("margin", pa.float64()),
        ("margin_query", pa.int32()),
    ]
)
LOST = pa.schema(
    [
        ("key", pa.string()),
        ("uid", pa.string()),
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
    label: str | None = None

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


def ties(count: int = 3000, seed: int = 0) -> list[Sample]:
    """Many samples with few distinct values."""
    random = np.random.default_rng(seed)
    values = np.round(random.normal(0.4, 0.2, (count, 3)), 2).clip(-1, 1)
    uids = [int.from_bytes(random.bytes(16), "big") for _ in range(count)]
    return [
        Sample(uid, tuple(map(float, row)), int(width), key=f"{n:05d}")
        for n, (uid, row, width) in enumerate(zip(uids, values, random.integers(0, 9, count), strict=True))
    ]


@dataclass
class Pool:
    """A pool on disk, one part per list of samples.

    `request` is what every split is cut from; `measures` are further measures: per name, columns of each sample.
    """

    out: Path
    parts: list[list[Sample]]
    names: tuple[str, ...] = BENCHMARKS
    own: Mapping[str, Callable[[Sample], Any]] = field(default_factory=lambda: {"width": lambda s: s.width})
    kind: Any = field(default_factory=pa.int64)
    measures: Mapping[str, Mapping[str, tuple[Callable[[Sample], Any], Any]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        files = tuple(
            PoolPart(self._write_samples(n), measures=self._write_scores(n) | self._write_measures(n))
            for n in range(len(self.parts))
        )
        self.request: dict[str, Any] = {
            "parts": files,
            "benchmarks": self.names,
            "reference": True,
            "threads": 2,
            "memory_limit": "500MB",
        }

    @property
    def files(self) -> tuple[PoolPart, ...]:
        return self.request["parts"]  # type: ignore[no-any-return]

    @property
    def samples(self) -> list[Sample]:
        return [sample for part in self.parts for sample in part]

    def _write_samples(self, number: int) -> str:
        part = self.parts[number]
        columns: dict[str, Any] = {
            "uid": pa.array([s.hex for s in part], pa.string()),
            "part": pa.array([number] * len(part), pa.int32()),
            "row": pa.array(range(len(part)), pa.int64()),
            "key": pa.array([s.key or s.hex for s in part], pa.string()),
            "url": pa.array([f"http://example.org/{s.hex}" for s in part], pa.string()),
            "caption": pa.array([s.caption for s in part], pa.string()),
            "label": pa.array([s.label for s in part], pa.string()),
            "image_sha256": pa.nulls(len(part), pa.string()),
        }
        for name, value in self.own.items():
            columns[name] = pa.array([value(s) for s in part], self.kind)
        return self.write(f"samples/pool/part-{number:04d}.parquet", pa.table(columns))

    def _write_scores(self, number: int) -> dict[str, str]:
        paths = {}
        for place, name in enumerate(self.names):
            rows = [{"uid": s.hex, **score(s.similarity[place])} for s in self.parts[number]]
            table = pa.Table.from_pylist(rows, schema=SCORE)
            paths[name] = self.write(f"measures/similarity/{place}/part-{number:04d}.parquet", table)
        return paths

    def _write_measures(self, number: int) -> dict[str, str]:
        paths = {}
        for name, columns in self.measures.items():
            part = self.parts[number]
            table = pa.table({"uid": pa.array([s.hex for s in part], pa.string())})
            for column, (value, kind) in columns.items():
                table = table.append_column(column, pa.array([value(s) for s in part], kind))
            paths[name] = self.write(f"measures/{name}/part-{number:04d}.parquet", table)
        return paths

    def write(self, relative: str, table: pa.Table) -> str:
        path = self.out / relative
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        write_parquet(path, table, table.schema)
        return str(path)

    def without_measures(self) -> tuple[PoolPart, ...]:
        """The parts with samples alone."""
        return tuple(replace(part, measures={}) for part in self.files)

    def without_samples(self) -> tuple[PoolPart, ...]:
        """The parts with measures alone."""
        return tuple(replace(part, samples=None) for part in self.files)

    def cut(self, rules: Sequence[tuple[str, Any]], name: str = "core", **request: Any) -> Cut:
        """Cut one split without committing it; `from_`, `splits` and `fingerprints` are the split's."""
        own = {key: request.pop(key) for key in ("from_", "splits", "fingerprints") if key in request}
        return self.cut_all((SplitRequest(name, tuple(rules), **own),), **request)[name]

    def cut_all(self, splits: tuple[SplitRequest, ...], **request: Any) -> dict[str, Cut]:
        """Cut several splits together, each into an attempt of its own."""
        values = {**self.request, "splits": splits, **request}
        with ExitStack() as stack:
            attempts = {
                split.name: stack.enter_context(attempt(self.out, Unit("split", split.name, "test")))
                for split in splits
            }
            found = dict(cut_many(CutRequest(**values), self.out, attempts))
            return {
                name: read_cut(found[name], into.file(f"splits/{name}/split.json").parent)
                for name, into in attempts.items()
            }


def read_cut(facts: dict[str, Any], folder: Path) -> Cut:
    """Read all files of a split."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    tables = [
        pa.concat_tables([read_parquet(path) for path in sorted(at.glob("part-*.parquet"))])
        for at in (folder, folder / "dropped")
    ]
    return Cut(facts, {str(path.relative_to(folder)): path.read_bytes() for path in paths}, *tables)


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
        uids, reasons = (self.dropped[name].to_pylist() for name in ("uid", "rule"))
        return {int(uid, 16): reason for uid, reason in zip(uids, reasons, strict=True)}

    @property
    def decided(self) -> dict[int, str | None]:
        uids, values = (self.dropped[name].to_pylist() for name in ("uid", "decided"))
        return {int(uid, 16): value for uid, value in zip(uids, values, strict=True)}

    @property
    def names(self) -> list[int]:
        """The uids in `uids.npy`, as often as they stand there."""
        pairs = np.load(io.BytesIO(self.files["uids.npy"]), allow_pickle=False)
        return [(int(high) << 64) | int(low) for high, low in pairs.tolist()]


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
