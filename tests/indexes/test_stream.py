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
