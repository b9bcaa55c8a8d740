"""How the files of a finished attempt become visible; the order of its steps is the commit contract.

With the stage's records locked: a journal notes every file that this unit may leave on disk; a stale record
goes, so that no reader trusts files that are about to change; the files are renamed into place and their
folders flushed; the record is created exclusively; files that only the stale record named are removed; the
journal goes. A crash before the record leaves a unit that is not done, one after it at most a journal to finish;
either way the next run removes what the journal names and no record does.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from indexes.errors import OutputError, RunFailedError
from pipeline import layout
from pipeline.commit.records import (
    Output,
    Record,
    Unit,
    commit_folder,
    dump_record,
    find,
    parse_record,
    record_file,
)
from pipeline.commit.run_lock import epoch
from pipeline.commit.stage_lock import exclusive
from pipeline.execution.failpoints import failpoint
from pipeline.files.digests import sha256_of
from pipeline.files.storage import (
    entries,
    file_size,
    open_folder,
    read_file,
    relative_parts,
    remove_file,
    temporary_name,
    write_atomic,
    write_new,
)

_NO_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}
_JOURNAL = ".journal"

Places = set[tuple[str, int]]
"""Files by path and inode: where another unit has replaced a path, it is another file and is left alone."""


@dataclass(frozen=True, slots=True)
class Publication:
    """A sealed attempt; its files lie under `source` (relative to `out`) by their final relative names."""

    out: Path
    source: str
    token: str
    epoch: str | None
    record: Record

    @property
    def unit(self) -> Unit:
        """The unit that the record makes done."""
        return Unit(self.record.stage, self.record.name, self.record.fingerprint)


def publish(publication: Publication) -> Record:
    """Put the outputs in place and create the record; if a valid one stands, return that and change nothing.

    Raises:
        RunFailedError: If another run took the output over since the attempt began.
        OutputError: If the disk refuses, or something that is no file stands where an output belongs.
    """
    out, record = publication.out, publication.record
    with open_folder(out, commit_folder(record.stage), create=True) as folder, exclusive(folder):
        standing = find(out, publication.unit)
        if standing:
            return standing
        _fence(publication)
        _write_journal(publication, folder)
        _retire(folder, record)
        _place(publication)
        if not _create_record(publication, folder):
            return _rival(publication)
        failpoint("commit.after_record")
        _clean(out, folder, record_file(record.name), record)
    failpoint("commit.end")
    return record


def finish_journals(out: Path) -> None:
    """Remove what a crash left behind: files of stale records, and files whose record never came.

    A worker of an earlier run may be in the middle of publishing: it ends before that, or finds that it is too late.
    """
    try:
        with open_folder(out, "commits") as commits:
            stages = entries(commits)
    except FileNotFoundError:
        return
    for stage in stages:
        with open_folder(out, f"{layout.COMMITS}/{stage}") as folder:
            journals = [name for name in entries(folder) if name.endswith(_JOURNAL)]
            with exclusive(folder) if journals else contextlib.nullcontext():
                for name in journals:
                    file = name[1 : -len(_JOURNAL)]
                    _clean(out, folder, file, _read_record(folder, file))


def _fence(publication: Publication) -> None:
    if epoch(publication.out) != publication.epoch:
        raise RunFailedError(
            f"another run took over '{publication.out}' while unit {publication.record.label} was at work; "
            "its result is dropped, and the other run makes it again"
        )


def _write_journal(publication: Publication, folder: int) -> None:
    out, record = publication.out, publication.record
    stale = _read_record(folder, record_file(record.name))
    places = _read_journal(folder, record_file(record.name))
    places |= _places(out / publication.source, record.outputs)
    places |= _places(out, _left_over(out, stale)) if stale else set()
    content = json.dumps(sorted(places), indent=0).encode()
    write_atomic(out, f"{commit_folder(record.stage)}/{_journal_file(record_file(record.name))}", content)
    failpoint("commit.journalled")


def _retire(folder: int, record: Record) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(record_file(record.name), dir_fd=folder)
        os.fsync(folder)
        failpoint("commit.retired")


def _place(publication: Publication) -> None:
    failpoint("commit.before_rename")
    folders = set()
    for output in publication.record.outputs:
        *parents, name = relative_parts(output.path)
        into = "/".join(parents) or "."
        folders.add(into)
        source_folder = "/".join((publication.source, *parents))
        with (
            open_folder(publication.out, source_folder) as source,
            open_folder(publication.out, into, create=True) as target,
        ):
            _rename(name, source, target, publication.out / output.path)
        failpoint("commit.between_renames")
    for into in sorted(folders):
        with open_folder(publication.out, into) as target:
            os.fsync(target)
    failpoint("commit.before_record")


def _rename(name: str, source: int, target: int, path: Path) -> None:
    try:
        os.rename(name, name, src_dir_fd=source, dst_dir_fd=target)
    except (IsADirectoryError, NotADirectoryError) as error:
        raise OutputError(f"'{path}' is a folder where a file belongs; move it away and run again") from error


def _create_record(publication: Publication, folder: int) -> bool:
    name = record_file(publication.record.name)
    temporary = temporary_name(name, publication.token)
    content = dump_record(publication.record)
    write_new(temporary, content, folder)
    failpoint("commit.record_written")
    try:
        _link(temporary, name, content, folder)
    except FileExistsError:
        return False
    finally:
        os.unlink(temporary, dir_fd=folder)
    os.fsync(folder)
    return True


def _link(temporary: str, name: str, content: bytes, folder: int) -> None:
    try:
        os.link(temporary, name, src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=False)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        write_new(name, content, folder)  # a crash in here leaves a torn record, which counts as none


def _rival(publication: Publication) -> Record:
    standing = find(publication.out, publication.unit)
    if standing:
        return standing
    label = publication.record.label
    raise RunFailedError(f"unit {label} was committed by another run at the same moment; run again")


def _clean(out: Path, folder: int, file: str, record: Record | None) -> None:
    """Remove what a journal names but not the record in that file, if there is one; then the journal."""
    kept = {output.path for output in record.outputs} if record else set()
    for path, inode in sorted(_read_journal(folder, file)):
        if path not in kept and _inode(out / path) == inode:
            remove_file(out, path)
            failpoint("commit.between_removals")
    with contextlib.suppress(FileNotFoundError):
        os.unlink(_journal_file(file), dir_fd=folder)


def _left_over(out: Path, stale: Record) -> list[Output]:
    # Only files that are still what the stale record says: any other has become another unit's. Those that the new
    # record names too are noted as well, since a crash may come before they are replaced, and a third record after it.
    return [output for output in stale.outputs if _is(out, output)]


def _is(out: Path, output: Output) -> bool:
    return file_size(out, output.path) == output.bytes and sha256_of(out / output.path) == output.sha256


def _places(root: Path, outputs: Iterable[Output]) -> Places:
    return {(output.path, _inode(root / output.path)) for output in outputs}


def _inode(path: Path) -> int:
    try:
        return path.lstat().st_ino
    except OSError:
        return 0


def _journal_file(file: str) -> str:
    return f".{file}{_JOURNAL}"


def _read_journal(folder: int, file: str) -> Places:
    try:
        found = json.loads(read_file(_journal_file(file), folder))
        places = {(str(path), int(inode)) for path, inode in found}
        for path, _ in places:
            relative_parts(path)
    except (FileNotFoundError, ValueError, TypeError, OutputError):
        return set()
    return places


def _read_record(folder: int, name: str) -> Record | None:
    with contextlib.suppress(FileNotFoundError):
        return parse_record(read_file(name, folder))
    return None
