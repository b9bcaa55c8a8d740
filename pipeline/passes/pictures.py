"""Images for the report, read from the sets that bring them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from itertools import accumulate

from pipeline.readers import Reader, Shard, reader_of
from pipeline.report.request import FetchImages
from pipeline.sets.source import Source


@dataclass(frozen=True, slots=True)
class Pictured:
    """A set with images.

    Attributes:
        source: Where it lies, its format named.
        parts: Number of each part and how many shards it has, in the order of the set.
    """

    source: Source
    parts: tuple[tuple[int, int], ...]


def fetcher(sets: Mapping[str, Pictured]) -> FetchImages:
    """Read images of these sets; each set is listed once, and only the shards of parts with a wanted image are read."""

    @cache
    def listed(name: str) -> tuple[Reader, dict[int, list[Shard]]]:
        source = sets[name].source
        reader = reader_of(str(source.format))
        return reader, _by_part(reader.shards(source), sets[name].parts)

    def fetch(wanted: Mapping[str, Mapping[str, int]]) -> dict[tuple[str, str], bytes]:
        found: dict[tuple[str, str], bytes] = {}
        for name in wanted.keys() & sets.keys():
            reader, parts = listed(name)
            for number in sorted(set(wanted[name].values())):
                left = {key for key, part in wanted[name].items() if part == number}
                for shard in parts.get(number, ()):
                    images = reader.image(sets[name].source, shard, left) if left and shard.has_images else {}
                    found |= {(name, key): image for key, image in images.items()}
                    left -= images.keys()
        return found

    return fetch


def _by_part(shards: list[Shard], parts: tuple[tuple[int, int], ...]) -> dict[int, list[Shard]]:
    ends = accumulate(count for _, count in parts)
    return {number: shards[end - count : end] for (number, count), end in zip(parts, ends, strict=True)}
