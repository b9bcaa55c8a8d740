"""Samples of a webdataset tar: neighbouring members of one key, read in place and never unpacked to disk."""

from __future__ import annotations

import tarfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from indexes.errors import DataError
from pipeline.files.afar.endings import IMAGE_KINDS
from pipeline.readers._contract import MAX_IMAGE_BYTES, too_large
from pipeline.readers._tars.tar_members import Opened, Span, content_of, members, opened
from pipeline.readers._tars.tar_names import TEXTS, Names, key_fault
from pipeline.sets.columns import plain_text

MAX_TEXT_BYTES = 16 << 20
FURTHER = "further images of a sample (as .png beside .jpg), not looked at"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What of a tar's members is read on the way: each sample's image, its json and txt."""

    images: bool = False
    texts: bool = False


NOTHING = Wanted()


@dataclass(slots=True)
class Sample:
    """Neighbouring members of one key.

    Attributes:
        key: What the members' names share.
        members: Where each regular file lies, by what follows the key, in lower case: jpg, json, txt, …
        suffixes: What follows the key, of every member.
        fault: Why the sample cannot be read; None if it can.
        content: Bytes of the image, where they were wanted and are not too many.
        texts: Bytes of json and txt, where they were wanted and are not too many.
    """

    key: str
    members: dict[str, Span] = field(default_factory=dict)
    suffixes: set[str] = field(default_factory=set)
    fault: str | None = None
    content: bytes | None = None
    texts: dict[str, bytes] = field(default_factory=dict)

    @property
    def kind(self) -> str | None:
        """Which member is the image; of several, the kind that open_clip would take."""
        return next((kind for kind in IMAGE_KINDS if kind in self.members), None)

    @property
    def image(self) -> Span | None:
        """Where the image lies."""
        return None if self.kind is None else self.members[self.kind]


def scan(path: str, wanted: Wanted = NOTHING, left: Counter[str] | None = None) -> list[Sample]:
    """List the samples of a tar in order, skipping over what is not wanted; `left` as of `walk`.

    Raises:
        DataError: As `walk`.
    """
    with opened(path) as file:
        return list(walk(file, path, wanted, left))


def walk(file: Opened, path: str, wanted: Wanted, left: Counter[str] | None = None) -> Iterator[Sample]:
    """Go through a tar from front to back, and give each sample when its last member has passed.

    A new sample begins where the key changes, or where a suffix repeats: LAION-400M has such collisions.
    `left` counts the members that belong to no sample, by kind.

    Raises:
        DataError: If the tar is damaged or truncated, or a key comes again after another one.
    """
    seen: set[str] = set()
    scattered: list[str] = []
    sample: Sample | None = None
    names, others = Names(path), Counter[str]() if left is None else left
    for member in members(file, path):
        split = None if member.isdir() else names.split(member.name, others)
        if split is None:
            continue
        key, suffix = split
        if sample is None or sample.key != key or suffix in sample.suffixes:
            if sample is not None:
                seen.add(sample.key)
                scattered += [key] if key != sample.key and key in seen else []
                yield _finished(sample, others)
            sample = Sample(key)
        _add(sample, suffix, member)
        _fetch(sample, suffix, file, path, wanted)
    if sample is not None:
        yield _finished(sample, others)
    _refuse_scattered(scattered, path)


def _fetch(sample: Sample, suffix: str, file: Opened, path: str, wanted: Wanted) -> None:
    """Read the member that has just been added, if it is wanted."""
    span = sample.members.get(suffix)
    if span is None:
        return
    if wanted.images and sample.kind == suffix:
        sample.content = content_of(file, span, path) if span.size <= MAX_IMAGE_BYTES else None
    elif wanted.texts and suffix in TEXTS and span.size <= MAX_TEXT_BYTES:
        sample.texts[suffix] = content_of(file, span, path)


def _finished(sample: Sample, others: Counter[str]) -> Sample:
    further = sum(kind in IMAGE_KINDS for kind in sample.members) - 1
    if further > 0:
        others[FURTHER] += further
    sample.fault = key_fault(sample.key) or sample.fault or _image_fault(sample)
    sample.key = plain_text(sample.key)
    return sample


def _add(sample: Sample, suffix: str, member: tarfile.TarInfo) -> None:
    sample.suffixes.add(suffix)
    if member.type not in (tarfile.REGTYPE, tarfile.AREGTYPE) or member.sparse is not None:
        sample.fault = sample.fault or f"its .{plain_text(suffix)} is {_type(member)}, not a regular file"
    else:
        sample.members[suffix] = Span(member.offset_data, member.size)


def _type(member: tarfile.TarInfo) -> str:
    if member.issym() or member.islnk():
        return "a link"
    return "a device" if member.isdev() else "of a special type"


def _image_fault(sample: Sample) -> str | None:
    if sample.image is None:
        kinds = ", ".join(sorted(plain_text(suffix) for suffix in sample.suffixes))
        return f"no image ({', '.join(IMAGE_KINDS)}) among its members: {kinds}"
    return too_large(sample.image.size) if sample.image.size > MAX_IMAGE_BYTES else None


def _refuse_scattered(keys: list[str], path: str) -> None:
    """Refuse keys that came again after others: which parts belong together cannot be told."""
    if keys:
        first = ", ".join(ascii(key) for key in keys[:5])
        raise DataError(
            f"the tar '{path}' has {len(keys):,} keys in more than one place ({first}), so which image "
            "has which caption cannot be told. Write the shard again with each sample's files side by side"
        )
