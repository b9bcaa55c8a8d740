"""Inputs that were brought from stores, for workers on machines that have no such files: whence each came.

The driver tells of a unit's inputs what it has seen of them; a worker brings those that it lacks to the same paths. A
set of the user's is one of objects in the states that the driver saw; a pool that was fetched onto a store is one of
committed files.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from pipeline.commit.records import Output, records
from pipeline.commit.sound import check_sound
from pipeline.stores.brought_sets import bring_files, origins
from pipeline.stores.set_states import set_root
from pipeline.stores.working_copies import mark_copy, place_of, store_of

Told = list[list[Any]]
"""Groups of files: a kind (`set`, `pool`), the folder that they lie in, its address, and what is known of them."""


def told(paths: Iterable[str]) -> Told:
    """Say whence inputs came, as far as they came from stores."""
    files = [Path(path) for path in dict.fromkeys(paths)]
    folders = {path.parent for path in files}
    sets, copies = ({folder: find(folder) for folder in folders} for find in (set_root, _copy_above))
    of_sets: dict[Path, list[Path]] = {}
    of_pools: dict[Path, list[Path]] = {}
    for path in files:
        root, copy = sets[path.parent], copies[path.parent]
        if root is not None:
            of_sets.setdefault(root, []).append(path)
        elif copy is not None:
            of_pools.setdefault(copy, []).append(path)
    return [
        *(["set", str(root), *origins(root, files)] for root, files in of_sets.items()),
        *(["pool", str(out), place_of(out), _outputs(out, files)] for out, files in of_pools.items()),
    ]


def bring_told(groups: Iterable[Sequence[Any]]) -> None:
    """Bring to this machine what it lacks of a unit's inputs.

    Raises:
        DataError: If an object is not what the driver saw.
        OutputError: If a store cannot be read, a file is not what was committed, or there is no room.
    """
    for kind, folder, address, known in groups:
        if kind == "set":
            bring_files(Path(folder), address, known)
        else:
            mark_copy(Path(folder), address)
            check_sound(Path(folder), (Output(path, size, None, sha256) for path, size, sha256 in known))


def _copy_above(folder: Path) -> Path | None:
    return next((one for one in (folder, *folder.parents) if store_of(one) is not None), None)


def _outputs(out: Path, files: Iterable[Path]) -> list[list[Any]]:
    known = {output.path: output for record in records(out, "fetch") for output in record.outputs}
    named = (known.get(path.relative_to(out).as_posix()) for path in files)
    return [[one.path, one.bytes, one.sha256] for one in named if one is not None]
