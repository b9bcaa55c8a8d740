"""Parts of a set: which shards one committed piece takes, and where its rows and vectors lie.

A part takes shards, in order, until it has enough rows, so that cost follows rows and not files. Parts depend on the
shards that are there and on nothing else; they are numbered by the number in their first shard's name, and end early at
names that a hash picks, so that a shard that comes or goes changes the parts around it and no others.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.files.afar.stand_ins import length_of
from pipeline.files.vectors import VectorFile
from pipeline.readers import Shard

# Embedding a row costs as much as measuring thousands, so a unit that embeds is small: little is lost with it.
EMBED_ROWS = 2048
_BYTES_A_ROW = 50_000
_NUMBERED = re.compile(r"^part-([0-9]{1,9})-|([0-9]{1,9})$")


@dataclass(frozen=True, slots=True)
class Group:
    """A part as it is planned: its number, and the names of its shards in order."""

    number: int
    shards: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Stored:
    """Where the vectors of a part lie.

    Attributes:
        files: One after the other they hold the vectors, as one long array.
        by_row: Whether the `row` column of `samples/` says which vector is a sample's; otherwise they are in the order
            of the samples.
        names: The files as their set calls them, where they are the user's; empty for embeddings that the run made.
    """

    files: tuple[VectorFile, ...]
    by_row: bool
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Part:
    """A committed part of a set.

    Attributes:
        number: Its number in the set.
        samples: Absolute path of its `samples/` file.
        rows: Rows of that file.
        skip: Values of `row` that repeat a uid and take no part.
        digest: Content of that file.
    """

    number: int
    samples: str
    rows: int
    skip: tuple[int, ...] = ()
    digest: str = ""

    @property
    def counted(self) -> int:
        """Rows that take part."""
        return self.rows - len(self.skip)


def grouped(shards: Sequence[Shard], enough: int) -> list[Group]:
    """Cut a set into parts of some `enough` rows; the last may have fewer, and none has less than a shard.

    Args:
        shards: The shards that are there, in order.
        enough: Rows of a part.
    """
    numbers = _numbers([shard.name for shard in shards])
    parts: list[Group] = []
    held: list[str] = []
    first = rows = 0
    for number, shard in zip(numbers, shards, strict=True):
        if not held:
            first = number
        held.append(shard.name)
        rows += size_of(shard)
        # Two lists that differ in one shard soon end a part at the same name, and are alike from there on.
        if rows >= enough or (2 * rows >= enough and _picked(shard.name)):
            parts.append(Group(first, tuple(held)))
            held, rows = [], 0
    if held:
        parts.append(Group(first, tuple(held)))
    return parts


def _picked(name: str) -> bool:
    return zlib.crc32(name.encode()) % 4 == 0


def _numbers(names: Sequence[str]) -> list[int]:
    """Number shards as their names do, or from 0 where the names do not tell them apart."""
    matches = [_NUMBERED.search(name) for name in names]
    found = [int(match[1] or match[2]) for match in matches if match]
    return found if len(set(found)) == len(names) else list(range(len(names)))


def size_of(shard: Shard) -> int:
    """Count a shard's rows, or guess them where only reading would tell."""
    if shard.rows is not None:
        return shard.rows
    return max(1, sum(map(length_of, shard.files)) // _BYTES_A_ROW)
