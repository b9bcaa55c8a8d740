"""Several requests to a store at the same time: most of what one costs is waiting."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Given = TypeVar("Given")
Made = TypeVar("Made")
AT_ONCE = 16
"""Requests that are under way at the same time."""


def ahead(do: Callable[[Given], Made], these: Iterable[Given]) -> Iterator[Made]:
    """Do something for one after the other, and for some of the next meanwhile; the answers are in that order."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        coming: deque[Future[Made]] = deque()
        try:
            for one in these:
                coming.append(pool.submit(do, one))
                if len(coming) == AT_ONCE:
                    yield coming.popleft().result()
            while coming:
                yield coming.popleft().result()
        finally:
            for future in coming:
                future.cancel()


def at_once(do: Callable[[Given], Made], these: Iterable[Given]) -> list[Made]:
    """Do something for many, several at a time; the answers are in the order of `these`."""
    given = list(these)
    if len(given) < 2:
        return [do(one) for one in given]
    with ThreadPoolExecutor(min(AT_ONCE, len(given))) as pool:
        try:
            return list(pool.map(do, given))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
