"""Compressed tars, which no seek leads into: found by their names, refused with the command that unpacks them."""

from __future__ import annotations

import shlex
from pathlib import Path

from indexes.errors import DataError
from pipeline.files.afar.stand_ins import is_there
from pipeline.readers import _files

PROGRAMS = {
    **{".tar.gz": "gzip", ".tgz": "gzip", ".tar.bz2": "bzip2", ".tbz2": "bzip2"},
    **{".tar.xz": "xz", ".txz": "xz", ".tar.zst": "zstd", ".tzst": "zstd"},
}
"""How the names of compressed tars end, and the program that unpacks them."""
_NAMED = 3


def ending_of(file: Path) -> str | None:
    """Say how the name of a compressed tar ends, in lower case; None for any other file."""
    return next((ending for ending in PROGRAMS if file.name.lower().endswith(ending)), None)


def packed(path: Path) -> list[Path]:
    """List the compressed tars of a folder whose unpacked one does not lie beside it, or the one that the path is."""
    if path.is_file():
        return [path] if ending_of(path) else []
    found = [file for ending in PROGRAMS for file in _files.listing(path, ending)]
    return sorted((file for file in found if not is_there(unpacked(file))), key=lambda file: file.name)


def unpacked(file: Path) -> Path:
    """Name the tar that a compressed one becomes."""
    return file.with_name(f"{file.name[: -len(ending_of(file) or '')]}.tar")


def refuse_packed(path: Path) -> None:
    """Refuse a set of which some tars are compressed: their samples would be missing.

    Raises:
        DataError: If there is one.
    """
    found = packed(path)
    if not found:
        return
    first = ", ".join(f"'{file.name}'" for file in found[:_NAMED]) + (" …" if len(found) > _NAMED else "")
    raise DataError(
        f"{len(found):,} files in '{found[0].parent}' are compressed tars ({first}), and a tar is read here and there, "
        f"which compression does not allow. Unpack them: `{_command(found)}`"
        + (f", and name '{unpacked(path)}'" if path.is_file() else "")
    )


def _command(found: list[Path]) -> str:
    """Write a line for a shell that unpacks them all and keeps what they were."""
    if len(found) == 1:
        return (
            f"{PROGRAMS[ending_of(found[0]) or '']} -dc {_quoted(found[0])} > {_quoted(unpacked(found[0]))}"
        )
    endings = dict.fromkeys(file.name[-len(ending_of(file) or "") :] for file in found)
    loops = [
        f'for f in *{ending}; do {PROGRAMS[ending.lower()]} -dc "$f" > "${{f%{ending}}}.tar"; done'
        for ending in endings
    ]
    return f"cd {_quoted(found[0].parent)} && {{ {'; '.join(loops)}; }}"


def _quoted(path: Path) -> str:
    return shlex.quote(str(path))
