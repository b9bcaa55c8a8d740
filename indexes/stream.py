"""One step ahead: the next block is prepared while the caller works on this one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Block = TypeVar("Block")
_END = object()


def ahead(blocks: Iterable[Block]) -> Iterator[Block]:
    """Yield the same blocks, each prepared by a thread while its predecessor is in use.

    Meant for the steps before a scan, such as `ahead(canonical(block) for block in …)`: they release the interpreter
    lock most of the time, and so cost a scan nothing but their share of the processor. Errors come out at the block
    that raised them.
    """
    source = iter(blocks)
    with ThreadPoolExecutor(1, "nearfar-ahead") as thread:
        following = thread.submit(next, source, _END)
        while (block := following.result()) is not _END:
            following = thread.submit(next, source, _END)
            yield block  # type: ignore[misc]
