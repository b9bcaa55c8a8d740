"""One tar of an export, put together some samples at a time.

Few bytes go through Python: those of `json`, which gets the uid, of a caption that stands in place of the source's, and
of arrays, which may hold a pickle. All others are read from the source right into their places in the new file's next
piece, beside headers that are made for many members at once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.execution.side_by_side import check_wanted
from pipeline.webdataset import hashed_writing
from pipeline.webdataset.hashed_writing import HashedWriter
from pipeline.webdataset.json_uid import LEFT, marked, parsed
from pipeline.webdataset.member_columns import MADE, member_columns
from pipeline.webdataset.small_members import SMALL, SmallMembers
from pipeline.webdataset.source_tars import ReadInto, SourceTars
from pipeline.webdataset.tar_writing import BLOCK, LARGEST, ending, header
from pipeline.webdataset.uid_headers import UidHeaders
from pipeline.webdataset.unpickled import is_unpickled

Integers = NDArray[np.int64]
# What a sample may take beside its members as the source has them: a block for the uid, two for a json and a cls each.
_BESIDE_A_SAMPLE = 5 * BLOCK
_MOST_SAMPLES = 4096


@dataclass(frozen=True, slots=True)
class FilledSamples:
    """Samples as they stand in the tar; their bytes are there only until more are written.

    Attributes:
        uids: Their uids.
        copies: `(n,)` which copy each is: 0 for the first.
        kinds: What members are.
        kind: `(m,)` position in `kinds`.
        sample: `(m,)` number of its sample.
        place: `(m,)` where its bytes begin in `room`.
        size: `(m,)` how many they are.
        room: What was written.
        said: What their jsons say, by the number of the sample, of those that were read on the way.
    """

    uids: list[str]
    copies: Integers
    kinds: list[str]
    kind: Integers
    sample: Integers
    place: Integers
    size: Integers
    room: memoryview
    said: Mapping[int, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def keys(self) -> list[str]:
        """What the members of each are called."""
        if not self.copies.any():
            return self.uids
        return [key_of(uid, copy) for uid, copy in zip(self.uids, self.copies.tolist(), strict=True)]

    def of(self, kind: str, most: int) -> Iterator[tuple[int, bytes]]:
        """Give the members of one kind that have at most so many bytes, each with the number of its sample."""
        if kind not in self.kinds:
            return
        mine = np.flatnonzero((self.kind == self.kinds.index(kind)) & (self.size <= most))
        columns = (column[mine].tolist() for column in (self.sample, self.place, self.size))
        for sample, place, size in zip(*columns, strict=True):
            yield sample, bytes(self.room[place : place + size])


class TarFilling:
    """Writes the samples of one tar.

    Args:
        rows: The samples in their order, as `LOCATED` describes them.
        paths: Where the file of each lies.
        sources: What reads them.
        stream: Takes the tar.
        told: Is told what was written, some samples at a time.

    Attributes:
        jsons: How many jsons came about in which way; see `json_uid`.
        left_out: How many members of each kind stay behind, since a loader would unpickle them.
    """

    def __init__(
        self,
        rows: pa.Table,
        paths: list[str],
        sources: SourceTars,
        stream: HashedWriter,
        told: Callable[[FilledSamples], None] | None = None,
    ) -> None:
        self._rows, self._paths, self._sources, self._stream, self._told = rows, paths, sources, stream, told
        self._small = SmallMembers(sources)
        self._copies = rows.column("copy").to_numpy()
        self._members = members = member_columns(rows)
        self._headers = UidHeaders(members.kinds)
        self._json = members.kinds.index("json")
        too_large = int(np.count_nonzero((members.kind == self._json) & ~members.looked_at))
        self.jsons = Counter({LEFT: too_large} if too_large else {})
        self.left_out = members.left_out
        self._said: dict[int, Mapping[str, Any]] = {}

    def write(self) -> None:
        """Write all samples, and the end of the tar."""
        members = self._members
        each = np.bincount(members.sample, BLOCK + padded(members.size), len(self._rows))
        batches = _batches(each.astype(np.int64) + _BESIDE_A_SAMPLE, hashed_writing.PIECE)
        self._stream.write(ending(sum(self._add(first, last) for first, last in batches)))

    def _add(self, first: int, last: int) -> int:
        """Write some samples; returns how many bytes they take."""
        check_wanted()
        of = self._members
        rows = self._rows.slice(first, last - first)
        uids = rows.column("uid").to_pylist()
        members = np.arange(of.begins[first], of.begins[last])
        held, begins = self._read_small(members, first, last)
        looked = of.looked_at[members]
        made = self._made(members[looked], begins[looked], held, first, rows, uids)
        if None in made:
            stays = np.ones(len(members), np.bool_)
            stays[np.flatnonzero(looked)[[content is None for content in made]]] = False
            members, begins, looked = members[stays], begins[stays], looked[stays]
        contents = [content for content in made if content is not None]
        sizes = of.size[members]
        sizes[looked] = [len(content) for content in contents]
        room, places = self._laid_out(members, sizes, np.array(uids, "S32"), first)
        for place, content in zip(places[looked].tolist(), contents, strict=True):
            room[place : place + len(content)] = content
        copied = ~looked & (begins != MADE)
        columns = (column[copied].tolist() for column in (places, begins, sizes))
        for place, begin, size in zip(*columns, strict=True):
            room[place : place + size] = held[begin : begin + size]
        read = ~looked & ~copied
        where = (of.sample[members[read]] - first, of.offset[members[read]], places[read], sizes[read])
        paths = self._paths[first:last]
        self._sources.read(
            ReadInto(paths[sample], offset, room[place : place + size])
            for sample, offset, place, size in zip(*(column.tolist() for column in where), strict=True)
        )
        if self._told is not None:
            where = (of.kind[members], of.sample[members] - first, places, sizes)
            self._told(FilledSamples(uids, self._copies[first:last], of.kinds, *where, room, self._said))
        return len(room)

    def _read_small(self, members: Integers, first: int, last: int) -> tuple[memoryview, Integers]:
        """Read what is looked at or small; gives what was read, and where each begins in it, `MADE` for others."""
        of = self._members
        begins = np.full(len(members), MADE)
        small = (of.looked_at[members] | (of.size[members] <= SMALL)) & (of.offset[members] != MADE)
        read = members[small]
        where = (of.sample[read] - first, of.offset[read], of.size[read])
        held, begins[small] = self._small.read(self._paths[first:last], *where)
        return held, begins

    def _made(
        self,
        members: Integers,
        begins: Integers,
        held: memoryview,
        first: int,
        rows: pa.Table,
        uids: list[str],
    ) -> list[bytes | None]:
        """Make the bytes of members that are looked at; None for one that stays behind."""
        self._said = dict[int, Mapping[str, Any]]()
        captions, numbers = (rows.column(name).to_pylist() for name in ("caption", "cls"))
        of = self._members
        found: list[bytes | None] = []
        columns = (of.kind[members], of.sample[members] - first, begins, begins + of.size[members])
        for kind, sample, begin, end in zip(*(column.tolist() for column in columns), strict=True):
            own = None if begin == MADE else bytes(held[begin:end])
            if kind == self._json:
                said = parsed(own)
                if said is not None or own is None:
                    self._said[sample] = said or {}
                content, how = marked(own, said, uids[sample])
                self.jsons[how] += 1
                found.append(content)
            elif of.kinds[kind] == "txt":
                found.append(captions[sample].encode())
            elif of.kinds[kind] == "cls":
                found.append(str(numbers[sample]).encode())
            elif own is None or is_unpickled(of.kinds[kind], own):
                found.append(None)
                self.left_out[of.kinds[kind]] += 1
            else:
                found.append(own)
        return found

    def _laid_out(
        self, members: Integers, sizes: Integers, uids: NDArray[np.bytes_], first: int
    ) -> tuple[memoryview, Integers]:
        """Write headers, and zeros behind members; gives room for all, and where in it each member's bytes go."""
        of = self._members
        kinds, samples = of.kind[members], of.sample[members]
        plain = self._headers.plain[kinds] & (self._copies[samples] == 0) & (sizes <= LARGEST)
        other = {
            place: self._header(int(members[place]), int(sizes[place]), uids[samples[place] - first])
            for place in np.flatnonzero(~plain).tolist()
        }
        heads = np.full(len(members), BLOCK)
        heads[list(other)] = [len(head) for head in other.values()]
        whole = heads + padded(sizes)
        starts = np.cumsum(whole) - whole
        room = self._stream.room(int(whole.sum()))
        blocks = np.frombuffer(room, np.uint8).reshape(-1, BLOCK)
        digits = uids.view(np.uint8).reshape(-1, uids.itemsize)[samples - first]
        blocks[starts[plain] // BLOCK] = self._headers.blocks(kinds[plain], digits[plain], sizes[plain])
        for place, head in other.items():
            room[starts[place] : starts[place] + len(head)] = head
        ends = starts + heads + sizes
        blocks[ends[ends % BLOCK > 0] // BLOCK] = 0
        return room, starts + heads

    def _header(self, member: int, size: int, uid: bytes) -> bytes:
        of = self._members
        copy = int(self._copies[of.sample[member]])
        return header(f"{key_of(uid.decode(), copy)}.{of.kinds[of.kind[member]]}", size)


def key_of(uid: str, copy: int) -> str:
    """Name the members of a sample: by its uid, and further copies of a repeated one by their number too."""
    return f"{uid}-{copy}" if copy else uid


def padded(sizes: Integers) -> Integers:
    """Fill up to whole blocks."""
    return sizes + -sizes % BLOCK


def _batches(sizes: Integers, piece: int) -> Iterator[tuple[int, int]]:
    """Cut samples of so many bytes into runs that fill a piece, or have one sample."""
    ends = np.cumsum(sizes)
    first = 0
    while first < len(ends):
        room = int(ends[first] - sizes[first]) + piece
        last = min(first + _MOST_SAMPLES, int(np.searchsorted(ends, room, side="right")))
        yield first, max(last, first + 1)
        first = max(last, first + 1)
