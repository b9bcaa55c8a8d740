"""A small plan whose output lies in a folder or on a store, with the same bytes in both."""

from __future__ import annotations

import shutil
from pathlib import Path

import small_sets
import yaml
from whole_runs import committed

from pipeline.stores.objects import Objects
from pipeline.stores.store_addresses import parse_address
from pipeline.stores.working_copies import folder_of, store_of

ADDRESS = "s3://bucket/runs/small"


def write_plan(folder: Path, sets: Path, output: str, fraction: float = 0.5) -> Path:
    """Write a plan with two splits; every plan is called alike, since the report repeats the command."""
    plan = small_sets.plan_of(sets, output=output, engine={"unit_rows": 200})
    plan["splits"] = {
        "pruned": [{"near": {"to": "all"}}],
        "half": [{"random": {"fraction": fraction, "seed": 1}}],
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "plan.yaml").write_text(yaml.safe_dump(plan, sort_keys=False))
    return folder / "plan.yaml"


def stored(address: str = ADDRESS) -> dict[str, int]:
    """List what is on the store below an output: sizes by name, but for the lease."""
    objects = store_of(folder_of(address))
    assert objects is not None
    return {one.name: one.bytes for one in objects.listing() if one.name != ".lock"}


def digests(address: str = ADDRESS) -> dict[str, str]:
    """List what the working copy's records name."""
    return committed(folder_of(address))


def forget_copy(address: str = ADDRESS) -> None:
    """Lose the working copy, as another machine never had it."""
    shutil.rmtree(folder_of(address))


def upload(place: str, root: Path, *names: str) -> int:
    """Put folders of `root` below an address; returns how many bytes they have."""
    objects, size = Objects(parse_address(place)), 0
    for path in (path for name in names for path in sorted((root / name).rglob("*.*"))):
        objects.write(path.relative_to(root).as_posix(), path)
        size += path.stat().st_size
    return size
