from __future__ import annotations

import errno
import os
import resource
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

from indexes.errors import DataError, OutputError
from pipeline.files import storage


def in_subprocess(code: str, folder: Path) -> str:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", textwrap.dedent(code), str(folder)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout


def test_write_atomic_replaces_and_leaves_no_temporary(tmp_path: Path) -> None:
    out = tmp_path / "a folder" / "with 'quotes' * [x]"
    storage.write_atomic(out, "deep/er/name.json", b"one")
    storage.write_atomic(out, "deep/er/name.json", b"two")
    assert [p.relative_to(out).as_posix() for p in out.rglob("*") if p.is_file()] == ["deep/er/name.json"]
    assert (out / "deep/er/name.json").read_bytes() == b"two"


def test_order_of_system_calls_is_fsync_rename_fsync(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    calls: list[str] = []
    fsync, rename = os.fsync, os.rename

    def seen_fsync(descriptor: int) -> None:
        kind = "folder" if Path(f"/proc/self/fd/{descriptor}").is_dir() else "file"
        calls.append(f"fsync {kind}")
        fsync(descriptor)

    def seen_rename(*args: str, **options: int) -> None:
        calls.append("rename")
        rename(*args, **options)

    monkeypatch.setattr(os, "fsync", seen_fsync)
    monkeypatch.setattr(os, "rename", seen_rename)
    storage.write_atomic(tmp_path, "d/x", b"content")
    assert calls == ["fsync file", "rename", "fsync folder"]


def test_failed_write_keeps_the_old_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    storage.write_atomic(tmp_path, "x", b"old")
    monkeypatch.setenv("NEARFAR_FAILPOINT", "storage.before_rename=enospc")
    with pytest.raises(
        OutputError, match=r"3 bytes needed.*No space left.*bytes are free.*run again to resume"
    ):
        storage.write_atomic(tmp_path, "x", b"new")
    assert (tmp_path / "x").read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_a_new_file_takes_nobodys_place(tmp_path: Path) -> None:
    (tmp_path / "mine").write_bytes(b"mine")
    (tmp_path / "link").symlink_to(tmp_path / "mine")
    with storage.open_folder(tmp_path) as folder:
        for name in ("mine", "link"):
            with pytest.raises(FileExistsError):
                storage.write_new(name, b"new", folder)
    assert (tmp_path / "mine").read_bytes() == b"mine"


@pytest.mark.parametrize("relative", ["", "/etc/x", "../x", "a/../../x", "a\0b"])
def test_paths_out_of_the_folder_are_refused(tmp_path: Path, relative: str) -> None:
    with pytest.raises(OutputError, match="inside the output folder"):
        storage.write_atomic(tmp_path, relative, b"")


def test_linked_folders_are_refused(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "out").symlink_to(tmp_path / "real")
    with pytest.raises(OutputError, match="symbolic link"):
        storage.write_atomic(tmp_path / "out", "x", b"")
    (tmp_path / "nowhere").symlink_to(tmp_path / "gone")
    with pytest.raises(OutputError, match="nowhere' is a symbolic link"):
        storage.write_atomic(tmp_path / "nowhere", "x", b"")
    (tmp_path / "real/commits").symlink_to(tmp_path)
    with pytest.raises(OutputError, match="commits' is a symbolic link"):
        storage.write_atomic(tmp_path / "real", "commits/x", b"")
    (tmp_path / "real/file").write_text("")
    with pytest.raises(OutputError, match="not a folder"):
        storage.write_atomic(tmp_path / "real", "file/x", b"")
    assert not (tmp_path / "x").exists()
    assert not (tmp_path / "real/x").exists()


def test_a_linked_parent_of_the_output_is_allowed(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "runs").symlink_to(tmp_path / "disk")
    storage.write_atomic(tmp_path / "runs/out", "x", b"1")
    assert (tmp_path / "disk/out/x").read_bytes() == b"1"


def test_a_link_as_the_file_is_replaced_not_followed(tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("precious")
    (tmp_path / "x").symlink_to(tmp_path / "victim")
    storage.write_atomic(tmp_path, "x", b"new")
    assert (tmp_path / "victim").read_text() == "precious"
    assert not (tmp_path / "x").is_symlink()


def test_sync_file_gives_the_size_and_refuses_links(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"12345")
    (tmp_path / "link").symlink_to(tmp_path / "x")
    assert storage.sync_file(tmp_path / "x") == 5
    for name in ("link", "absent", "."):
        with pytest.raises(OutputError, match="not a regular file"):
            storage.sync_file(tmp_path / name)


def test_a_link_that_comes_after_the_look_is_not_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "x").write_bytes(b"12345")
    (tmp_path / "link").symlink_to(tmp_path / "x")
    monkeypatch.setattr(Path, "is_symlink", lambda path: False)
    with pytest.raises(OSError, match="symbolic links"):
        storage.sync_file(tmp_path / "link")


def test_file_size_knows_only_regular_files(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d/x").write_bytes(b"123")
    (tmp_path / "d/link").symlink_to(tmp_path / "d/x")
    (tmp_path / "e").symlink_to(tmp_path / "d")
    found = [storage.file_size(tmp_path, name) for name in ("d/x", "d/link", "d", "d/none", "none/x", "e/x")]
    assert found == [3, None, None, None, None, None]


def test_free_bytes_of_a_folder_to_come(tmp_path: Path) -> None:
    assert storage.free_bytes(tmp_path / "a/b/c") > 0


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_no_room_becomes_an_output_error(tmp_path: Path, number: int) -> None:
    with (
        pytest.raises(OutputError, match="Nothing that was committed is damaged"),
        storage.output_errors(tmp_path),
    ):
        raise OSError(number, os.strerror(number))


@pytest.mark.parametrize(
    "error",
    [
        OSError("1000 requested and 12 written"),
        RuntimeError("Error in write: 0 != 8 (No space left on device)"),
        OSError("IOError: Could not write: Disk quota exceeded"),
    ],
)
def test_no_room_in_words_is_understood(tmp_path: Path, error: Exception) -> None:
    with pytest.raises(OutputError, match="no space left, or a size limit"), storage.output_errors(tmp_path):
        raise error


def test_refused_access_is_ours_only_below_the_output(tmp_path: Path) -> None:
    mine = PermissionError(errno.EACCES, "Permission denied", str(tmp_path / "x"))
    with pytest.raises(OutputError, match="make the folder writable"), storage.output_errors(tmp_path):
        raise mine
    for named in ("/elsewhere/pool.npy", None):
        with pytest.raises(PermissionError), storage.output_errors(tmp_path):
            raise PermissionError(errno.EACCES, "Permission denied", named)


def test_other_errors_pass_untouched(tmp_path: Path) -> None:
    for error in (DataError("x: No space left on device"), ValueError("y"), OSError(errno.EIO, "io")):
        with pytest.raises(type(error)) as caught, storage.output_errors(tmp_path):
            raise error
        assert caught.value is error


def test_output_that_is_a_file_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for out in (tmp_path / "file", tmp_path / "file/below", Path("/proc/nearfar")):
        with pytest.raises(OutputError, match="cannot make the folder"):
            storage.write_atomic(out, "x", b"")


def test_unwritable_output_says_so(tmp_path: Path) -> None:
    code = """
        import os, sys
        from pathlib import Path
        from indexes.errors import OutputError
        from pipeline.files.storage import write_atomic
        if os.geteuid() == 0:
            os.setuid(65534)  # root may write anywhere
        try:
            write_atomic(Path(sys.argv[1]) / "out", "x", b"")
        except OutputError as error:
            print(error)
        """
    (tmp_path / "out").mkdir(mode=0o500)
    assert "make the folder writable, or name another output" in in_subprocess(code, tmp_path)


def test_size_limit_leaves_no_partial_file(tmp_path: Path) -> None:
    code = """
        import resource, sys
        from pathlib import Path
        from indexes.errors import OutputError
        from pipeline.files.storage import write_atomic
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
        out = Path(sys.argv[1])
        write_atomic(out, "small", b"s" * 4096)
        try:
            write_atomic(out, "small", b"b" * 4097)
        except OutputError as error:
            print(error)
        """
    printed = in_subprocess(code, tmp_path)
    assert "File too large" in printed
    assert "run again to resume" in printed
    assert (tmp_path / "small").read_bytes() == b"s" * 4096
    assert [p.name for p in tmp_path.iterdir()] == ["small"]


def test_numpy_words_for_a_full_disk_are_the_ones_we_know(tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    try:
        with pytest.raises(OutputError, match="size limit"), storage.output_errors(tmp_path):
            np.save(tmp_path / "x.npy", np.zeros(100_000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
