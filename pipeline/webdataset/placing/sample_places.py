"""Which samples of the pool's tars are the rows of `samples/`, and where their members lie."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import IO

import pyarrow as pa

from indexes.errors import DataError
from pipeline.readers._tars.tar_members import content_of, opened
from pipeline.readers._tars.tar_samples import NOTHING, Sample, walk
from pipeline.sets.plain_text import plain_text

LOCATED = pa.schema(
    [
        ("order", pa.uint64()),
        ("uid", pa.string()),
        ("copy", pa.int32()),
        ("tar", pa.string()),
        ("kinds", pa.list_(pa.string())),
        ("offsets", pa.list_(pa.int64())),
        ("sizes", pa.list_(pa.int64())),
        ("caption", pa.string()),
        ("cls", pa.int64()),
        ("source", pa.string()),
    ]
)
"""Samples in the order of their export.

`tar` is what the set calls the tar, or the image file, as `spelled` writes it; `caption` and `cls` are the text and the
number that are written in place of the source's, or null; `source` is the set.
"""


def spelled(name: str) -> str:
    """Write a file's name as a text that `named` reads: one that is not UTF-8 as digits of its bytes, behind a NUL."""
    return name if plain_text(name) == name else f"\0{os.fsencode(name).hex()}"


def named(text: str) -> str:
    """Read a name of a file that `spelled` wrote."""
    return os.fsdecode(bytes.fromhex(text[1:])) if text.startswith("\0") else text


@dataclass(frozen=True, slots=True)
class TarPath:
    """A tar: where it lies, and what the pool calls it."""

    path: str
    name: str


@dataclass(slots=True)
class Placed:
    """A row of a part, the tar that its sample is in, and the sample."""

    row: int
    tar: TarPath
    sample: Sample


def placed(
    keys: Sequence[str | None],
    sha256: Sequence[str | None],
    tars: Iterable[TarPath],
    whole: bool = False,
) -> Iterator[Placed]:
    """Put a part's rows, in their order, to the samples of its tars.

    The rows are some of the readable samples in the order of the tars: those whose image could not be decoded are
    missing. Where such a one has the key of its neighbour, the image's digest says which of the two the row is.

    Args:
        keys: Each row's key.
        sha256: The digest of its image, as it was read; None where the images were not.
        tars: The part's tars, in order.
        whole: Whether to have the disk fetch each tar at once: headers, read one by one, cost it as much as all.

    Raises:
        DataError: If a tar is damaged, a row has no sample, or two samples may be the row.
    """
    held: Placed | None = None
    at = 0
    for tar, sample in _readable(tars, whole):
        if at < len(keys) and sample.key == keys[at]:
            if held is not None:
                yield held
            held = Placed(at, tar, sample)
            at += 1
        elif held is not None and sample.key == held.sample.key:
            held = _chosen(held, Placed(held.row, tar, sample), keys, sha256)
    if held is not None:
        yield held
    if at < len(keys):
        raise DataError(
            f"{len(keys) - at:,} rows of the pool, the first with key {keys[at]!a}, are in none of its tars any "
            "more; run the plan again, then export"
        )


def wanted_at_once(file: IO[bytes], whole: bool) -> None:
    """Have the disk fetch a file that will be read here and there: all of it at once, if it is wanted `whole`."""
    if whole and hasattr(os, "posix_fadvise"):
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_WILLNEED)


def _readable(tars: Iterable[TarPath], whole: bool) -> Iterator[tuple[TarPath, Sample]]:
    for tar in tars:
        with opened(tar.path) as file:
            wanted_at_once(file, whole)
            for sample in walk(file, tar.path, NOTHING):
                if sample.fault is None:
                    yield tar, sample


def _chosen(held: Placed, other: Placed, keys: Sequence[str | None], sha256: Sequence[str | None]) -> Placed:
    wanted = sha256[held.row]
    repeated = held.row > 0 and keys[held.row - 1] == keys[held.row]
    if wanted is not None and not repeated:
        for one in (held, other):
            if _digest(one) == wanted:
                return one
    raise DataError(
        f"'{other.tar.path}' has several samples of the key {other.sample.key!a} of which some could not be "
        "read, so that it cannot be told which one the split keeps; write the shard again with keys that differ"
    )


def _digest(one: Placed) -> str:
    span = one.sample.image
    if span is None:
        return ""
    with opened(one.tar.path) as file:
        return hashlib.sha256(content_of(file, span, one.tar.path)).hexdigest()
