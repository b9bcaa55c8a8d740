"""What the processes that decode do: image files in, framed pixels into the memory that they share with the encoder."""

from __future__ import annotations

import mmap
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.embedding.fast_jpeg import reduced
from pipeline.embedding.framing import Framing
from pipeline.files.images import ImageRejected, decode

UNFRAMED = "a side would have no pixel left"

Json = dict[str, Any]


def framed(request: Json, content: bytes) -> tuple[Json, bytes]:
    """Decode some images and write the pixels of each framing; runs in a process that may die of it.

    Args:
        request: `shared`: the number of the shared file; `start` and `length`: the bytes of it that are meant;
            `framings`; `sizes`: bytes of each image; `places`: for each image and framing, where its pixels go,
            counted from `start`.
        content: The files, one after the other.

    Returns:
        `reasons`: for each image None, or why it has no pixels; and no bytes.
    """
    window = _window(request["shared"], request["start"], request["length"])
    framings = [Framing(**one | {"fill": tuple(one["fill"])}) for one in request["framings"]]
    reasons: list[str | None] = []
    begin = 0
    for size, places in zip(request["sizes"], request["places"], strict=True):
        reasons.append(_one(content[begin : begin + size], framings, places, window))
        begin += size
    return {"reasons": reasons}, b""


def _one(
    content: bytes, framings: Sequence[Framing], places: Sequence[int], window: NDArray[np.uint8]
) -> str | None:
    try:
        for place, pixels in zip(places, _frames(content, framings), strict=True):
            window[place : place + pixels.size] = pixels.reshape(-1)
    except ImageRejected as rejected:
        return rejected.reason
    return None


def _frames(content: bytes, framings: Sequence[Framing]) -> Iterator[NDArray[np.uint8]]:
    """Frame one image for each framing; it is decoded once by Pillow, and once for each that takes a faster decoder."""
    whole: Image.Image | None = None
    for framing in framings:
        plain = framing.decoder == "pillow" or framing.crop
        quick = None if plain else reduced(content, framing)
        if quick is None and whole is None:
            whole = decode(content)
        image, size = quick if quick is not None else (whole, None)
        assert image is not None  # noqa: S101 - one of the two decoded it
        try:
            yield framing.frame(image, size)
        except ValueError as error:
            raise ImageRejected(UNFRAMED) from error


def _window(shared: int, start: int, length: int) -> NDArray[np.uint8]:
    # For one piece of work alone: what stays mapped counts against the process's bound of memory.
    return np.frombuffer(mmap.mmap(shared, length, offset=start), dtype=np.uint8)
