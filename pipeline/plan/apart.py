"""Inputs and outputs are kept apart: no file that nearfar writes, or clears, is somebody's pool."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePath, PurePosixPath

from indexes.errors import OutputError
from pipeline import layout
from pipeline.plan.reader_keys import option_paths
from pipeline.sets.source import Source
from pipeline.stores.brought_sets import set_place
from pipeline.stores.store_addresses import is_address, parse_address
from pipeline.stores.working_copies import connected, place_of


def check_output_apart(out: Path, sets: Mapping[str, Source]) -> None:
    """Refuse an output folder whose own files would be, or lie beside, somebody's input.

    A set may lie in the output folder, beside what nearfar writes there, and the output folder in that of a set.

    Args:
        out: The output folder, or the working copy of one on a store; it need not exist.
        sets: Sets by what messages call them: a name, or a place in the plan.

    Raises:
        OutputError: Naming the set, its path and the folder.
    """
    real = _place(place_of(out))
    if real == real.parent:
        raise OutputError(f"the output is {real}, the root of the file system; name a folder of its own")
    other = _run_around(real)
    if other is not None:
        raise OutputError(
            f"the output is {_said(real)}, which lies among the files of the run in {_said(other)}: they may be "
            "removed at any time. Name a folder outside of it (`output`, or --out of an audit)"
        )
    for name, source in sets.items():
        for key, text, place in _inputs(source):
            _check_one(real, name if key == "path" else f"{name}.{key}", text, place)


def _check_one(out: PurePath, name: str, text: str, place: PurePath) -> None:
    if _same(place, out):
        raise OutputError(
            f"the output is {_said(out)}, which is {name} itself ({text}); name a folder of its own "
            "(`output`, or --out of an audit)"
        )
    for owned in (*layout.FOLDERS, *layout.FILES):
        if any(_same(above, out / owned) for above in (place, *place.parents)):
            raise OutputError(
                f"{name} ({text}) lies in {_said(out / owned)}, which this run writes to; name another output folder"
            )


def _inputs(source: Source) -> Iterator[tuple[str, str, PurePath]]:
    """List where a set's files lie: its path, and folders beside it that its reader's options name."""
    text = set_place(source.path)
    place = _place(text)
    yield "path", text, place
    for key, beside in option_paths(source):
        inside = Path(source.path) / beside
        if inside.exists() and not isinstance(place, Path):
            yield key, f"{text}/{beside}", place / beside
        else:
            path = inside if inside.exists() else Path(beside)
            yield key, str(path), path.resolve()


def _place(text: str) -> PurePath:
    """Say where a path leads; an address on a store leads to no path of this machine, but to one like it."""
    if not is_address(text):
        return Path(text).resolve()
    address = parse_address(text)
    return PurePosixPath(f"{address.scheme}:", address.bucket, address.folder)


def _said(place: PurePath) -> str:
    return str(place) if isinstance(place, Path) else str(place).replace(":/", "://", 1)


def _same(one: PurePath, other: PurePath) -> bool:
    """Say whether two paths are one place, also by another spelling where the file system folds case, or by a mount."""
    try:
        return one == other or (isinstance(one, Path) and isinstance(other, Path) and one.samefile(other))
    except OSError:
        return False


def _run_around(out: PurePath) -> PurePath | None:
    """Find the output folder of a run that has this one among the folders which it writes."""
    for above in out.parents:
        if out.relative_to(above).parts[0] in layout.FOLDERS and _has_run(above):
            return above
    return None


def _has_run(place: PurePath) -> bool:
    if isinstance(place, Path):
        return (place / layout.LOCK_FILE).is_file()
    with contextlib.suppress(OutputError):  # who may not look there has none there
        return connected(_said(place)).seen(layout.LOCK_FILE) is not None
    return False
