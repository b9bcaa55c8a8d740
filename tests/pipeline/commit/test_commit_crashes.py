from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

import pytest
from commit_script import run, snapshot, write
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from indexes.errors import OutputError
from pipeline.commit import Unit, find, fingerprint, publish, records, sweep
from pipeline.commit import attempts as commit
from pipeline.commit.run_lock import hold

SCRIPT = Path(__file__).parents[2] / "worlds" / "commit_script.py"


class Victims:
    """Processes that run the script and die; forked from one that has everything imported."""

    def __init__(self) -> None:
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        pipe = subprocess.PIPE
        self.server = subprocess.Popen(
            [sys.executable, str(SCRIPT)], env=environment, stdin=pipe, stdout=pipe
        )

    def run(self, out: Path, version: int, armed: str) -> int:
        assert self.server.stdin is not None
        assert self.server.stdout is not None
        self.server.stdin.write(json.dumps([str(out), version, armed]).encode() + b"\n")
        self.server.stdin.flush()
        return int(self.server.stdout.readline())


@pytest.fixture(scope="module")
def victims() -> Iterator[Victims]:
    started = Victims()
    yield started
    started.server.communicate(timeout=20)


def points(tmp_path: Path, version: int, base: Path | None) -> list[tuple[str, int]]:
    """Every failpoint of a run, with its turn, as recorded by that run itself."""
    out = tmp_path / "recorded"
    if base:
        shutil.copytree(base, out)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NEARFAR_FAILPOINT_RECORD", str(tmp_path / "points"))
        run(out, version)
    names = (tmp_path / "points").read_text().split()
    return [(name, names[: i + 1].count(name)) for i, name in enumerate(names)]


@pytest.mark.parametrize("version", [1, 2])
def test_sigkill_at_every_point_then_a_rerun_gives_the_same_bytes(
    victims: Victims, tmp_path: Path, version: int
) -> None:
    base = None
    if version == 2:
        base = tmp_path / "base"
        run(base, 1)
    undisturbed = tmp_path / "undisturbed"
    run(undisturbed, version)
    expected = snapshot(undisturbed)
    reached = points(tmp_path, version, base)
    assert {"commit.begin", "commit.before_rename", "commit.between_renames", "commit.before_record"} <= dict(
        reached
    ).keys()
    assert ("commit.between_removals" in dict(reached)) == (version == 2)
    for number, (name, turn) in enumerate(reached):
        out = tmp_path / f"killed-{number}"
        if base:
            run(out, 1)
        assert victims.run(out, version, f"{name}=kill@{turn}") == -signal.SIGKILL, (name, turn)
        whole_or_absent(out)
        with hold(out):
            sweep(out)
        assert measured(out) == {one.path for record in records(out, "measure") for one in record.outputs}
        run(out, version)
        assert snapshot(out) == expected, (name, turn)
        shutil.rmtree(out)


def measured(out: Path) -> set[str]:
    """The files that people find, who know of no record."""
    return {path for path in snapshot(out) if path.startswith("measures/")}


def whole_or_absent(out: Path) -> None:
    """What a reader sees after a crash: each record that stands names files that are there with these bytes."""
    for record in records(out, "measure"):
        for output in record.outputs:
            assert hashlib.sha256((out / output.path).read_bytes()).hexdigest() == output.sha256


def test_a_crash_then_another_fingerprint_leaves_no_orphan(victims: Victims, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert victims.run(out, 1, "commit.before_record=kill") == -signal.SIGKILL
    run(out, 2)
    run(tmp_path / "undisturbed", 2)
    assert snapshot(out) == snapshot(tmp_path / "undisturbed")


@pytest.mark.parametrize("action", ["enospc", "edquot"])
def test_a_full_disk_at_every_point_damages_nothing_committed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, action: str
) -> None:
    run(tmp_path / "undisturbed", 1)
    expected = snapshot(tmp_path / "undisturbed")
    for number, (name, turn) in enumerate(points(tmp_path, 1, None)):
        if name == "lock.held":
            continue  # nothing is written there
        out = tmp_path / f"full-{number}"
        monkeypatch.setenv("NEARFAR_FAILPOINT", f"{name}={action}@{turn}")
        with pytest.raises(OutputError, match=r"bytes are free there.*Nothing that was committed is damaged"):
            run(out, 1)
        whole_or_absent(out)
        monkeypatch.delenv("NEARFAR_FAILPOINT")
        run(out, 1)
        assert snapshot(out) == expected, (name, turn)


def test_a_size_limit_in_the_attempt_is_explained(tmp_path: Path) -> None:
    code = (
        "import resource, sys; from pathlib import Path\n"
        "from indexes.errors import OutputError; from pipeline.commit import Unit, attempt\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))\n"
        "try:\n"
        "    with attempt(Path(sys.argv[1]), Unit('measure', 'big', '0')) as trying:\n"
        "        trying.file('data/big').write_bytes(bytes(100_000))\n"
        "except OutputError as error:\n"
        "    print(error)\n"
    )
    write(tmp_path, Unit("measure", "part-0000", "f"), 1)
    before = snapshot(tmp_path)
    settings = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", code, str(tmp_path)]
    ended = subprocess.run(command, env=settings, capture_output=True, text=True, check=True)
    assert "File too large" in ended.stdout
    assert "run again to resume" in ended.stdout
    assert snapshot(tmp_path) == before


class Crash(BaseException):
    """Ends an attempt where it is, as SIGKILL would: nothing is cleaned up."""


class Protocol(RuleBasedStateMachine):
    """Units are committed in any version, crash anywhere, are swept or not: what stands is always whole."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.out = Path(self.folder.name) / "out"
        self.clean = Path(self.folder.name) / "clean"

    def teardown(self) -> None:
        self.folder.cleanup()

    @rule(name=st.sampled_from(["a", "b"]), version=st.integers(1, 3), crash=st.none() | st.integers(0, 14))
    def commit(self, name: str, version: int, crash: int | None) -> None:
        unit = Unit("measure", name, fingerprint(name, version))
        steps = iter(range(100))

        def failpoint(_: str) -> None:
            if next(steps) == crash:
                raise Crash

        before = find(self.out, unit) if self.out.exists() else None
        with (
            patch.object(publish, "failpoint", failpoint),
            patch.object(commit, "failpoint", failpoint),
            patch.object(shutil, "rmtree", lambda *_, **__: None),
        ):
            try:
                write(self.out, unit, version)
            except Crash:
                assert before is None or find(self.out, unit) == before
                return
        found = find(self.out, unit)
        assert found is not None
        assert found.facts == {"version": version, "files": 4 - version}

    @rule()
    def sweep(self) -> None:
        sweep(self.out)

    @rule(version=st.integers(1, 3))
    def rerun(self, version: int) -> None:
        """A whole run after whatever happened gives what an undisturbed run gives."""
        for out in (self.out, self.clean):
            sweep(out)
            for name in ("a", "b"):
                write(out, Unit("measure", name, fingerprint(name, version)), version)
        assert snapshot(self.out) == snapshot(self.clean)
        shutil.rmtree(self.clean)

    @invariant()
    def what_stands_is_whole(self) -> None:
        whole_or_absent(self.out)


TestProtocol = Protocol.TestCase
TestProtocol.settings = settings(max_examples=25, stateful_step_count=12, deadline=None)
