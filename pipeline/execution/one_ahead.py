"""While one unit is at work, the files of the next are brought, as far as there is room for both."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from threading import Thread
from typing import Any

from pipeline.execution.work import Work
from pipeline.stores.held_files import bring_ahead

Group = list[Work[Any, Any]]


def one_ahead(groups: Sequence[Group]) -> Iterator[Group]:
    """Hand out units that are performed together; what the next ones read is brought meanwhile."""
    under_way: Thread | None = None
    for number, group in enumerate(groups):
        if under_way is None or not under_way.is_alive():
            # The first group's own files come first, since it waits for them already.
            following = groups[number + (number > 0) : number + 2]
            # A run that ends does not wait for it: what was half brought is cleared away by the next.
            under_way = Thread(target=_bring, args=(following,), name="nearfar-ahead", daemon=True)
            under_way.start()
        yield group


def _bring(groups: Sequence[Group]) -> None:
    for group in groups:
        bring_ahead(one.path for work in group for one in work.inputs)
