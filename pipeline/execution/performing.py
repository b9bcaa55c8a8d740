"""Units of work as a process performs them: those that do not stand, from files that are what was committed.

Files of sets on stores are here from before the units begin until they have ended.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, cast

from indexes.errors import DataError, OutputError
from pipeline.commit import Attempt, Output, Record, attempt, check_sound, find, forget
from pipeline.commit.brought_inputs import bring_told
from pipeline.commit.joining import join
from pipeline.execution.failpoints import failpoint
from pipeline.execution.work import Json, Work, content_fingerprint, stage_module, work_of
from pipeline.files.afar.stand_ins import is_there
from pipeline.files.inputs import Input, Read, Stamp, content_of, stamp_of
from pipeline.stores.held_files import held


def perform(
    units: Sequence[Json],
    inputs: Sequence[Sequence[Json]],
    known: Json,
    committed: Sequence[tuple[str, int, str]],
    invited: Sequence[str] | None = None,
    brought: Sequence[Sequence[Any]] = (),
) -> list[list[Any]]:
    """Do units of one stage, but for those whose records stand; runs in the driver or in a worker.

    Args:
        units: The units, as `Work.to_json` writes them; `inputs` says which of the lists of inputs is theirs.
        inputs: Lists of inputs.
        known: What is in their inputs, by key, of those that have not changed since they were read.
        committed: Path, size and sha256 of the files of earlier units that they read.
        invited: For a worker of a cluster, the store that it commits to and the run's token, or nothing.
        brought: For a worker of a cluster, which of the inputs came from stores.

    Returns:
        What was read: an entry of the ledger for each input (see `pipeline.files.inputs`).

    Raises:
        OutputError: If a file of an earlier unit is not what was committed; nothing is done then.
    """
    if invited is not None:
        if invited:
            join(Path(units[0]["place"]["out"]), *invited)
        bring_told(brought)
    with held(one["path"] for of in inputs for one in of):
        if invited is not None:
            _check_there(one for of in inputs for one in of)
        return _done(units, inputs, known, committed)


def _done(
    units: Sequence[Json],
    inputs: Sequence[Sequence[Json]],
    known: Json,
    committed: Sequence[tuple[str, int, str]],
) -> list[list[Any]]:
    """Do what does not stand, from files that are all here."""
    reads = {key: Read(key, (0, 0, 0), content) for key, content in known.items()}
    files = [tuple(Input(**one) for one in of) for of in inputs]
    works = [work_of(unit, files[unit["inputs"]]) for unit in units]
    todo = [work for work in works if not _stands(work, reads)]
    if todo:
        outputs = (Output(path, size, None, sha256) for path, size, sha256 in committed)
        check_sound(Path(todo[0].place.out), outputs, todo[0].place.threads)
        _perform(todo, reads)
    return [read.entry() for read in reads.values() if read.key not in known]


def carried_out(works: Sequence[Work[Any, Any]], attempts: Sequence[Attempt]) -> Iterable[Json]:
    """Let a stage do units that belong together; the facts of each come when its files are written."""
    module = stage_module(works[0].stage)
    if hasattr(module, "perform_many"):
        return cast("Iterable[Json]", module.perform_many(works, attempts))
    return (module.perform(work, into) for work, into in zip(works, attempts, strict=True))


def _perform(todo: list[Work[Any, Any]], reads: dict[str, Read]) -> None:
    inputs = {one.key: one for work in todo for one in work.inputs}
    before = {key: stamp_of(one.path) for key, one in inputs.items()}
    with ExitStack() as stack:
        attempts = [stack.enter_context(attempt(Path(work.place.out), work.unit())) for work in todo]
        for into in attempts:
            into.noted |= {key: reads[key].content for key in inputs if key in reads}
        for work, into, found in zip(todo, attempts, carried_out(todo, attempts), strict=True):
            _take_contents(work, into, before, reads)
            more = {"inputs": _content(work, reads)} if work.inputs else {}
            failpoint(f"unit.{work.stage}")  # its files are written, and nothing of it counts yet
            into.commit(found | more | ({"part": work.part} if work.part else {}))


def _take_contents(
    work: Work[Any, Any], into: Attempt, before: dict[str, Stamp], reads: dict[str, Read]
) -> None:
    """Learn what was in the unit's inputs; one that the stage did not note is read for it."""
    for one in work.inputs:
        if one.key in reads:
            continue
        content = into.noted.get(one.key) or content_of(one)
        if stamp_of(one.path) != before[one.key]:
            raise DataError(
                f"'{one.path}' changed while it was read; stop what is writing to it and run again"
            )
        reads[one.key] = Read(one.key, before[one.key], content)


def _check_there(inputs: Iterable[Json]) -> None:
    """See that this machine has a unit's inputs.

    Raises:
        DataError: With the first that it lacks.
    """
    missing = next(
        (one["path"] for one in inputs if not Path(one["path"]).exists() and not is_there(one["path"])), None
    )
    if missing is not None:
        raise DataError(
            f"'{missing}' is not there on the worker on {socket.gethostname()}: all machines of a cluster must see a "
            "set at the same path. Put it on a folder that they share, or on a store, and run again"
        )


def _content(work: Work[Any, Any], reads: Mapping[str, Read]) -> str:
    return content_fingerprint((one.name, reads[one.key].content) for one in work.inputs)


def _stands(work: Work[Any, Any], reads: dict[str, Read]) -> bool:
    """Say whether the unit's record holds for the files that are there now; one that does not is forgotten."""
    out, unit = Path(work.place.out), work.unit()
    record = find(out, unit)
    if record is None:
        return False
    for one in work.inputs:
        if one.key not in reads:
            reads[one.key] = Read(one.key, stamp_of(one.path), content_of(one))
    if not work.inputs or record.facts["inputs"] == _content(work, reads):
        return True
    _refuse_to_replace(work, record)
    forget(out, unit)
    return False


def _refuse_to_replace(work: Work[Any, Any], record: Record) -> None:
    """Embeddings of a set that was elsewhere are not written over: it may be another set."""
    if getattr(work.settings, "moved", False) and record.facts.get("encoder"):
        where = Path(work.inputs[0].path).parent
        raise OutputError(
            f"{work.place.out} holds embeddings ({work.label}) that were made of other files than those that are in "
            f"'{where}' now, and the set's path in the plan has changed. Name another output, put the former path "
            "back, or add --overwrite to remove what is there"
        )
