"""The commit contract: a unit's outputs appear all at once, exactly once, and survive a crash at any moment.

A unit writes under `<out>/attempts/<token>/`. To commit, its files are flushed, checked and hashed, then
published (pipeline/commit/publish.py). Done means: the record exists, has the unit's fingerprint, and each output it
names is there. Work may run more than once; it takes effect once.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from indexes.errors import RunFailedError
from pipeline import layout
from pipeline.commit.copying import adopt, sweep_objects
from pipeline.commit.on_stores import send, take_back
from pipeline.commit.publish import Publication, finish_journals, publish
from pipeline.commit.records import (
    Output,
    Record,
    Unit,
    dump_record,
    parse_record,
    record_path,
    records,
)
from pipeline.commit.run_lock import epoch
from pipeline.execution.failpoints import failpoint
from pipeline.files.digests import sha256_of
from pipeline.files.parquet import parquet_rows
from pipeline.files.storage import (
    entries,
    file_size,
    open_folder,
    output_errors,
    relative_parts,
    remove_file,
    sync_file,
)

ATTEMPTS = "attempts"
_SCRATCH = ".scratch"
_TEMPORARY = re.compile(r"\..*\.[0-9a-f]{16}\.tmp")


class Attempt:
    """One try at a unit: files are made under a name of their own and show only when `commit` returns."""

    def __init__(self, out: Path, unit: Unit, token: str) -> None:
        self.out = out
        self.unit = unit
        self._token = token
        self._folder = out / ATTEMPTS / token
        self._epoch = epoch(out)
        self._asked: set[str] = set()
        self._rows: dict[str, int | None] = {}
        self._digests: dict[str, str] = {}
        self.noted: dict[str, str] = {}
        """Content of inputs that the unit read, by their key; see `pipeline.files.inputs`."""

    def file(self, relative: str) -> Path:
        """Where to write the file that will be `<out>/<relative>`; its folder is made."""
        path = self._path(relative)
        path.parent.mkdir(parents=True, exist_ok=True)
        self._asked.add(_normal(relative))
        return path

    def scratch(self) -> Path:
        """A folder on the same file system that goes away with the attempt (for spill files)."""
        path = self._folder / _SCRATCH
        path.mkdir(exist_ok=True)
        return path

    def add(self, relative: str, rows: int | None = None, sha256: str | None = None) -> None:
        """Declare a written file an output of the unit, with its number of rows where it has rows.

        A digest that was taken while the file was written saves reading it again.

        Raises:
            RunFailedError: If it was not written.
        """
        if not self._path(relative).is_file():
            raise RunFailedError(f"unit {self._label} did not write its output '{relative}'")
        self._rows[_normal(relative)] = rows
        if sha256 is not None:
            self._digests[_normal(relative)] = sha256

    def written(self) -> dict[str, Path]:
        """Say where the files lie that were declared outputs, by the path that each will have."""
        return {relative: self._path(relative) for relative in self._rows}

    def commit(self, facts: Mapping[str, Any] | None = None) -> Record:
        """Make the outputs visible and the unit done; return its record, or the one that stands already.

        Raises:
            OutputError: If the disk is full or refuses; nothing committed is damaged.
            RunFailedError: If a file was written and not added, does not hold the declared rows, or another
                run took the output over while this one worked.
        """
        with output_errors(self.out):
            failpoint("commit.begin")
            self._refuse_forgotten()
            record = self._record(facts or {})
            failpoint("commit.sealed")
            source = f"{ATTEMPTS}/{self._token}"
            publication = Publication(self.out, source, self._token, self._epoch, record)
            standing = send(publication)
            return publish(publication) if standing is record else adopt(self.out, standing)

    def _record(self, facts: Mapping[str, Any]) -> Record:
        outputs = tuple(self._seal(relative) for relative in sorted(self._rows))
        made = Record(self.unit.stage, self.unit.name, self.unit.fingerprint, outputs, dict(facts))
        record = parse_record(dump_record(made))  # what a later reader gets: lists for tuples, plain numbers
        if record is None:
            raise RunFailedError(f"unit {self._label} made a record that cannot be read back: {made!r}")
        return record

    @property
    def _label(self) -> str:
        return f"{self.unit.stage}/{self.unit.name}"

    def _path(self, relative: str) -> Path:
        return self._folder.joinpath(*relative_parts(relative))

    def _seal(self, relative: str) -> Output:
        path = self._path(relative)
        size = sync_file(path)
        rows = self._rows[relative]
        held = parquet_rows(path) if rows is not None and path.suffix == ".parquet" else rows
        if held != rows:
            raise RunFailedError(
                f"unit {self._label}: '{relative}' holds {held} rows where {rows} were declared"
            )
        output = Output(relative, size, rows, self._digests.get(relative) or sha256_of(path))
        if path.stat().st_size != size:
            raise RunFailedError(f"unit {self._label}: '{relative}' was still being written at its commit")
        return output

    def _refuse_forgotten(self) -> None:
        left = sorted(name for name in self._asked - self._rows.keys() if self._path(name).exists())
        if left:
            raise RunFailedError(f"unit {self._label} wrote {', '.join(left)} and did not add it")


@contextlib.contextmanager
def attempt(out: Path, unit: Unit) -> Iterator[Attempt]:
    """Begin a try at `unit`; what was not committed at the end of the block is removed.

    Raises:
        OutputError: If the output folder is a symbolic link or cannot be written, now or in the block.
    """
    token = secrets.token_hex(8)
    with open_folder(out, ATTEMPTS, create=True) as attempts, output_errors(out):
        os.fchmod(attempts, 0o700)
        os.mkdir(token, mode=0o700, dir_fd=attempts)
    try:
        with output_errors(out):
            yield Attempt(out, unit, token)
    finally:
        shutil.rmtree(out / ATTEMPTS / token, ignore_errors=True)


def sweep(out: Path) -> None:
    """Remove what killed runs left behind: attempts, temporary files, outputs that only a stale record named.

    The caller holds the lock of the output folder (pipeline/commit/run_lock.py).
    """
    sweep_attempts(out)
    for folder in (".", *_stage_folders(out)):
        _remove_temporaries(out, folder)
    finish_journals(out)
    sweep_objects(out)


def sweep_attempts(out: Path) -> None:
    """Remove the attempts of processes that are gone."""
    with contextlib.suppress(FileNotFoundError), open_folder(out, ATTEMPTS) as attempts:
        for token in entries(attempts):
            shutil.rmtree(out / ATTEMPTS / token)


def retire(out: Path, stage: str, gone: Callable[[Record], bool], kept: str = "") -> None:
    """Remove the records of a stage that are `gone`, and their files, but for those below the folder `kept`.

    Parts of a set that are gone would else stay in folders that people read as one table. A file that another record
    names too is left alone. Files go first: a record that lacks one counts for nothing. The caller holds the lock of
    the output folder.
    """
    found = records(out, stage)
    take_back(out, stage, [record.name for record in filter(gone, found)])
    owners = Counter(output.path for record in found for output in record.outputs)
    for record in filter(gone, found):
        with output_errors(out):
            for output in record.outputs:
                spared = owners[output.path] > 1 or (bool(kept) and output.path.startswith(f"{kept}/"))
                if not spared and file_size(out, output.path) is not None:
                    remove_file(out, output.path)
            failpoint("commit.files_retired")
            remove_file(out, record_path(stage, record.name))


def forget(out: Path, unit: Unit) -> None:
    """Take back that a unit is done, before its files are made again from other inputs."""
    take_back(out, unit.stage, [unit.name])
    with output_errors(out):
        remove_file(out, record_path(unit.stage, unit.name))


def _stage_folders(out: Path) -> list[str]:
    try:
        with open_folder(out, "commits") as commits:
            return [f"{layout.COMMITS}/{stage}" for stage in sorted(entries(commits))]
    except FileNotFoundError:
        return []


def _remove_temporaries(out: Path, relative: str) -> None:
    with contextlib.suppress(FileNotFoundError), open_folder(out, relative) as folder:
        for name in entries(folder):
            if _TEMPORARY.fullmatch(name):
                os.unlink(name, dir_fd=folder)


def _normal(relative: str) -> str:
    return "/".join(relative_parts(relative))
