"""One step ahead: the next block is prepared while the caller works on this one."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

_Block = TypeVar("_Block")
_END = object()


def ahead(blocks: Iterable[_Block], depth: int = 1) -> Iterator[_Block]:
    """Yield the same blocks, prepared by a thread while their predecessors are in use.

    Meant for steps that release the interpreter lock most of the time (reading, `canonical`, a scan), which then cost
    their neighbours nothing but their share of the processor. One thread makes all blocks, in order. Errors come out
    at the block that raised them. Closing the stream early waits for the block in preparation and closes `blocks`.

    Args:
        blocks: What to prepare.
        depth: How many blocks may be held beside the one in use: more than one helps a caller who is now quick, now
            slow.
    """
    source = iter(blocks)
    thread = ThreadPoolExecutor(1, "nearfar-ahead")
    try:
        following = deque(thread.submit(next, source, _END) for _ in range(depth))
        while (block := following.popleft().result()) is not _END:
            following.append(thread.submit(next, source, _END))
            yield block  # type: ignore[misc]
    finally:
        thread.shutdown(cancel_futures=True)
        if isinstance(source, Generator):
            source.close()
