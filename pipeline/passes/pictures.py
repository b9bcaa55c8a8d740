"""Images for the report, read from the sets that bring them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import accumulate
from pathlib import Path

from pipeline.passes.beside import find_pictures
from pipeline.readers import Reader, Shard, reader_of
from pipeline.report.request import FetchImages, WantedPicture
from pipeline.sets.source import Source
from pipeline.stores.held_files import held


@dataclass(frozen=True, slots=True)
class Pictured:
    """A set whose images a report shows.

    Attributes:
        source: Where it lies, its format named.
        parts: Number of each part and how many shards it has, in the order of the set; none for a set without images.
        beside: The place that may have the images of a set that brings none.
    """

    source: Source
    parts: tuple[tuple[int, int], ...] = ()
    beside: str = ""


def fetcher(sets: Mapping[str, Pictured]) -> FetchImages:
    """Read images of these sets; each set is listed once, and only the shards of parts with a wanted image are read."""

    @cache
    def listed(name: str) -> tuple[Reader, dict[int, list[Shard]]]:
        source = sets[name].source
        reader = reader_of(str(source.format))
        return reader, _by_part(reader.shards(source), sets[name].parts)

    def own(name: str, wanted: Mapping[str, WantedPicture]) -> Iterator[tuple[str, bytes]]:
        reader, parts = listed(name)
        for number in sorted({one.part for one in wanted.values()}):
            left = {key for key, one in wanted.items() if one.part == number}
            for shard in parts.get(number, ()):
                if left and shard.has_images:
                    with held(shard.files):
                        images = reader.image(sets[name].source, shard, left)
                    yield from images.items()
                    left -= images.keys()

    def fetch(wanted: Mapping[str, Mapping[str, WantedPicture]]) -> dict[tuple[str, str], bytes]:
        found: dict[tuple[str, str], bytes] = {}
        for name in wanted.keys() & sets.keys():
            images = dict(own(name, wanted[name])) if sets[name].parts else {}
            left = {key: one for key, one in wanted[name].items() if key not in images}
            if sets[name].beside and left:
                images |= find_pictures(Path(sets[name].beside), left)
            found |= {(name, key): image for key, image in images.items()}
        return found

    return fetch


def _by_part(shards: list[Shard], parts: tuple[tuple[int, int], ...]) -> dict[int, list[Shard]]:
    ends = accumulate(count for _, count in parts)
    return {number: shards[end - count : end] for (number, count), end in zip(parts, ends, strict=True)}
