"""Inputs and outputs are kept apart: no file that nearfar writes, or clears, is somebody's pool."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from indexes.errors import OutputError
from pipeline import layout
from pipeline.plan.reader_keys import option_paths
from pipeline.sets.source import Source


def check_output_apart(out: Path, sets: Mapping[str, Source]) -> None:
    """Refuse an output folder whose own files would be, or lie beside, somebody's input.

    A set may lie in the output folder, beside what nearfar writes there, and the output folder in that of a set.

    Args:
        out: The output folder; it need not exist.
        sets: Sets by what messages call them: a name, or a place in the plan.

    Raises:
        OutputError: Naming the set, its path and the folder.
    """
    real = out.resolve()
    if real == real.parent:
        raise OutputError(f"the output is {real}, the root of the file system; name a folder of its own")
    other = _run_around(real)
    if other is not None:
        raise OutputError(
            f"the output is {real}, which lies among the files of the run in {other}: they may be removed at any "
            "time. Name a folder outside of it (`output`, or --out of an audit)"
        )
    for name, source in sets.items():
        for key, text in _inputs(source):
            _check_one(real, name if key == "path" else f"{name}.{key}", text)


def _check_one(out: Path, name: str, text: str) -> None:
    place = Path(text).resolve()
    if _same(place, out):
        raise OutputError(
            f"the output is {out}, which is {name} itself ({text}); name a folder of its own "
            "(`output`, or --out of an audit)"
        )
    for owned in (*layout.FOLDERS, *layout.FILES):
        if any(_same(above, out / owned) for above in (place, *place.parents)):
            raise OutputError(
                f"{name} ({text}) lies in {out / owned}, which this run writes to; name another output folder"
            )


def _inputs(source: Source) -> Iterator[tuple[str, str]]:
    """List where a set's files lie: its path, and folders beside it that its reader's options name."""
    yield "path", source.path
    for key, text in option_paths(source):
        inside = Path(source.path) / text
        yield key, str(inside if inside.exists() else text)


def _same(one: Path, other: Path) -> bool:
    """Say whether two paths are one place, also by another spelling where the file system folds case, or by a mount."""
    try:
        return one == other or one.samefile(other)
    except OSError:
        return False


def _run_around(out: Path) -> Path | None:
    """Find the output folder of a run that has this one among the folders which it writes."""
    for above in out.parents:
        if (above / layout.LOCK_FILE).is_file() and out.relative_to(above).parts[0] in layout.FOLDERS:
            return above
    return None
