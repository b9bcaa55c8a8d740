"""From image files to float16 unit vectors, in order, by one encoder or several in one pass.

Processes decode ahead of the models; what they make of a batch lies in memory that they share with this process. A file
that ends its decoder costs that process and that image.
"""

from __future__ import annotations

import mmap
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.embedding.batch_room import BatchRoom
from pipeline.embedding.batches import Embedded, Turn, batched, checked_sizes, finished
from pipeline.embedding.decoder_parity import held_to_pillow
from pipeline.embedding.decoders import Decoders, borrowed
from pipeline.embedding.encoder import Encoder, single_threaded
from pipeline.embedding.framing import Framing

BATCH_SIZE = 16
"""Images of one pass on a processor: what is on its way between two layers then fits the caches, and the memory that
it lay in is used again. Of 64, a tenth of the time goes into new pages."""
DEVICE_BATCH = 256
"""Images of one pass on a GPU, which takes small ones no sooner."""
GROUP = 8
"""Images that a decoder is handed at a time, and how many bytes of them at most but for the last."""
GROUP_BYTES = 8 << 20
_ON_DEVICE = 2

Images = Iterable[tuple[str, bytes]]
Reasons = list[str | None]
"""For each image None, or why it has no pixels."""


def embed_stream(
    encoder: Encoder, items: Images, batch_size: int | None = None, threads: int | None = None
) -> Iterator[Embedded]:
    """Embed a stream of image files; yields one `Embedded` for each item, in the order of the items.

    Args:
        encoder: The encoder.
        items: (key, content of the file).
        batch_size: As for `embed_by_several`.
        threads: As for `embed_by_several`.

    Raises:
        BadInputError: If `batch_size` or `threads` is below 1.
    """
    return (found for (found,) in embed_by_several([encoder], items, batch_size, threads))


def embed_by_several(
    encoders: Sequence[Encoder], items: Images, batch_size: int | None = None, threads: int | None = None
) -> Iterator[tuple[Embedded, ...]]:
    """Embed a stream of image files by each of some encoders; a file is read and decoded once for all of them.

    Every batch that reaches a model has exactly `batch_size` rows (missing ones are whatever was there), and on a
    processor each pass runs on one thread of torch, several passes side by side. So a vector depends on its image and
    the batch size, not on its neighbours, the number of threads or processes, or where a shard ends.

    Args:
        encoders: The encoders, all on one device.
        items: (key, content of the file).
        batch_size: Images for one forward pass, by default 16, and 256 on a GPU; fewer where the memory is too small.
        threads: Decoding processes, and threads on a processor; all cores of this process by default.

    Yields:
        One tuple for each item, in the order of the items: an `Embedded` for each encoder.

    Raises:
        BadInputError: If `batch_size` or `threads` is below 1.
        DataError: If the decoder of an encoder is not Pillow, and changes similarities on the first images.
        OutOfDeviceMemory: If not even one image fits the device.
    """
    on_cpu = all(encoder.device == "cpu" for encoder in encoders)
    rows = batch_size if batch_size is not None else BATCH_SIZE if on_cpu else DEVICE_BATCH
    workers = checked_sizes(rows, threads)

    def look(by: Sequence[Encoder], few: Sequence[tuple[str, bytes]]) -> Iterator[tuple[Embedded, ...]]:
        return _stream(by, few, rows, workers, on_cpu)

    return _stream(encoders, held_to_pillow(encoders, items, look), rows, workers, on_cpu)


