"""A working copy and its store: which units are done, and which files are kept under their own names."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from indexes.errors import OutputError
from pipeline import layout
from pipeline.commit.on_stores import fence, is_own, is_whole, object_name, opened
from pipeline.commit.records import Record, Unit, dump_record, find, parse_record, record_path
from pipeline.commit.run_lock import epoch
from pipeline.commit.stage_lock import exclusive
from pipeline.files.storage import open_folder, remove_file, write_atomic
from pipeline.stores.at_once import at_once
from pipeline.stores.object_states import SeenObject
from pipeline.stores.objects import Objects
from pipeline.stores.working_copies import store_of

KEPT = (layout.LOCK_FILE, layout.TOMBSTONES, layout.PURGE)
"""Files that a store has under their own names: the plan of an output, what was purged of it, what is to be purged."""
_RECORD = re.compile(rf"{layout.COMMITS}/[^/.][^/]*/[^/.][^/]*\.json")
_PULLED = ".pulled.json"
_TRIES = 20


def keep(out: Path, relative: str, content: bytes) -> None:
    """Put a file of `KEPT` into an output folder, and on the store that it is a copy of."""
    keep_joined(out, relative, lambda before: content)


def keep_joined(out: Path, relative: str, join: Callable[[bytes | None], bytes]) -> None:
    """Put a file of `KEPT` into an output that is made of the one that stands there: nothing that is added is lost.

    Args:
        out: The output folder.
        relative: The file.
        join: Given what stands there (None for nothing), what is to stand there.

    Raises:
        RunFailedError: If another run has taken the output over.
        OutputError: If the store refuses, or others change the file all the time.
    """
    objects, path = store_of(out), out / relative
    if objects is None:
        write_atomic(out, relative, join(path.read_bytes() if path.is_file() else None))
        return
    for _ in range(_TRIES):
        held = objects.read(relative)
        fence(objects, epoch(out))  # after that look: what another run puts there later is not written over
        content = join(None if held is None else held.content)
        if held is None:
            written = objects.write_new(relative, content)
        else:
            written = objects.replace(relative, content, held.version)
        if written is not None:
            write_atomic(out, relative, content)
            return
    raise OutputError(f"'{relative}' in '{objects.address}' is changed by others all the time; run again")


def sweep_objects(out: Path) -> None:
    """Remove the objects that no record names: of killed attempts, and of what was taken back. The lease is held."""
    objects = store_of(out)
    if objects is None:
        return
    pull(out)  # what is believed of records is what the store says
    standing = [parse_record((out / name).read_bytes()) for name in _in_copy(out) - set(KEPT)]
    named = {object_name(one.path, one.sha256) for record in standing if record for one in record.outputs}
    unnamed = [one.name for one in objects.listing() if is_own(one.name) and one.name not in named]
    if unnamed:
        fence(objects, epoch(out))
        objects.remove(unnamed)


def clear(out: Path) -> None:
    """Remove what nearfar wrote from the store, records first, but for what says which samples were purged.

    The working copy is the caller's.
    """
    objects = store_of(out)
    if objects is None:
        return
    fence(objects, epoch(out))
    names = [seen.name for seen in objects.listing()]
    objects.remove(name for name in names if _RECORD.fullmatch(name) or name == layout.LOCK_FILE)
    objects.remove(name for name in names if is_own(name))


def pull(out: Path, unless: Callable[[], bool] = lambda: False) -> None:
    """Bring a working copy's records and kept files to the state of the store, one process at a time.

    Of the store, only records count whose objects are all there. What the copy holds beyond that is removed.

    Args:
        out: The output folder.
        unless: Asked once nobody else pulls: if it is true, the copy is left as it is.

    Raises:
        OutputError: If the store cannot be read.
    """
    objects = store_of(out)
    if objects is None:
        return
    with open_folder(out) as folder, exclusive(folder):
        if not unless():
            _pull(objects, out)


def _pull(objects: Objects, out: Path) -> None:
    seen = {one.name: one for one in objects.listing()}
    known = _known(out)
    there = [name for name in seen if _RECORD.fullmatch(name) or name in KEPT]

    def counting(name: str) -> bytes | None:
        same = known.get(name) == _tag(seen[name]) and (out / name).is_file()
        content = (out / name).read_bytes() if same else _read(objects, name)
        return content if content is not None and _counts(objects, name, content, seen) else None

    found = dict(zip(there, at_once(counting, there), strict=True))
    counts = {name: content for name, content in found.items() if content is not None}
    _drop_stale_files(out, counts)
    for name in sorted(_in_copy(out) - counts.keys()):
        remove_file(out, name)
    for name, content in counts.items():
        if not _holds(out / name, content):
            write_atomic(out, name, content)
    tags = {name: _tag(seen[name]) for name in counts}
    write_atomic(out, _PULLED, json.dumps(tags, sort_keys=True).encode())


def _drop_stale_files(out: Path, counts: Mapping[str, bytes]) -> None:
    """Remove the files of records that the store no longer has so: what was purged elsewhere is among them."""
    mine = _in_copy(out) - set(KEPT)
    changed = _outputs((out / name).read_bytes() for name in mine if not _holds(out / name, counts.get(name)))
    named = _outputs(content for name, content in counts.items() if name not in KEPT) if changed else set()
    for path, _ in changed - named:
        with contextlib.suppress(FileNotFoundError):
            remove_file(out, path)


def _outputs(contents: Iterable[bytes]) -> set[tuple[str, str]]:
    """List the files that records name, with their digests."""
    found = (parse_record(content) for content in contents)
    return {(one.path, one.sha256) for record in found if record for one in record.outputs}


def _read(objects: Objects, name: str) -> bytes | None:
    """Read a kept file or a record from the store, as a working copy has it; None where it is gone, or torn."""
    held = objects.read(name)
    if held is None or name in KEPT:
        return None if held is None else held.content
    record = opened(held.content)
    return None if record is None else dump_record(record)


def _counts(objects: Objects, name: str, content: bytes, seen: Mapping[str, SeenObject]) -> bool:
    """Let a record count only if its objects are all there."""
    record = None if name in KEPT else parse_record(content)
    return name in KEPT or (record is not None and _whole(objects, record, seen))


def _whole(objects: Objects, record: Record, seen: Mapping[str, SeenObject]) -> bool:
    """See that a record's objects are there. A listing may lack the newest: what it does not show is asked for."""
    names = [object_name(one.path, one.sha256) for one in record.outputs]
    sizes = [seen[name].bytes if name in seen else None for name in names]
    return sizes == [one.bytes for one in record.outputs] or is_whole(objects, record)


