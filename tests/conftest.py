"""Fixtures for the whole suite."""

from __future__ import annotations

import atexit
import contextlib
import gc
import io
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
import shared_work
import whole_runs
from forked_commands import Forker, forker
from small_sets import write_plan, write_sets

# A suite that was started in the background has Ctrl-C ignored, and so would have all that it starts.
signal.signal(signal.SIGINT, signal.default_int_handler)
# Libraries hold millions of objects; going through them as often as ordinary took a twentieth of the suite.
gc.set_threshold(10_000, 20, 100)

MEMORY, ROOM = "/dev/shm", 4 << 30
"""A file system in memory, where there is one, and what must be free there: a whole suite writes about 1.2 GB."""
# A suite makes and removes a hundred thousand small files, and a journal takes up to a hundred times as long for each.
# Who sets TMPDIR has them there.
if "TMPDIR" not in os.environ and os.access(MEMORY, os.W_OK):
    about = os.statvfs(MEMORY)
    if about.f_bavail * about.f_frsize >= ROOM and not about.f_flag & os.ST_NOEXEC:
        os.environ["PYTEST_DEBUG_TEMPROOT"] = MEMORY
        # What libraries and servers leave lying goes with the process.
        os.environ["TMPDIR"] = tempfile.tempdir = tempfile.mkdtemp(prefix="nearfar-tests-", dir=MEMORY)
        atexit.register(shutil.rmtree, tempfile.tempdir, ignore_errors=True)

# How long an example takes says on a busy machine, and of the first one that loads a library, nothing.
hypothesis.settings.register_profile("unhurried", deadline=None)
hypothesis.settings.load_profile("unhurried")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files that take long come first: at the end no process then has a long one to itself while others have none."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow and item.path.parent.name not in ("runs", "stores"))


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Give the memory back; what failed is left to look at. Processes side by side have folders in the first one's."""
    root = os.environ.get("PYTEST_DEBUG_TEMPROOT")
    if exitstatus == 0 and session.config.option.basetemp is None and root == MEMORY:
        shutil.rmtree(session.config._tmp_path_factory.getbasetemp(), ignore_errors=True)


@pytest.fixture(scope="session", autouse=True)
def _unhurried_disk() -> Iterator[None]:
    """Nothing waits for the disk: tests kill processes and never the machine, and a third of a small run is waiting.

    What is synced, and when, `test_storage` tells; runs in processes of their own sync as ever.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: None)
        yield


@pytest.fixture(scope="session", autouse=True)
def _together(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Do once what processes side by side have in common."""
    own = tmp_path_factory.getbasetemp()
    os.environ[shared_work.FOLDER] = str(own.parent if "PYTEST_XDIST_WORKER" in os.environ else own)
    shared_work.compile_in_turns()


@pytest.fixture(scope="session")
def small_world(_together: None) -> Path:
    """A rendered world of 200 samples, seed 0; read it, change nothing in it."""
    from pipeline.world.render import render_world

    return shared_work.made_once("world", lambda folder: render_world(folder / "small", 0, 200)) / "small"


@pytest.fixture(scope="session")
def finished_run(small_world: Path) -> whole_runs.FinishedRun:
    """One undisturbed run in a process of its own, and how long it took."""

    def run(folder: Path) -> None:
        began = time.monotonic()
        result = whole_runs.finish(whole_runs.arguments(small_world), folder)
        assert result.returncode == 0, result.stderr
        (folder / "seconds").write_text(str(time.monotonic() - began))

    folder = shared_work.made_once("quickstart", run)
    return whole_runs.FinishedRun(folder / "out", float((folder / "seconds").read_text()))


@pytest.fixture(scope="session")
def quickstart_output(finished_run: whole_runs.FinishedRun) -> Path:
    """The output folder of that run; read it, change nothing in it."""
    return finished_run.out


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real embeddings, images and tables, which is no part of the repository."""
    where = os.environ.get("NEARFAR_REAL_DATA")
    if not where:
        pytest.skip("NEARFAR_REAL_DATA is not set: it names the folder of real embeddings, images and tables")
    return Path(where)


@pytest.fixture(scope="session")
def forked() -> Forker:
    """Give commands that may be killed, in processes that start at once."""
    return forker()


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> whole_runs.Run:
    """Run the command line in this process: exit code, standard output, standard error."""
    from pipeline.cli import main

    def run(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as stopped:
            main(arguments)
        output = capsys.readouterr()
        assert "Traceback" not in output.err + output.out
        return int(stopped.value.code or 0), output.out, output.err

    return run


@pytest.fixture
def sets(tmp_path: Path) -> Path:
    """A folder with the small sets."""
    write_sets(tmp_path)
    return tmp_path


@pytest.fixture(scope="session")
def _ran_once(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The small sets with their plan, run; and a copy of all that."""
    from pipeline.cli import main

    folder = tmp_path_factory.mktemp("finished")
    here, kept = folder / "sets", folder / "kept"
    here.mkdir()
    write_sets(here)
    with (
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()) as said,
        pytest.raises(SystemExit) as stopped,
    ):
        main(("run", str(write_plan(here))))
    assert not stopped.value.code, said.getvalue()
    shutil.copytree(here, kept, symlinks=True)
    return here, kept


@pytest.fixture
def finished_sets(_ran_once: tuple[Path, Path]) -> Path:
    """The folder with the small sets, `plan.yaml` and its finished run in `out`, whatever other tests did there."""
    here, kept = _ran_once
    shutil.rmtree(here)
    shutil.copytree(kept, here, symlinks=True)
    return here
