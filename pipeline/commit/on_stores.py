"""What a commit is on a store, for an output folder that is a working copy (pipeline/stores/working_copies.py).

A file of a unit becomes an object with its digest in the name, so that no object is ever written over by other bytes.
Then the record is put where there is none, or in place of the stale one that was read, with the attempt's token in it:
who is refused reads what stands, and whose token that is has won. A record that names an object that is not there
counts for nothing. Objects that no record names go when the holder of the lease sweeps, and at no other time.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from indexes.errors import RunFailedError
from pipeline import layout
from pipeline.commit.publish import Publication
from pipeline.commit.records import (
    Output,
    Record,
    canonical_json,
    dump_record,
    parse_record,
    record_path,
)
from pipeline.commit.run_lock import epoch
from pipeline.execution.failpoints import failpoint
from pipeline.stores.at_once import at_once
from pipeline.stores.lease import LEASE, term_of
from pipeline.stores.object_states import HeldObject
from pipeline.stores.objects import Objects
from pipeline.stores.working_copies import store_of

_OWN = re.compile(r".+\.[0-9a-f]{16}(\.[^./]+)?")
_TRIES = 5


def object_name(path: str, sha256: str) -> str:
    """Name the object of a committed file: the file's own name, with 16 digits of its digest before the ending."""
    file = PurePosixPath(path)
    return str(file.with_name(f"{file.stem}.{sha256[:16]}{file.suffix}"))


def send(publication: Publication) -> Record:
    """Make a sealed attempt stand on the store that its folder is a copy of, if it is one of a store.

    Returns:
        The record that stands: the attempt's own, or one of the same unit that another committed first.

    Raises:
        RunFailedError: If another run has taken the output over.
        OutputError: If the store refuses.
    """
    record, objects = publication.record, store_of(publication.out)
    if objects is None:
        return record
    files = publication.out / publication.source

    def upload(output: Output) -> None:
        objects.write(object_name(output.path, output.sha256), files / output.path)

    at_once(upload, record.outputs)
    failpoint("store.uploaded")
    return _stand(objects, publication)


def _stand(objects: Objects, publication: Publication) -> Record:
    record = publication.record
    name, content = record_path(record.stage, record.name), _sealed(record, publication.token)
    held: HeldObject | None = None
    for _ in range(_TRIES):
        # What stands was read before: who takes over after this look, and commits, is not written over.
        fence(objects, publication.epoch, record.label)
        failpoint("store.before_record")
        made = (
            objects.write_new(name, content) if held is None else objects.replace(name, content, held.version)
        )
        if made is not None:
            failpoint("store.after_record")
            return record
        held = objects.read(name)
        standing = None if held is None else opened(held.content)
        if (
            standing is not None
            and standing.fingerprint == record.fingerprint
            and is_whole(objects, standing)
        ):
            return standing
    raise RunFailedError(f"unit {record.label} was committed by another run at the same moment; run again")


def fence(objects: Objects, token: str | None, label: str = "") -> None:
    """Look whether the output is still this run's.

    Raises:
        RunFailedError: If another run has taken the lease.
    """
    term = term_of(objects.read(LEASE))
    if term is None or term.token != token:
        while_at = f" while unit {label} was at work; its result is dropped, and the other run makes it again"
        raise RunFailedError(
            f"another run took over '{objects.address}'{while_at if label else ', so nothing more is done there'}"
        )


def _sealed(record: Record, token: str) -> bytes:
    return canonical_json({"token": token, "record": json.loads(dump_record(record))})


def opened(content: bytes) -> Record | None:
    """Read a record's object; None where it is torn, or none."""
    try:
        return parse_record(canonical_json(json.loads(content)["record"]))
    except (ValueError, KeyError, TypeError):
        return None


def is_whole(objects: Objects, record: Record) -> bool:
    """Ask the store for each object that a record names."""
    sizes = at_once(lambda one: objects.size(object_name(one.path, one.sha256)), record.outputs)
    return sizes == [output.bytes for output in record.outputs]


def bring(out: Path, output: Output) -> bool:
    """Bring a committed file from the store into its working copy; false where there is no store, or no such object.

    Raises:
        OutputError: If the store refuses.
    """
    objects = store_of(out)
    if objects is None:
        return False
    try:
        objects.download(object_name(output.path, output.sha256), out / output.path)
    except FileNotFoundError:
        return False
    return True


def bring_missing(out: Path, outputs: Iterable[Output]) -> None:
    """Bring the committed files that a working copy lacks; who decides from what is in them hashes them besides.

    Raises:
        OutputError: If the store refuses.
    """
    if store_of(out) is not None:
        at_once(lambda output: bring(out, output), [one for one in outputs if not (out / one.path).exists()])


def take_back(out: Path, stage: str, names: Iterable[str]) -> None:
    """Remove records from the store, before their files and they themselves go from the working copy."""
    objects, gone = store_of(out), list(names)
    if objects is not None and gone:
        fence(objects, epoch(out))
        objects.remove(record_path(stage, name) for name in gone)


def is_own(name: str) -> bool:
    """Tell whether nearfar gave an object its name as that of a committed file; any other is the user's."""
    first, _, _ = name.partition("/")
    return first in layout.FOLDERS and first != layout.COMMITS and _OWN.fullmatch(name) is not None