@dataclass(frozen=True, slots=True)
class Slots:
    """Where the pixels of some batches lie in shared memory: for each framing `rows` images, from a page's start.

    Attributes:
        rows: Images of a batch.
        framings: What is made of each image.
        count: Batches that may be on their way at a time.
    """

    rows: int
    framings: tuple[Framing, ...]
    count: int

    @property
    def size(self) -> int:
        """Bytes of one batch."""
        return self._start(len(self.framings))

    def _start(self, which: int) -> int:
        pages = (-(-self.rows * one.bytes // mmap.PAGESIZE) for one in self.framings[:which])
        return sum(pages) * mmap.PAGESIZE

    def places(self, row: int) -> list[int]:
        """Say where in a batch's bytes the pixels of an image go, for each framing."""
        return [self._start(which) + row * one.bytes for which, one in enumerate(self.framings)]

    def pixels(self, memory: NDArray[np.uint8], slot: int, framing: Framing) -> NDArray[np.uint8]:
        """View the batch in a slot as `(rows, tall, wide, 3)` uint8."""
        start = slot * self.size + self._start(self.framings.index(framing))
        flat = memory[start : start + self.rows * framing.bytes]
        return flat.reshape(self.rows, framing.tall, framing.wide, 3)


def slots_for(rows: int, framings: tuple[Framing, ...], decoders: int, passes: int) -> Slots:
    """Plan as many batches as keep `passes` models and twice as many groups as there are decoders at work."""
    decoded = -(-2 * decoders * min(GROUP, rows) // rows)
    return Slots(rows, framings, passes + decoded + 1)


@dataclass(frozen=True, slots=True)
class _Models:
    """The encoders, the room of each, the turn to take at their device, and where the pixels lie."""

    encoders: Sequence[Encoder]
    rooms: Sequence[BatchRoom]
    turn: Turn
    slots: Slots
    memory: NDArray[np.uint8]

    def embed(self, keys: list[str], slot: int, parts: list[Future[Reasons]]) -> list[tuple[Embedded, ...]]:
        """Embed the batch in a slot, once all parts of it are decoded."""
        reasons = [reason for part in parts for reason in part.result()]
        told = []
        for encoder, room in zip(self.encoders, self.rooms, strict=True):
            pixels = self.slots.pixels(self.memory, slot, encoder.framing)
            with self.turn:
                vectors = room.forward(encoder.embed_pixels, pixels, encoder.width)
            told.append(finished(keys, reasons, vectors))
        return list(zip(*told, strict=True))


def _stream(
    encoders: Sequence[Encoder], items: Images, rows: int, workers: int, on_cpu: bool
) -> Iterator[tuple[Embedded, ...]]:
    passes = workers if on_cpu else _ON_DEVICE
    slots = slots_for(rows, tuple(dict.fromkeys(one.framing for one in encoders)), workers, passes)
    rooms = [BatchRoom(rows) for _ in encoders]
    turn: Turn = nullcontext() if on_cpu else threading.Lock()
    pending: deque[Future[list[tuple[Embedded, ...]]]] = deque()
    with (
        borrowed(workers) as decoders,
        single_threaded() as settle,
        ThreadPoolExecutor(workers) as hands,
        ThreadPoolExecutor(passes, initializer=settle) as threads,
    ):
        models = _Models(encoders, rooms, turn, slots, decoders.memory(slots.count * slots.size))
        try:
            for number, batch in enumerate(batched(items, rows)):
                if len(pending) == slots.count:  # the oldest batch has the slot that this one takes
                    yield from pending.popleft().result()
                slot, keys = number % slots.count, [key for key, _ in batch]
                parts = [hands.submit(_decode, decoders, slots, slot, group) for group in _groups(batch)]
                pending.append(threads.submit(models.embed, keys, slot, parts))
            while pending:
                yield from pending.popleft().result()
        finally:
            for pool in (threads, hands):
                pool.shutdown(wait=False, cancel_futures=True)


def _decode(decoders: Decoders, slots: Slots, slot: int, group: list[tuple[int, bytes]]) -> Reasons:
    places = [slots.places(row) for row, _ in group]
    files = [content for _, content in group]
    return decoders.decode(files, slots.framings, (slot * slots.size, slots.size), places)


def _groups(batch: Sequence[tuple[str, bytes]]) -> Iterator[list[tuple[int, bytes]]]:
    """Cut a batch into what a decoder is handed at a time: rows with their files."""
    group: list[tuple[int, bytes]] = []
    for row, (_, content) in enumerate(batch):
        group.append((row, content))
        if len(group) == GROUP or sum(len(file) for _, file in group) >= GROUP_BYTES:
            yield group
            group = []
    if group:
        yield group
