"""From captions to float16 unit vectors, in order, with the same bits on any number of threads."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from functools import partial
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from pipeline.embedding.batch_room import BatchRoom
from pipeline.embedding.batches import Embedded, Turn, batched, checked_sizes, finished
from pipeline.embedding.encoder import Encoder, single_threaded

TEXT_BATCH = 64
_NO_CAPTION = "no caption"
# The job of one batch: called with the turn to take at the device.
_Job: TypeAlias = Callable[[Turn], list[Embedded]]


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
        OutOfDeviceMemory: If not even one caption fits the device.
    """
    workers = checked_sizes(batch_size, threads)
    spoken = ((str(row), caption) for row, caption in enumerate(captions) if caption is not None)
    # Tokens are made by one thread: not every tokenizer can be used by several at a time.
    room = BatchRoom(batch_size)
    jobs = (
        partial(
            _embed_captions, encoder, room, [key for key, _ in batch], _padded(encoder, batch, batch_size)
        )
        for batch in batched(spoken, batch_size)
    )
    found = _side_by_side(encoder, jobs, workers)
    return [
        Embedded(str(row), None, _NO_CAPTION) if caption is None else next(found)
        for row, caption in enumerate(captions)
    ]


def _side_by_side(encoder: Encoder, jobs: Iterator[_Job], workers: int) -> Iterator[Embedded]:
    """Run the jobs of batches on threads, few of them ahead; their results come in order."""
    turn: Turn = nullcontext() if encoder.device == "cpu" else threading.Lock()
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


def _padded(encoder: Encoder, batch: list[tuple[str, str]], batch_size: int) -> NDArray[np.int64]:
    """Tokenize a batch; missing rows are the empty text."""
    return encoder.tokenize([caption for _, caption in batch] + [""] * (batch_size - len(batch)))


def _embed_captions(
    encoder: Encoder, room: BatchRoom, keys: list[str], tokens: NDArray[np.int64], turn: Turn
) -> list[Embedded]:
    with turn:
        vectors = room.forward(encoder.embed_tokens, tokens, encoder.width)
    return finished(keys, [None] * len(keys), vectors)
