from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from indexes.stream import ahead


def test_blocks_come_in_order_and_one_ahead() -> None:
    made: list[int] = []
    second = threading.Event()

    def blocks() -> Iterator[int]:
        for number in range(5):
            made.append(number)
            if number == 1:
                second.set()
            yield number

    stream = ahead(blocks())
    assert next(stream) == 0
    assert second.wait(5), "the second block is made while the first is in use"
    assert max(made) == 1, "and no more than one ahead"
    assert list(stream) == [1, 2, 3, 4]


def test_no_blocks() -> None:
    assert list(ahead([])) == []


def test_an_error_comes_out_at_its_block() -> None:
    def blocks() -> Iterator[int]:
        yield 1
        raise ValueError("damaged")

    stream = ahead(blocks())
    assert next(stream) == 1
    with pytest.raises(ValueError, match="damaged"):
        next(stream)


def test_leaving_early_ends_the_thread() -> None:
    stream = ahead(range(100))
    assert next(stream) == 0
    stream.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("nearfar-ahead")]


def test_depth_bounds_how_many_blocks_are_ahead() -> None:
    made: list[int] = []
    fourth = threading.Event()

    def blocks() -> Iterator[int]:
        for number in range(10):
            made.append(number)
            if number == 3:
                fourth.set()
            yield number

    stream = ahead(blocks(), depth=3)
    assert next(stream) == 0
    assert fourth.wait(5), "three blocks are made while the first is in use"
    assert max(made) == 3, "and no more"
    assert list(stream) == list(range(1, 10))


@pytest.mark.parametrize("depth", [1, 2, 20])
def test_an_error_waits_for_the_blocks_before_it(depth: int) -> None:
    def blocks() -> Iterator[int]:
        yield from range(5)
        raise ValueError("damaged")

    seen: list[int] = []
    with pytest.raises(ValueError, match="damaged"):
        seen.extend(ahead(blocks(), depth))
    assert seen == [0, 1, 2, 3, 4]
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("nearfar-ahead")]


@pytest.mark.parametrize("depth", [1, 3])
def test_leaving_early_closes_what_it_reads_from(depth: int) -> None:
    """Also streams of streams: the inner one is left as early as the outer one."""
    closed: list[str] = []

    def blocks() -> Iterator[int]:
        try:
            yield from range(100)
        finally:
            closed.append("blocks")

    def doubled() -> Iterator[int]:
        for block in ahead(blocks()):
            yield 2 * block

    stream = ahead(doubled(), depth)
    assert [next(stream), next(stream)] == [0, 2]
    stream.close()
    assert closed == ["blocks"]
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("nearfar-ahead")]
