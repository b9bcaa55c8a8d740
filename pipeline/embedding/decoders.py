"""Processes that decode ahead of a model, and the memory through which their pixels come: no copy, and no GIL."""

from __future__ import annotations

import atexit
import mmap
import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.embedding.framing import Framing
from pipeline.files.children import ChildFailedError, Children

FUNCTION = "pipeline.embedding.decoding:framed"
SECONDS = 60.0
"""What a piece of work may take; one image alone has as long."""
_IDLE: list[Decoders] = []
_LOCK = threading.Lock()

Json = dict[str, Any]


@contextmanager
def borrowed(count: int) -> Iterator[Decoders]:
    """Lend some processes to one stream; they outlive it, for starting them takes longer than many streams do."""
    with _LOCK:
        fit = next((one for one in _IDLE if (one.count, one.function) == (count, FUNCTION)), None)
        if fit is not None:
            _IDLE.remove(fit)
    decoders = fit or Decoders(count, FUNCTION)
    try:
        yield decoders
    finally:
        with _LOCK:
            _IDLE.append(decoders)


@atexit.register
def _end_all() -> None:
    while _IDLE:
        _IDLE.pop().close()


class Decoders:
    """Some processes, each started when it is first needed, and a piece of memory."""

    def __init__(self, count: int, function: str) -> None:
        self.count, self.function = count, function
        self._shared = os.memfd_create("nearfar-pixels")
        self._children = Children(function, count, SECONDS, shared=(self._shared,))
        self._size = 0
        self._memory = np.empty(0, dtype=np.uint8)

    def memory(self, size: int) -> NDArray[np.uint8]:
        """Give `size` bytes, or more, of the shared memory; what was given before must be out of use."""
        if size > self._size:
            os.ftruncate(self._shared, size)
            self._memory = np.frombuffer(mmap.mmap(self._shared, size), dtype=np.uint8)
            self._size = size
        return self._memory

    def decode(
        self,
        files: Sequence[bytes],
        framings: Sequence[Framing],
        span: tuple[int, int],
        places: Sequence[Sequence[int]],
    ) -> list[str | None]:
        """Have some images decoded into the shared memory.

        Args:
            files: The image files.
            framings: What is made of each.
            span: Where in the memory the places begin, at a page's start, and how many bytes are meant.
            places: For each image and framing, where its pixels go.

        Returns:
            For each image None, or why it has no pixels: what `decode` said, or that it ended its process.
        """
        request: Json = {
            "shared": self._shared,
            "start": span[0],
            "length": span[1],
            "framings": [asdict(one) for one in framings],
            "sizes": [len(file) for file in files],
            "places": places,
        }
        try:
            answer, _ = self._children.call(request, *files)
        except ChildFailedError as error:
            if len(files) == 1:
                return [f"the decoder {error}"]
            # One of them did it: each has a try of its own.
            return [
                self.decode([file], framings, span, [place])[0]
                for file, place in zip(files, places, strict=True)
            ]
        return list(answer["reasons"])

    def close(self) -> None:
        """End the processes; none may be at work."""
        self._children.close()
        os.close(self._shared)
