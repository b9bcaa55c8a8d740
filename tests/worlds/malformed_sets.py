"""Seeded damage to small valid sets and plans, and what must hold of whatever comes of it.

An input is read, or refused by an error of nearfar's own tree; it never hangs, and no row is counted twice or lost.
"""

from __future__ import annotations

import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from input_damage import damage, damaged_plan
from reader_sets import BUILDERS, samples

from indexes.errors import NearfarError
from pipeline.documents.yaml_safe import parse_yaml
from pipeline.files.vectors import blocks
from pipeline.plan import build_plan, resolve
from pipeline.readers import open_reader
from pipeline.sets.source import Source

SECONDS = 20.0
"""How long one input may take; the valid ones take some hundredths."""
KINDS = ("clip-retrieval", "datacomp", "image-folder", "img2dataset", "laion", "plan", "image-parquet")
"""A kind's place is part of its seeds: new ones come at the end."""


class TooSlowError(Exception):
    """An input took longer than its deadline."""


def valid_sets(root: Path) -> dict[str, Source]:
    """Write a valid set of each format."""
    return {name: build(root / name, samples((6, 0, 5))).source for name, build in BUILDERS.items()}


def outcome(kind: str, seed: int, sets: dict[str, Source], scratch: Path) -> str:
    """Damage one input and read it.

    Returns:
        `read`, or `refused`.

    Raises:
        AssertionError: If rows are counted twice or lost.
        TooSlowError: At the deadline.
        Exception: What no user should see: any that is not of nearfar's tree.
    """
    rng = np.random.default_rng([KINDS.index(kind), seed])
    with deadline():
        try:
            if kind == "plan":
                _read_plan(damaged_plan(rng))
            else:
                shutil.rmtree(scratch, ignore_errors=True)
                shutil.copytree(sets[kind].path, scratch, symlinks=True)
                for _ in range(int(rng.choice([1, 1, 1, 2, 3]))):
                    damage(scratch, rng)
                named = sets[kind].format if rng.integers(4) else None
                _read_set(Source(path=str(scratch), format=named))
        except NearfarError as error:
            if len(str(error)) < 20:
                raise AssertionError(f"a refusal says why and what to do, not '{error}'") from error
            return "refused"
    return "read"


@contextmanager
def deadline(seconds: float | None = None) -> Iterator[None]:
    allowed = SECONDS if seconds is None else seconds

    def stop(*_: object) -> None:
        raise TooSlowError(f"not done after {allowed:g} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, allowed)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _read_set(source: Source) -> None:
    """Read all that a run would read of a set, and count its rows."""
    reader = open_reader(source)
    for shard in reader.shards(source):
        reading = reader.read(source, shard, shard.has_images)
        images = [key for key, _ in reading.images()]
        listed = reading.rows()
        rows = np.concatenate([np.asarray(piece.column("row")) for piece in listed.pieces()])
        assert len(np.unique(rows)) == len(rows), f"{shard.name}: a row is there twice"
        held = {file.rows for file in shard.vectors.values()}
        if held:
            assert held == {len(rows) + len(listed.lost)}, f"{shard.name}: {held} vectors, {len(rows)} rows"
        if shard.has_images and images:
            assert len(images) == len(rows), f"{shard.name}: {len(images)} images, {len(rows)} rows"
        for file in shard.vectors.values():
            assert sum(len(block) for block in blocks(file, 4)) == file.rows
        reading.digests()


def _read_plan(text: str) -> None:
    resolve(build_plan(parse_yaml(text, "plan.yaml")))
