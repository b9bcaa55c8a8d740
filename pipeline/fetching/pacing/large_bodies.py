"""Few large bodies in memory at a time, whatever number of connections brings them."""

from __future__ import annotations

import threading
from types import TracebackType
from typing import Self

from pipeline.fetching.limits import NotFetchedError


class LargeBodies:
    """Places for large bodies; threads share it."""

    def __init__(self, most: int) -> None:
        """Take how many there are at a time."""
        self._places = threading.BoundedSemaphore(most)

    def place(self) -> LargePlace:
        """Give what one row takes a place with; it is free again when its context ends."""
        return LargePlace(self._places)


class LargePlace:
    """The place of one row, once it has taken one; used as a context."""

    def __init__(self, places: threading.BoundedSemaphore) -> None:
        self._places = places
        self._taken = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._taken:
            self._places.release()

    def take(self, seconds: float) -> None:
        """Wait for a place, as the body turns out to be large.

        Raises:
            NotFetchedError: If none is free in time.
        """
        self._taken = self._taken or self._places.acquire(timeout=seconds)
        if not self._taken:
            raise NotFetchedError("too many large files at a time", passing=True)
