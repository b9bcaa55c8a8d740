"""From image files to float16 unit vectors, in order, with the same bits on any number of threads."""

from __future__ import annotations

import itertools
import os
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from indexes.canonical import REASONS, ZERO_NORM, canonical
from indexes.errors import BadInputError
from pipeline.embedding.encoder import Encoder, OutOfDeviceMemory, single_threaded
from pipeline.files.images import ImageRejected, decode

BATCH_SIZE = 64
_NO_MEMORY = "out of device memory"


@dataclass(frozen=True, slots=True, eq=False)
class Embedded:
    """What became of one image: its vector, or the reason why it has none.

    Attributes:
        key: The image's key, as it came.
        vector: `(d,)` float16 of unit norm, or None.
        reason: None, or the word for quarantine: what `decode` said, "nan", "infinite", "zero", or
            "out of device memory".
    """

    key: str
    vector: NDArray[np.float16] | None
    reason: str | None


def embed_stream(
    encoder: Encoder,
    items: Iterable[tuple[str, bytes]],
    batch_size: int = BATCH_SIZE,
    threads: int | None = None,
) -> Iterator[Embedded]:
    """Embed a stream of image files; yields one `Embedded` for each item, in the order of the items.

    Batches of `batch_size` items run side by side on `threads` threads, each with one thread of torch. Every
    batch that reaches the model has exactly `batch_size` rows (missing ones are zero), so a vector depends on
    its image and the batch size, not on its neighbours, the number of threads, or where a shard ends.

    Args:
        encoder: The image encoder.
        items: (key, content of the file).
        batch_size: Images for one forward pass; halved where the device's memory is too small.
        threads: Threads; all cores of this process by default.

    Raises:
        BadInputError: If `batch_size` or `threads` is below 1.
    """
    workers = len(os.sched_getaffinity(0)) if threads is None else threads
    if batch_size < 1 or workers < 1:
        raise BadInputError(f"batch_size and threads must be at least 1; got {batch_size} and {workers}")
    return _stream(encoder, iter(items), batch_size, workers)


def _stream(
    encoder: Encoder, items: Iterator[tuple[str, bytes]], batch_size: int, workers: int
) -> Iterator[Embedded]:
    turn: AbstractContextManager[object] = nullcontext() if encoder.device == "cpu" else threading.Lock()
    pending: deque[Future[list[Embedded]]] = deque()
    with single_threaded() as settle, ThreadPoolExecutor(workers, initializer=settle) as pool:
        try:
            while batch := list(itertools.islice(items, batch_size)):
                pending.append(pool.submit(_embed_batch, encoder, batch, batch_size, turn))
                if len(pending) > 2 * workers:
                    yield from pending.popleft().result()
            while pending:
                yield from pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()


def _embed_batch(
    encoder: Encoder, batch: list[tuple[str, bytes]], batch_size: int, turn: AbstractContextManager[object]
) -> list[Embedded]:
    side = encoder.image_size
    prepared = np.zeros((batch_size, 3, side, side), dtype=np.float32)
    reasons: list[str | None] = [None] * len(batch)
    for row, (_, content) in enumerate(batch):
        try:
            prepared[row] = encoder.prepare(decode(content))
        except ImageRejected as rejected:
            reasons[row] = rejected.reason
    with turn:
        vectors, fitted = _forward(encoder, prepared)
    units = canonical(_normalised(vectors))
    healthy = iter(units.vectors)
    found = [next(healthy) if good else None for good in units.healthy[: len(batch)]]
    reasons = [
        reason or (None if good else _NO_MEMORY) or REASONS[code] or None
        for reason, good, code in zip(reasons, fitted, units.reasons, strict=False)
    ]
    return [
        Embedded(key, None if reason else vector, reason)
        for (key, _), vector, reason in zip(batch, found, reasons, strict=True)
    ]


def _forward(encoder: Encoder, prepared: NDArray[np.float32]) -> tuple[NDArray[np.float32], list[bool]]:
    """Embed all rows, in ever smaller batches where memory runs out; and say which rows did fit."""
    try:
        return encoder.embed(prepared), [True] * len(prepared)
    except OutOfDeviceMemory:
        if len(prepared) == 1:
            return np.zeros((1, encoder.width), dtype=np.float32), [False]
    middle = len(prepared) // 2
    first, second = (_forward(encoder, half) for half in (prepared[:middle], prepared[middle:]))
    return np.concatenate([first[0], second[0]]), first[1] + second[1]


def _normalised(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Divide by the norm; rows without a direction stay as they are, for `canonical` to name."""
    norms = np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)
    usable = np.isfinite(norms) & (norms >= ZERO_NORM)
    return (vectors / np.where(usable, norms, 1.0)).astype(np.float32)
