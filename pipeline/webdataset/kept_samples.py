"""A split read from the pool's own tars, without writing them again: a stage of a webdataset pipeline.

Of each tar the rows are read as a run reads them, so that a sample has the uid that it had there; `uids.npy` says how
often that counts.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from indexes.errors import DataError, OutputError, UnknownNameError
from pipeline import layout
from pipeline.commit import Record, check_sound, output_of, records
from pipeline.files.parquet import parquet_schema
from pipeline.plan import load_lock, sets_in
from pipeline.readers import img2dataset
from pipeline.sets.membership import times_of
from pipeline.sets.source import Source
from pipeline.sets.uids import as_pairs, resolve
from pipeline.splits.split_columns import REWRITTEN
from pipeline.webdataset.unpickled import is_unpickled

Samples = Iterable[dict[str, Any]]


class KeptSamples:
    """Takes the samples of whole tars, one tar after the other, and gives those that a split keeps.

    Each comes as often as it counts; members that a loader would unpickle are left out. `len` is the number of
    samples that all tars of the pool give. It may be sent to the processes of a loader.

    Args:
        out: The output folder of a finished run over an img2dataset pool.
        split: One of its splits, of which no rule rewrites captions.
        reading: What turns tars into samples, where this stage is to stand in its place: it is given what comes in,
            one `{"url": …}` at a time.

    Raises:
        UnknownNameError: If the run has no such split.
        OutputError: If the split's files are not what was committed.
        DataError: If only an export can give the split as it is.
    """

    def __init__(
        self, out: str | Path, split: str, reading: Callable[[Samples], Samples] | None = None
    ) -> None:
        self._out, self._split, self._reading = Path(out).absolute(), split, reading
        plan = load_lock(self._out / layout.LOCK_FILE).plan
        self._pool = plan.pool
        found = {record.name: record for record in records(self._out, "split")}
        if split not in found:
            raise UnknownNameError("split", split, tuple(found))
        names = layout.split(split, "uids.npy")
        check_sound(self._out, [output_of(found[split], names)])
        self._names = str(self._out / names)
        self._refuse_what_needs_an_export(found[split], sets_in(plan.splits, split))

    def __len__(self) -> int:
        return len(np.load(self._names, mmap_mode="r", allow_pickle=False))

    def __call__(self, samples: Samples) -> Iterator[dict[str, Any]]:
        """Go through the samples; `__url__` of each is the path of its tar, as webdataset says it.

        Raises:
            DataError: If a tar cannot be read, or the split has samples of it that did not come.
        """
        if self._reading is None:
            for url, of_tar in groupby(samples, key=lambda sample: str(sample["__url__"])):
                yield from self._kept(url, of_tar)
            return
        for (
            tar
        ) in samples:  # one by one: a tar of which nothing comes is seen, and one that comes twice in a row
            yield from self._kept(str(tar["url"]), self._reading([tar]))

    def _kept(self, url: str, samples: Samples) -> Iterator[dict[str, Any]]:
        """Go through the samples of a tar, or of several passes over it: shards that are drawn may repeat."""
        whole = self._times(url)
        times, first, came = _copied(whole), None, 0
        for sample in samples:
            key = str(sample["__key__"])
            first = first or key
            if key == first:
                if came >= max(1, len(whole.get(key, ()))) and not _lacking(times):
                    times, came = _copied(whole), 0
                came += 1
            left = times.get(key)
            for _ in range(left.pop() if left else 0):
                yield _harmless(sample)
        lacking = _lacking(times)
        if lacking:
            raise DataError(
                f"{lacking:,} samples that {self._split} has of '{url}' did not come under their keys; export the "
                f"split instead: nearfar export {self._out} {self._split}"
            )

    def _times(self, url: str) -> dict[str, list[int]]:
        """Say how often the samples of each key of a tar count; the last comes first."""
        source = Source(path=url, format="img2dataset", **self._pool.options)
        (shard,) = img2dataset.shards(source)
        listed = img2dataset.read(source, shard, wants_images=False).rows()
        subset = np.load(self._names, mmap_mode="r", allow_pickle=False)
        found: defaultdict[str, list[int]] = defaultdict(list)
        for piece in listed.pieces():
            rows = resolve(piece, url, listed.apart)
            times = times_of(subset, as_pairs(rows.column("uid"))).tolist()
            for key, count in zip(rows.column("key").to_pylist(), times, strict=True):
                found[key].insert(0, count)
        return dict(found)

    def _refuse_what_needs_an_export(self, record: Record, further: Collection[str]) -> None:
        if self._pool.format not in (None, "img2dataset"):
            raise OutputError(f"the pool of {self._out} is {self._pool.format}, and has no tars to read")
        table = next(
            one.path for one in record.outputs if one.path.startswith(layout.split(self._split, "part-"))
        )
        repeated = any(one.facts["duplicates"] for one in records(self._out, "catalog") if one.name == "pool")
        rewritten = REWRITTEN in parquet_schema(self._out / table).names
        if repeated or rewritten or further:
            why = "has other captions than its tars" if rewritten else "comes of a pool that repeats uids"
            why = f"has samples of {', '.join(further)}" if further else why
            raise DataError(
                f"the split {self._split} {why}; export it instead: nearfar export {self._out} {self._split}"
            )


def _copied(times: Mapping[str, list[int]]) -> dict[str, list[int]]:
    return {key: list(counts) for key, counts in times.items()}


def _lacking(times: Mapping[str, list[int]]) -> int:
    return sum(count > 0 for left in times.values() for count in left)


def _harmless(sample: dict[str, Any]) -> dict[str, Any]:
    return {
        kind: content
        for kind, content in sample.items()
        if kind.startswith("__") or not is_unpickled(kind, content)
    }
