"""Tars in which nothing is out of the ordinary, taken apart many members at a time.

Almost all are: plain files, called by letters and digits, a dot and what they are, a sample's side by side. What is not
shown to be ordinary here, in the least, is left to `tar_samples.walk`, which alone says what is wrong with a tar; of an
ordinary one it says the same.
"""

from __future__ import annotations

import os
import tarfile
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from pipeline.files.afar.endings import IMAGE_KINDS
from pipeline.readers._contract import MAX_IMAGE_BYTES
from pipeline.readers._leftover import DROPPED_KINDS, is_dropping
from pipeline.readers._tars.plain_headers import BLOCK, SUM_ITSELF

Integers: TypeAlias = NDArray[np.int64]
Blocks: TypeAlias = NDArray[np.uint8]
# Small members lie behind one another: with one header come those of the members that follow, up to the next large one.
_READ = 8192
# The header of a time, the time, and the member's own header.
_MOST_HEADERS = 3 * BLOCK
# Headers that are checked at once: few enough to stay near the processor.
_TOGETHER = 512
# Bytes of a header that the name and the longest suffix behind its dot are within.
_NAME_AND_MORE = 112
_EVEN = np.uint64(0x00FF00FF00FF00FF)
_MOST_ZEROS = 1 << 20
_MOST_SUFFIX = 8
_ZERO = np.uint8(ord("0"))
_LETTERS = np.zeros(256, np.bool_)
_LETTERS[list(b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_-./")] = True
_END = np.zeros(256, np.bool_)
_END[[0, 32]] = True
_MAGIC = np.frombuffer(b"ustar", np.uint8)
_TIME = np.frombuffer(b" mtime=", np.uint8)
_FURTHER = ord("x")


@dataclass(frozen=True, slots=True)
class OrdinaryTar:
    """Readable samples of a tar, in their order.

    Attributes:
        keys: Their keys, no two of them alike.
        kinds: What members are, in lower case: `jpg`, `json`, ….
        begins: `(samples + 1,)` the first member of each sample, and the number of all.
        kind: `(members,)` position in `kinds`.
        offset: `(members,)` the first byte of each.
        size: `(members,)` bytes of each.
    """

    keys: list[str]
    kinds: list[str]
    begins: Integers
    kind: Integers
    offset: Integers
    size: Integers


def ordinary(file: int) -> OrdinaryTar | None:
    """Take a tar apart; None where something about it may be out of the ordinary.

    Args:
        file: Its descriptor.
    """
    found = _headers(file)
    return None if found is None else _samples(*found)


def _headers(file: int) -> tuple[Blocks, Integers, Integers] | None:
    """Find names of plain members, where their bytes begin, and how many these are.

    Each header says where the next one stands; whether all of them say so rightly is looked at together. So is whether
    a header of further keys has one block of them, which is taken for granted here.
    """
    end = os.fstat(file).st_size
    found: list[bytes] = []
    places: list[int] = []
    checked: list[tuple[Blocks, Integers]] = []
    # `last` is where a member may begin in the window at most, so that its headers are in it.
    window, start, last, at = b"", 0, -1, 0
    while at <= end:
        place = at - start
        if place > last:
            window, start, place = os.pread(file, _READ, at), at, 0
            last = len(window) - _MOST_HEADERS
        if len(window) < BLOCK or not window[place]:
            break
        head = place + 2 * BLOCK if window[place + 156] == _FURTHER else place
        try:
            size = int(window[head + 124 : head + 135], 8)
        except ValueError:
            return None
        found.append(window[place : head + BLOCK])
        at = start + head + BLOCK
        places.append(at)
        at += size + -size % BLOCK
        if len(found) == _TOGETHER or size < 0:
            if not _check(found, checked):
                return None
            found = []
    if at > end or not _check(found, checked) or not _ends(file, at, end):
        return None
    names, sizes = (np.concatenate(of) for of in zip(*checked, strict=True))
    return (names, np.array(places), sizes) if places else None


def _ends(file: int, at: int, end: int) -> bool:
    """Tell whether the rest of a tar is its end: two blocks of zeros at least, and nothing but zeros."""
    if not 2 * BLOCK <= end - at <= _MOST_ZEROS:
        return False
    rest = os.pread(file, end - at, at)
    return len(rest) == end - at and not rest.strip(b"\0")


def _check(found: list[bytes], checked: list[tuple[Blocks, Integers]]) -> bool:
    """Check headers as `plain_headers` does one of them, and keep the names and sizes of members.

    Those that go before a member's own may say its time alone.
    """
    if any(len(one) % BLOCK for one in found[-1:]):
        return False
    every = np.frombuffer(b"".join(found), np.uint8).reshape(-1, BLOCK)
    ends = np.cumsum([len(one) for one in found], dtype=np.int64) // BLOCK
    own, timed = every[ends - 1], np.diff(ends, prepend=0) > 1
    regular = (own[:, 156] == tarfile.REGTYPE[0]) | (own[:, 156] == tarfile.AREGTYPE[0])
    if not (regular & (own[:, 345] == 0)).all() or not _are_sound(own):
        return False
    before, lines = every[ends[timed] - 3], every[ends[timed] - 2]
    if not _are_sound(before) or not _say_times(lines, _number(before[:, 124:135])):
        return False
    checked.append((own[:, :_NAME_AND_MORE].copy(), _number(own[:, 124:135])))
    return True


def _are_sound(blocks: Blocks) -> bool:
    """Tell whether headers are whole: sums are right, and numbers are spelled plainly."""
    sizes, told = blocks[:, 124:135], blocks[:, 148:154]
    # What is below "0" turns into much more than 7.
    spelled = (sizes - _ZERO < 8, told - _ZERO < 8, blocks[:, 257:262] == _MAGIC)
    if not (all(field.all() for field in spelled) and _END[blocks[:, [135, 154, 262]]].all()):
        return False
    total = _sums(blocks) - blocks[:, 148:156].sum(1, dtype=np.int64) + SUM_ITSELF
    return bool((total == _number(told)).all())


def _sums(blocks: Blocks) -> Integers:
    """Add up the bytes of each block: eight at a time, in lanes of 16 bits, which hold the sums of 64 pairs."""
    words = blocks.view(np.uint64)
    lanes = (words & _EVEN).sum(1, dtype=np.uint64) + (words >> np.uint64(8) & _EVEN).sum(1, dtype=np.uint64)
    sums: Integers = lanes[:, None].view(np.uint16).sum(1, dtype=np.int64)
    return sums


def _number(digits: Blocks) -> Integers:
    shifts = 3 * np.arange(digits.shape[1] - 1, -1, -1)
    number: Integers = ((digits - _ZERO).astype(np.int64) << shifts).sum(1)
    return number


def _say_times(lines: Blocks, sizes: Integers) -> bool:
    """Tell whether headers of further keys have one line each, with the time of the last change."""
    digits = lines[:, :2].astype(np.int64) - ord("0")
    if ((digits < 0) | (digits > 9)).any():
        return False
    length = digits @ np.array([10, 1])
    newlines = (lines[:, :100] == ord("\n")) & (np.arange(100) < sizes[:, None])
    return bool(
        (length == sizes).all()
        and (lines[:, 2:9] == _TIME).all()
        and (newlines.sum(1) == 1).all()
        and (newlines.argmax(1) == sizes - 1).all()
    )


def _samples(blocks: Blocks, offset: Integers, size: Integers) -> OrdinaryTar | None:
    """Make samples of members by their names, as `tar_samples.walk` does one by one."""
    found = _split(blocks)
    if found is None:
        return None
    stems, kinds, kind = found
    first = np.concatenate([[True], (stems[1:] != stems[:-1]).any(1)])
    sample = np.cumsum(first) - 1
    keys = np.ascontiguousarray(stems[first]).view(f"S{stems.shape[1]}").ravel().astype(str).tolist()
    pictured = np.isin(kind, [place for place, one in enumerate(kinds) if one in IMAGE_KINDS])
    folders = {part for key in keys if "/" in key for part in key.split("/")[:-1]}
    if (
        len(set(keys)) != len(keys)
        or np.bincount(sample * len(kinds) + kind).max() > 1
        or any(map(is_dropping, folders))
        or (size[pictured] > MAX_IMAGE_BYTES).any()
    ):
        return None
    readable = np.bincount(sample[pictured], minlength=len(keys)) > 0
    stays = readable[sample]
    begins = np.concatenate([[0], np.cumsum(np.bincount(sample, minlength=len(keys))[readable])])
    held = [key for key, one in zip(keys, readable.tolist(), strict=True) if one]
    return OrdinaryTar(held, kinds, begins, kind[stays], offset[stays], size[stays])


def _split(blocks: Blocks) -> tuple[Blocks, list[str], Integers] | None:
    """Split names at their one dot: what stands before it, zeros behind, and what kind each is."""
    zeros = blocks[:, :100] == 0
    if not zeros[:, 99].all():
        return None
    length = zeros.argmax(1)
    across = np.arange(length.max())
    names, inside = blocks[:, : len(across)], across < length[:, None]
    dots = (names == ord(".")) & inside
    dot = dots.argmax(1)
    # The name of a folder ends before the dot, and a name begins with neither.
    slashes = (names == ord("/")) & inside & ((across >= dot[:, None] - 1) | (across == 0))
    suffix = length - dot - 1
    if (
        not (_LETTERS[names] | ~inside).all()
        or (dots.sum(1) != 1).any()
        or not dot.all()
        or slashes.any()
        or not (suffix.min() >= 1 and suffix.max() <= _MOST_SUFFIX)
    ):
        return None
    kinds, kind = _kinds(blocks, dot, suffix)
    stems = np.where(across < dot[:, None], names, np.uint8(0))
    return (stems, kinds, kind) if DROPPED_KINDS.isdisjoint(kinds) else None


def _kinds(blocks: Blocks, dot: Integers, suffix: Integers) -> tuple[list[str], Integers]:
    """Name what follows the dot of each member, in lower case."""
    within = np.arange(_MOST_SUFFIX)
    letters = blocks[np.arange(len(blocks))[:, None], dot[:, None] + 1 + within]
    letters = np.where(within < suffix[:, None], letters, 0).astype(np.uint8)
    code = letters.view(np.uint64).ravel()
    ordered = np.sort(code)
    found = ordered[np.concatenate([[True], ordered[1:] != ordered[:-1]])]
    spelled = [bytes(one.tobytes()).rstrip(b"\0").decode().lower() for one in found]
    kinds = list(dict.fromkeys(spelled))
    return kinds, np.array([kinds.index(one) for one in spelled])[np.searchsorted(found, code)]
