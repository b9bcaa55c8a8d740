"""From image files and captions to float16 unit vectors, in order, with the same bits on any number of threads."""

from __future__ import annotations

import itertools
import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from indexes.canonical import REASONS, ZERO_NORM, canonical
from indexes.errors import BadInputError
from pipeline.embedding.encoder import Encoder, OutOfDeviceMemory, single_threaded
from pipeline.files.images import ImageRejected, decode

BATCH_SIZE = 64
TEXT_BATCH = 64
Item = TypeVar("Item")
_NO_MEMORY = "out of device memory"
_NO_CAPTION = "no caption"


# The job of one batch: called with the turn to take at the device.
_Turn: TypeAlias = AbstractContextManager[object]
_Job: TypeAlias = Callable[[_Turn], "list[Embedded]"]


@dataclass(frozen=True, slots=True, eq=False)
class Embedded:
    """What became of one image or caption: its vector, or the reason why it has none.

    Attributes:
        key: The image's key, as it came; a caption's number in its list.
        vector: `(d,)` float16 of unit norm, or None.
        reason: None, or why there is no vector: what `decode` said, "no caption", "nan", "infinite", "zero", or
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
        encoder: The encoder.
        items: (key, content of the file).
        batch_size: Images for one forward pass; halved where the device's memory is too small.
        threads: Threads; all cores of this process by default.

    Raises:
        BadInputError: If `batch_size` or `threads` is below 1.
    """
    workers = _checked(batch_size, threads)
    jobs = (partial(_embed_images, encoder, batch, batch_size) for batch in _batched(items, batch_size))
    return _side_by_side(encoder, jobs, workers)


def embed_texts(
    encoder: Encoder,
    captions: Sequence[str | None],
    threads: int | None = None,
    batch_size: int = TEXT_BATCH,
) -> list[Embedded]:
    """Embed captions by the encoder's text tower, with the same bits on any number of threads.

    As with images, every batch has exactly `batch_size` rows, so a vector depends on its caption and the batch
    size alone. An empty caption is embedded as the empty text.

    Args:
        encoder: The encoder.
        captions: One for each row; None where there is none.
        threads: Threads; all cores of this process by default.
        batch_size: Captions for one forward pass; halved where the device's memory is too small.

    Returns:
        One `Embedded` for each caption, in order; its key is the caption's number. None has the reason
        "no caption".

    Raises:
        BadInputError: If `batch_size` or `threads` is below 1.
        DataError: If the model's tokenizer is not on this machine.
    """
    workers = _checked(batch_size, threads)
    spoken = ((str(row), caption) for row, caption in enumerate(captions) if caption is not None)
    # Tokens are made by one thread: not every tokenizer can be used by several at a time.
    jobs = (
        partial(_embed_captions, encoder, [key for key, _ in batch], _padded(encoder, batch, batch_size))
        for batch in _batched(spoken, batch_size)
    )
    found = _side_by_side(encoder, jobs, workers)
    return [
        Embedded(str(row), None, _NO_CAPTION) if caption is None else next(found)
        for row, caption in enumerate(captions)
    ]


def _checked(batch_size: int, threads: int | None) -> int:
    workers = len(os.sched_getaffinity(0)) if threads is None else threads
    if batch_size < 1 or workers < 1:
        raise BadInputError(f"batch_size and threads must be at least 1; got {batch_size} and {workers}")
    return workers


def _batched(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    following = iter(items)
    while batch := list(itertools.islice(following, size)):
        yield batch


def _side_by_side(encoder: Encoder, jobs: Iterator[_Job], workers: int) -> Iterator[Embedded]:
    """Run the jobs of batches on threads, few of them ahead; their results come in order."""
    turn: _Turn = nullcontext() if encoder.device == "cpu" else threading.Lock()
    pending: deque[Future[list[Embedded]]] = deque()
    with single_threaded() as settle, ThreadPoolExecutor(workers, initializer=settle) as pool:
        try:
            for job in jobs:
                pending.append(pool.submit(job, turn))
                if len(pending) > 2 * workers:
                    yield from pending.popleft().result()
            while pending:
                yield from pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()


def _embed_images(
    encoder: Encoder, batch: list[tuple[str, bytes]], batch_size: int, turn: _Turn
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
        vectors, fitted = _forward(encoder.embed, prepared, encoder.width)
    return _finished([key for key, _ in batch], reasons, vectors, fitted)


def _padded(encoder: Encoder, batch: list[tuple[str, str]], batch_size: int) -> NDArray[np.int64]:
    """Tokenize a batch; missing rows are the empty text."""
    return encoder.tokenize([caption for _, caption in batch] + [""] * (batch_size - len(batch)))


def _embed_captions(
    encoder: Encoder, keys: list[str], tokens: NDArray[np.int64], turn: _Turn
) -> list[Embedded]:
    with turn:
        vectors, fitted = _forward(encoder.embed_tokens, tokens, encoder.width)
    return _finished(keys, [None] * len(keys), vectors, fitted)


def _finished(
    keys: list[str], reasons: list[str | None], vectors: NDArray[np.float32], fitted: list[bool]
) -> list[Embedded]:
    """Bring vectors into the canonical form and say why some are none; the batch may have rows behind the keys."""
    units = canonical(_normalised(vectors))
    healthy = iter(units.vectors)
    found = [next(healthy) if good else None for good in units.healthy[: len(keys)]]
    told = [
        reason or (None if good else _NO_MEMORY) or REASONS[code] or None
        for reason, good, code in zip(reasons, fitted, units.reasons, strict=False)
    ]
    return [
        Embedded(key, None if reason else vector, reason)
        for key, vector, reason in zip(keys, found, told, strict=True)
    ]


def _forward(
    embed: Callable[[Any], NDArray[np.float32]], rows: NDArray[Any], width: int
) -> tuple[NDArray[np.float32], list[bool]]:
    """Embed all rows, in ever smaller batches where memory runs out; and say which rows did fit."""
    try:
        return embed(rows), [True] * len(rows)
    except OutOfDeviceMemory:
        if len(rows) == 1:
            return np.zeros((1, width), dtype=np.float32), [False]
    middle = len(rows) // 2
    first, second = (_forward(embed, half, width) for half in (rows[:middle], rows[middle:]))
    return np.concatenate([first[0], second[0]]), first[1] + second[1]


def _normalised(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Divide by the norm; rows without a direction stay as they are, for `canonical` to name."""
    norms = np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)
    usable = np.isfinite(norms) & (norms >= ZERO_NORM)
    return (vectors / np.where(usable, norms, 1.0)).astype(np.float32)
