"""Several requests to a store at the same time: most of what one costs is waiting."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Given = TypeVar("Given")
Made = TypeVar("Made")
AT_ONCE = 16
"""Requests that are under way at the same time."""


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