def _tag(seen: SeenObject) -> str:
    """Name the state of an object."""
    return " ".join(seen.version.values())


def _holds(path: Path, content: bytes | None) -> bool:
    return path.is_file() and path.read_bytes() == content


def _known(out: Path) -> dict[str, str]:
    try:
        found = json.loads((out / _PULLED).read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _in_copy(out: Path) -> set[str]:
    found = {path.relative_to(out).as_posix() for path in (out / layout.COMMITS).glob("*/*.json")}
    return {name for name in found if _RECORD.fullmatch(name)} | {
        name for name in KEPT if (out / name).is_file()
    }


def adopt(out: Path, record: Record) -> Record:
    """Note in a working copy that a unit is done by another's record; its files are brought when they are needed."""
    write_atomic(out, record_path(record.stage, record.name), dump_record(record))
    return record


def adopt_all(out: Path, units: Iterable[Unit]) -> None:
    """Note in a working copy which units workers of other machines have done; each record is asked for by its name."""
    objects = store_of(out)

    def one(unit: Unit) -> None:
        held = None if objects is None else objects.read(record_path(unit.stage, unit.name))
        record = None if held is None else opened(held.content)
        if record is not None and record.fingerprint == unit.fingerprint:
            adopt(out, record)

    at_once(one, [unit for unit in units if find(out, unit) is None])
