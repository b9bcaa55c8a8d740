"""Rows find the same places in ordinary tars at once as they find one by one."""

from __future__ import annotations

import io
import random
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from indexes.errors import DataError
from pipeline.readers._tars.tar_samples import scan
from pipeline.webdataset.placing import part_places
from pipeline.webdataset.placing.part_places import Places, places_in_tars
from pipeline.webdataset.placing.sample_places import TarPath, placed

KINDS = ("jpg", "json", "txt", "cls", "npy")
Place = tuple[int, str, dict[str, tuple[int, int]]]


def tar(path: Path, keys: list[str], drawn: random.Random) -> TarPath:
    with tarfile.open(path, "w") as out:
        for key in keys:
            for kind in drawn.sample(KINDS, drawn.randrange(1, 5)):
                member = tarfile.TarInfo(f"{key}.{kind}")
                member.size = drawn.randrange(2000)
                out.addfile(member, io.BytesIO(bytes(member.size)))
    return TarPath(str(path), path.name)


def listed(found: Places) -> list[Place]:
    begins = found.begins.tolist()
    members = list(zip(found.kind.tolist(), found.offset.tolist(), found.size.tolist(), strict=True))
    return [
        (
            row,
            found.tars[at],
            {found.kinds[kind]: (offset, size) for kind, offset, size in members[first:last]},
        )
        for row, at, first, last in zip(
            found.row.tolist(), found.tar.tolist(), begins[:-1], begins[1:], strict=True
        )
    ]


@pytest.mark.parametrize("seed", range(40))
def test_places_are_those_of_samples_that_are_placed_one_by_one(seed: int, tmp_path: Path) -> None:
    drawn = random.Random(seed)
    names = ["a", "b", "c", "d", "e", "f"] if seed % 2 else [f"{number:03d}" for number in range(200)]
    tars = [
        tar(tmp_path / f"{number}.tar", drawn.sample(names, drawn.randrange(1, 6)), drawn)
        for number in range(3)
    ]
    every = [one.key for each in tars for one in scan(each.path) if one.fault is None]
    keys: list[str | None] = [key for key in every if drawn.random() < (1 if seed % 3 else 0.7)]
    digests: list[str | None] = [None] * len(keys)
    expected = outcome(lambda: Places.of(placed(keys, digests, tars)))
    assert outcome(lambda: places_in_tars(keys, digests, tars)) == expected


def outcome(found: Callable[[], Places]) -> list[Place] | str:
    """Give what is found, or why nothing is."""
    try:
        return listed(found())
    except DataError as error:
        return str(error)


def test_ordinary_tars_are_not_gone_through_one_by_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tars = [
        tar(tmp_path / f"{number}.tar", [f"{number}{row}" for row in range(9)], random.Random(1))
        for number in "ab"
    ]
    keys: list[str | None] = [one.key for each in tars for one in scan(each.path) if one.fault is None]
    expected = listed(places_in_tars(keys, [None] * len(keys), tars))
    monkeypatch.setattr(part_places, "placed", lambda *_: pytest.fail("one by one"))
    assert listed(places_in_tars(keys, [None] * len(keys), tars)) == expected
    assert listed(places_in_tars(keys[1::2], [None] * len(keys[1::2]), tars)) == [
        (row, name, members) for row, (_, name, members) in enumerate(expected[1::2])
    ]


def test_taken_samples_may_repeat() -> None:
    places = Places(
        np.array([0, 2]),
        np.array([0, 1]),
        ["x", "y"],
        ["jpg", "txt"],
        np.array([0, 1, 3]),
        np.array([0, 1, 0]),
        np.array([10, 20, 30]),
        np.array([1, 2, 3]),
    )
    found = places.taken(np.array([1, 1, 0]))
    assert listed(found) == [
        (2, "y", {"txt": (20, 2), "jpg": (30, 3)}),
        (2, "y", {"txt": (20, 2), "jpg": (30, 3)}),
        (0, "x", {"jpg": (10, 1)}),
    ]
    assert found.have("txt").tolist() == [True, True, False]
    assert found.have("json").tolist() == [False] * 3
