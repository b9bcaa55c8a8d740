"""Files that are whole or absent: fsync, rename, no symbolic links, and clear words when the disk is full."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from indexes.errors import NearfarError, OutputError
from pipeline.execution.failpoints import failpoint

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_NO_ACCESS = {errno.EACCES, errno.EPERM, errno.EROFS}
# numpy and FAISS report a full disk in words alone, without an error number.
_NO_ROOM_WORDS = re.compile(
    "|".join([r"\d+ requested and \d+ written", *(re.escape(os.strerror(n)) for n in sorted(NO_ROOM))])
)


def relative_parts(relative: str) -> tuple[str, ...]:
    """Split a path inside an output folder into its parts.

    Raises:
        OutputError: If the path is absolute, empty, or climbs out of the folder.
    """
    parts = PurePosixPath(relative).parts
    if not parts or relative.startswith("/") or ".." in parts or "\0" in relative:
        raise OutputError(
            f"'{relative}' is no path inside the output folder; give a relative one without '..'"
        )
    return parts


@contextlib.contextmanager
def open_folder(out: Path, relative: str = ".", create: bool = False) -> Iterator[int]:
    """Open `out/relative` as a descriptor, following no symbolic link from `out` downwards.

    Args:
        out: The output folder; its own parents may be links.
        relative: A folder below it, `.` for itself.
        create: Make what is missing (and make each new entry durable).

    Raises:
        OutputError: If one of the folders is a symbolic link or not a folder, or cannot be made.
        FileNotFoundError: If a folder is missing and `create` is false.
    """
    descriptor = _open_root(out, create)
    try:
        walked = out
        for part in () if relative == "." else relative_parts(relative):
            walked = walked / part
            with output_errors(walked):
                below = _descend(descriptor, part, walked, create)
            os.close(descriptor)
            descriptor = below
        yield descriptor
    finally:
        os.close(descriptor)


def _open_root(out: Path, create: bool) -> int:
    with output_errors(out):
        if create and not out.is_symlink():
            try:
                out.mkdir(parents=True, exist_ok=True)
            except (FileExistsError, NotADirectoryError, FileNotFoundError) as error:
                raise OutputError(
                    f"cannot make the folder '{out}': a file is in the way, or no folder can be there. "
                    "Name another output"
                ) from error
        return _open_one(str(out), None, out)


def _descend(parent: int, name: str, path: Path, create: bool) -> int:
    if create:
        with contextlib.suppress(FileExistsError):
            os.mkdir(name, dir_fd=parent)
            os.fsync(parent)
    return _open_one(name, parent, path)


def _open_one(name: str, parent: int | None, path: Path) -> int:
    try:
        return os.open(name, _FOLDER, dir_fd=parent)
    except OSError as error:
        if error.errno not in (errno.ELOOP, errno.ENOTDIR):
            raise
        kind = "a symbolic link" if path.is_symlink() else "not a folder"
        raise OutputError(
            f"'{path}' is {kind}; nearfar writes only into real folders. "
            "Name the real folder as the output, or move this one away"
        ) from error


def sync_file(path: Path) -> int:
    """Flush a regular file to the disk and return its size in bytes.

    Raises:
        OutputError: If `path` is a symbolic link, or no regular file.
    """
    with output_errors(path):
        if path.is_symlink() or not path.is_file():
            raise OutputError(f"'{path}' is not a regular file; what a unit writes must be one")
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
            return os.fstat(descriptor).st_size
        finally:
            os.close(descriptor)


def read_file(name: str, folder: int) -> bytes:
    """Read the file `name` in an open folder; a link is no file.

    Raises:
        FileNotFoundError: If there is none.
    """
    try:
        descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        raise FileNotFoundError(errno.ENOENT, "a link is no file", name) from error
    with os.fdopen(descriptor, "rb") as stream:
        return stream.read()


def write_new(name: str, content: bytes, folder: int) -> None:
    """Create the file `name` in an open folder, write it whole and flush it.

    Raises:
        FileExistsError: If it exists, or is a link.
    """
    descriptor = os.open(name, _NEW_FILE, 0o666, dir_fd=folder)
    try:
        remaining = memoryview(content)
        while remaining:
            remaining = remaining[os.write(descriptor, remaining) :]
        os.fsync(descriptor)
    except BaseException:
        os.unlink(name, dir_fd=folder)
        raise
    finally:
        os.close(descriptor)


def temporary_name(name: str, token: str = "") -> str:
    """Call what is being written of a file, by a token or a fresh one, within the 255 bytes of a name."""
    return f".{name[:50]}.{token or secrets.token_hex(8)}.tmp"


def write_atomic(out: Path, relative: str, content: bytes) -> None:
    """Put `content` at `out/relative`: a reader sees the old file or the new one, whole, always."""
    *folders, name = relative_parts(relative)
    temporary = temporary_name(name)
    into = "/".join(folders) or "."
    with output_errors(out / relative, len(content)), open_folder(out, into, create=True) as folder:
        write_new(temporary, content, folder)
        try:
            failpoint("storage.before_rename")
            os.rename(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
        except BaseException:
            os.unlink(temporary, dir_fd=folder)
            raise
        os.fsync(folder)


def remove_file(out: Path, relative: str) -> None:
    """Remove the file `out/relative`, for good."""
    *folders, name = relative_parts(relative)
    with open_folder(out, "/".join(folders) or ".") as folder:
        os.unlink(name, dir_fd=folder)
        os.fsync(folder)


def file_size(out: Path, relative: str) -> int | None:
    """Size of the regular file `out/relative` in bytes; None where there is none, or where it is a link."""
    *folders, name = relative_parts(relative)
    try:
        with open_folder(out, "/".join(folders) or ".") as folder:
            found = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except (FileNotFoundError, OutputError):
        return None
    return found.st_size if stat.S_ISREG(found.st_mode) else None


def entries(folder: int) -> list[str]:
    """Names in an open folder, sorted (the order of a folder is no order)."""
    with os.scandir(folder) as found:
        return sorted(entry.name for entry in found)


def free_bytes(path: Path) -> int:
    """Bytes that this user may still write on the file system of `path` (or its nearest existing parent)."""
    for folder in (path, *path.absolute().parents):
        with contextlib.suppress(OSError):
            found = os.statvfs(folder)
            return found.f_bavail * found.f_frsize
    return 0


@contextlib.contextmanager
def output_errors(path: Path, bytes_needed: int | None = None) -> Iterator[None]:
    """Turn a full disk, a quota, a size limit or a refused write at or below `path` into an `OutputError`.

    Refused access elsewhere (an unreadable input, say) passes through: it says nothing about the output.
    """
    try:
        yield
    except NearfarError:
        raise
    except Exception as error:
        message = _explain(error, path, bytes_needed)
        if message is None:
            raise
        raise OutputError(message) from error


def _explain(error: Exception, path: Path, bytes_needed: int | None) -> str | None:
    number = error.errno if isinstance(error, OSError) else None
    if number in NO_ROOM or (number is None and _NO_ROOM_WORDS.search(str(error))):
        need = "" if bytes_needed is None else f" ({bytes_needed:,} bytes needed)"
        why = os.strerror(number) if number else "no space left, or a size limit reached"
        return (
            f"cannot write '{path}'{need}: {why}; {free_bytes(path):,} bytes are free there. Nothing that "
            "was committed is damaged: free some space (or raise the quota or limit) and run again to resume"
        )
    if number in _NO_ACCESS and _concerns(error, path):
        return (
            f"cannot write '{path}': {os.strerror(number or 0)}. Nothing that was committed is damaged: "
            "make the folder writable, or name another output, and run again to resume"
        )
    return None


def _concerns(error: Exception, path: Path) -> bool:
    named = getattr(error, "filename", None)
    if not isinstance(named, str):
        return str(path) in str(error)
    if "/" not in named:  # relative to a folder descriptor, so one of ours
        return True
    here = Path.cwd()
    return (here / named).is_relative_to(here / path) or (here / path).is_relative_to(here / named)
