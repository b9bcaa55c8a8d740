"""Working copies: an output on a store has a folder on this machine, which runs write to and read from.

What counts is on the store. The folder holds what was made here or was needed here; it may be removed whenever no run
is at work. It lies below `NEARFAR_COPIES`, or `~/.cache/nearfar`.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
from functools import lru_cache
from pathlib import Path

from indexes.errors import BadInputError, OutputError
from pipeline.files.storage import open_folder, output_errors, write_new
from pipeline.stores.credentials import given, server_of
from pipeline.stores.objects import Objects
from pipeline.stores.store_addresses import Address, is_address, parse_address

MARKER = ".store.json"


def copies_folder() -> Path:
    """Say where working copies lie."""
    given = os.environ.get("NEARFAR_COPIES")
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(given).absolute() if given else Path(cache).absolute() / "nearfar"


def folder_of(output: str | Path) -> Path:
    """Say which folder of this machine an output is written from: itself, or its working copy. Makes nothing.

    Raises:
        BadInputError: If it is an address, and not one of a folder in a bucket.
    """
    text = str(output)
    if not is_address(text):
        return Path(text)
    address = parse_address(text)
    if not address.folder:
        raise BadInputError(f"the output is '{address}', a whole bucket; name a folder of its own in it")
    return copies_folder() / folder_name(address)


def folder_name(address: Address) -> str:
    """Name a copy so that a person knows it, and no two are one: the same bucket may be on several servers."""
    digest = hashlib.sha256(f"{server_of(address)}\n{address}".encode()).hexdigest()[:16]
    return f"{address.bucket}-{address.folder.rpartition('/')[2]}-{digest}"


def make_copy(output: str | Path) -> Path:
    """Make the folder of an output on a store, and note in it whose copy it is; of another output, say its folder.

    Raises:
        OutputError: If the folder cannot be made.
    """
    folder = folder_of(output)
    if is_address(str(output)):
        mark_copy(folder, str(parse_address(str(output))))
    return folder


def mark_copy(folder: Path, address: str) -> None:
    """Make a folder the working copy of an output; one that is one stays it.

    Raises:
        OutputError: If the folder cannot be made.
    """
    if (folder / MARKER).exists():
        return
    content = json.dumps({"address": address, "copy": secrets.token_hex(16)}).encode()
    noted = contextlib.suppress(FileExistsError)
    with output_errors(folder), open_folder(folder, create=True) as opened, noted:
        write_new(MARKER, content, opened)


def place_of(folder: Path) -> str:
    """Say what a plan calls an output folder: the address of what it is a copy of, or itself."""
    said = _marker(folder)
    return said["address"] if said else str(folder)


def copy_name(folder: Path) -> str:
    """Name a working copy as no other is named."""
    return (_marker(folder) or {}).get("copy", "")


def store_of(folder: Path) -> Objects | None:
    """Give the objects that a folder is the working copy of; None for any other folder."""
    said = _marker(folder)
    return None if said is None else connected(said["address"])


def connected(address: str) -> Objects:
    """Connect to an address, once in a process: a client does not survive a fork."""
    return _connected(address, os.getpid(), given())


@lru_cache(maxsize=64)
def _connected(address: str, process: int, words: tuple[tuple[str, str], ...]) -> Objects:
    return Objects(parse_address(address))


def _marker(folder: Path) -> dict[str, str] | None:
    try:
        content = (folder / MARKER).read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        said = json.loads(content)
        return {"address": str(said["address"]), "copy": str(said["copy"])}
    except (ValueError, KeyError, TypeError) as error:
        raise OutputError(
            f"'{folder / MARKER}' does not say what this folder is a copy of; remove the folder, and run again"
        ) from error
