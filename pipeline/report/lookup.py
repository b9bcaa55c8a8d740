"""One pass over a set's rows: who the near samples are, what they bring along, and which files are identical.

Only identity and hash columns are read of every row; the text columns are read of row groups that hold a hit
and are reduced at once, so memory is bounded by one row group and the pairs looked for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from curation.audit import FloatArray, IntArray
from curation.leakage import Text, modality
from pipeline.files.parquet import read_parquet
from pipeline.report.committed import Committed
from pipeline.report.request import ReportRequest, SetFiles
from pipeline.sets.membership import is_member
from pipeline.sets.uids import as_pairs

TEXT = ["uid", "part", "row", "key", "url", "caption", "label", "image_sha256"]
# A column of the set's own, where it has one: the file of the sample's picture.
IMAGE_PATH = "image_path"
# Identical files are counted without a limit; so many of them are listed by name.
LISTED = 100


@dataclass(frozen=True, slots=True)
class Sample:
    """A row of a set, as the report shows it; `length` is the caption's, before it was cut.

    `url` says where its picture came from, and `path` where the set says that it lies; both may be empty.
    """

    part: int
    key: str
    caption: str
    length: int
    label: str
    sha256: str
    uid: str = ""
    url: str = ""
    path: str = ""


@dataclass(frozen=True, slots=True)
class Pairs:
    """Pairs of a query and a sample whose text is to be compared.

    Attributes:
        benchmark: `(n,)` position of the benchmark.
        query: `(n,)` position of the query in it.
        similarity: `(n,)` similarities.
        uid: `(n,)` 32 hex digits.
    """

    benchmark: IntArray
    query: IntArray
    similarity: FloatArray
    uid: NDArray[np.str_]


@dataclass(slots=True)
class Matches:
    """What the pass found.

    Attributes:
        modality: `(n,)` codes of `Modality`, one per pair.
        samples: The samples that are to be shown, by uid.
        hashed: Rows that carry a hash of their file.
        copies: `(h,)` rows of the set per distinct query hash.
        left: Per split, the same for rows that the split keeps.
        listed: The first identical rows: (hash, uid, key).
    """

    modality: NDArray[np.int8]
    copies: IntArray
    left: dict[str, IntArray]
    samples: dict[str, Sample] = field(default_factory=dict)
    hashed: int = 0
    listed: list[tuple[str, str, str]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Lookup:
    """What to look for in one set.

    Attributes:
        request: The report's request, for paths and the length of captions.
        texts: Per benchmark, each query's words.
        hashes: Distinct sha256 of the queries' files, sorted.
        kept: Per split, the sorted `(high, low)` uids that it keeps; one may be there several times.
    """

    request: ReportRequest
    texts: Sequence[Sequence[Text]]
    hashes: Sequence[str]
    kept: Mapping[str, NDArray[np.void]] = field(default_factory=dict)

    def run(self, files: SetFiles, pairs: Pairs, shown: set[str]) -> Matches:
        """Read the set once."""
        size = len(self.hashes)
        found = Matches(
            np.zeros(len(pairs.uid), dtype=np.int8),
            np.zeros(size, dtype=np.int64),
            {name: np.zeros(size, dtype=np.int64) for name in self.kept},
        )
        order = np.argsort(pairs.uid, kind="stable")
        wanted = sorted(shown | set(pairs.uid.tolist()))
        skip = repeated(self.request, files)
        for path in files.samples:
            for table, hashed in hits(self.request.path(path), wanted, self.hashes):
                found.hashed += hashed
                self._reduce(without(table, skip), pairs, order, shown, found)
        return found

    def _reduce(
        self, table: pa.Table, pairs: Pairs, order: IntArray, shown: set[str], found: Matches
    ) -> None:
        uids = table.column("uid").to_pylist()
        self._count_copies(table, uids, found)
        ranked = pairs.uid[order]
        first, last = np.searchsorted(ranked, uids, "left"), np.searchsorted(ranked, uids, "right")
        for at, row in enumerate(table.to_pylist()):
            if last[at] > first[at]:
                text = Text.of(row["caption"], row["label"])
                for pair in order[first[at] : last[at]]:
                    query = self.texts[pairs.benchmark[pair]][pairs.query[pair]]
                    found.modality[pair] = modality(query, text)
            if uids[at] in shown and uids[at] not in found.samples:
                found.samples[uids[at]] = self._sample(row)

    def _sample(self, row: Mapping[str, object]) -> Sample:
        caption = str(row["caption"] or "")
        cut = caption[: self.request.options.caption_limit]
        label, sha256 = str(row["label"] or ""), str(row["image_sha256"] or "")
        part = row["part"] if isinstance(row["part"], int) else 0
        uid, url, path = (str(row.get(name) or "") for name in ("uid", "url", IMAGE_PATH))
        return Sample(part, str(row["key"] or ""), cut, len(caption), label, sha256, uid, url, path)

    def _count_copies(self, table: pa.Table, uids: list[str], found: Matches) -> None:
        position = pc.index_in(table.column("image_sha256"), value_set=pa.array(self.hashes, pa.string()))
        rows = np.flatnonzero(position.is_valid().to_numpy(zero_copy_only=False))
        if not len(rows):
            return
        hashes = position.drop_null().to_numpy().astype(np.int64)
        np.add.at(found.copies, hashes, 1)
        names = [uids[row] for row in rows]
        pairs = as_pairs(pa.array(names, pa.string()))
        for split, kept in self.kept.items():
            np.add.at(found.left[split], hashes[is_member(kept, pairs)], 1)
        keys = table.column("key").to_pylist()
        room = LISTED - len(found.listed)
        listed = zip(hashes[:room], names[:room], rows[:room], strict=True)
        found.listed += [(self.hashes[at], uid, str(keys[row])) for at, uid, row in listed]


def hits(path: Path, uids: Sequence[str], hashes: Sequence[str]) -> Iterator[tuple[pa.Table, int]]:
    """Read the rows of a part that have one of the uids or hashes, one row group at a time.

    Yields:
        The matching rows with the columns of `TEXT` and, where there is one, `IMAGE_PATH`; and how many rows of the
        row group carry a hash.
    """
    names, texts = pa.array(uids, pa.string()), pa.array(hashes, pa.string())
    with Committed(path) as file:
        columns = [*TEXT, IMAGE_PATH] if IMAGE_PATH in file.names else TEXT
        for group in range(file.groups):
            table = file.read(group, ["uid", "image_sha256"])
            sha256 = table.column("image_sha256")
            match = pc.or_(pc.is_in(table.column("uid"), value_set=names), pc.is_in(sha256, value_set=texts))
            rows = len(sha256) - sha256.null_count
            if pc.any(match).as_py():
                yield file.read(group, columns).filter(match), rows
            else:
                yield file.empty(columns), rows


def repeated(request: ReportRequest, files: SetFiles) -> set[tuple[int, int]]:
    """List the (part, row) of every row that repeats a uid and takes no part."""
    if files.duplicates is None:
        return set()
    table = read_parquet(request.path(files.duplicates), columns=["part", "row"])
    return set(zip(table.column("part").to_pylist(), table.column("row").to_pylist(), strict=True))


def without(table: pa.Table, skip: set[tuple[int, int]]) -> pa.Table:
    """Leave out the rows named by (part, row)."""
    if not skip:
        return table
    places = zip(table.column("part").to_pylist(), table.column("row").to_pylist(), strict=True)
    return table.filter(pa.array([place not in skip for place in places], pa.bool_()))
