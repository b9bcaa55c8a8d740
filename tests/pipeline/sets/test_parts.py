"""Which shards a part takes."""

from __future__ import annotations

import random

import pytest

from pipeline.readers import Shard
from pipeline.sets.parts import Group, grouped


def shard(name: str, rows: int | None = 10) -> Shard:
    return Shard(0, name, (), {}, False, rows)


def cut(rows: list[int], enough: int) -> list[list[int]]:
    shards = [shard(f"{number:05d}", size) for number, size in enumerate(rows)]
    return [[int(name) for name in group.shards] for group in grouped(shards, enough)]


@pytest.mark.parametrize(
    ("rows", "groups"),
    [
        ([], []),
        ([5], [[0]]),
        ([30, 30, 30], [[0], [1], [2]]),
        ([4, 1, 5], [[0, 1, 2]]),
        ([0, 0], [[0, 1]]),
    ],
)
def test_small_shards_are_taken_together(rows: list[int], groups: list[list[int]]) -> None:
    assert cut(rows, 10) == groups


def test_every_shard_is_in_one_part_and_parts_are_neither_small_nor_many() -> None:
    rng = random.Random(0)
    rows = [rng.randrange(1, 40) for _ in range(500)]
    found = cut(rows, 100)
    assert [number for group in found for number in group] == list(range(500))
    sizes = [sum(rows[number] for number in group) for group in found]
    assert all(50 <= size < 140 for size in sizes[:-1])


def test_parts_are_numbered_by_their_first_shard() -> None:
    names = ["img_emb_7", "img_emb_9", "img_emb_10"]
    assert grouped([shard(name) for name in names], 20) == [
        Group(7, ("img_emb_7", "img_emb_9")),
        Group(10, ("img_emb_10",)),
    ]
    spark = [f"part-{number:05d}-af9e-c000" for number in (3, 4)]
    assert [group.number for group in grouped([shard(name) for name in spark], 1)] == [3, 4]
    plain = [shard(name) for name in ("train", "validation", "train2")]
    assert [group.number for group in grouped(plain, 1)] == [0, 1, 2]


@pytest.mark.parametrize("gone", [0, 3, 250, 499])
def test_a_shard_that_goes_changes_the_parts_around_it(gone: int) -> None:
    shards = [shard(f"{number:05d}") for number in range(500)]
    whole = grouped(shards, 100)
    left = grouped(shards[:gone] + shards[gone + 1 :], 100)
    same = set(whole) & set(left)
    assert len(same) >= len(whole) - 8


def test_shards_that_come_later_leave_what_was_there() -> None:
    shards = [shard(f"{number:05d}") for number in range(500)]
    before, after = grouped(shards[:300], 100), grouped(shards, 100)
    assert before[:-1] == after[: len(before) - 1]
