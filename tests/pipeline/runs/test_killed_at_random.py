"""What is killed at a random moment, and given again, ends in the bytes of an undisturbed one.

At named places that is shown by tests of their own. Here every stage is killed while it works: what it made is taken
out of a finished output, and the command that makes it again is killed. So is a purge.
"""

from __future__ import annotations

import hashlib
import json
import random
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import flat_atlas
import pyarrow.parquet as pq
import pytest
from forked_commands import Forker
from hostile_server import Server, hostile_server
from measured_world import write_measured_plan
from purge_pool import write_purgeable

from pipeline.commit import retire
from pipeline.execution.work import stage_module
from pipeline.stages import performing_names

pytestmark = pytest.mark.soak
KILLS = 25
PASSING = {".lock", "log.jsonl", "inputs.json", "shards.json", "plan.lock.yaml"}
"""What holds times and processes, or is written again by the run that follows."""
COMMANDS = {
    "ingesting": ("ingest", "list.jsonl", "out", "--loopback", "--shard-rows", "5"),
    "exporting": ("export", "out", "unique", "--samples-per-shard", "10"),
    "mapping": (flat_atlas.__file__, "out", "unique", "30"),
}
"""What does the stages that are no part of a run, by the room that they lie in."""
RUN = ("run", "plan.yaml")


@dataclass(frozen=True)
class Finished:
    """A folder with a finished output, and the commands that made it."""

    folder: Path

    @property
    def out(self) -> Path:
        """Where the output lies."""
        return self.folder / "out"

    def files(self) -> dict[str, str]:
        """The sha256 of every file, but for those that differ from run to run."""
        return {
            path.relative_to(self.out).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(self.out.rglob("*"))
            if path.is_file() and path.name not in PASSING
        }


@pytest.fixture(scope="module")
def web() -> Iterator[Server]:
    with hostile_server() as running:
        yield running


@pytest.fixture(scope="module")
def fetched(web: Server, forked: Forker, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    folder = tmp_path_factory.mktemp("fetched")
    paths = [f"/pictures/{number}.jpg" for number in range(40)] + ["/bomb.png", "/nowhere.jpg"]
    lines = [{"url": web.url(path), "caption": f"caption of {path}"} for path in paths]
    (folder / "list.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return done(forked, folder, COMMANDS["ingesting"])


@pytest.fixture(scope="module")
def measured(forked: Forker, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """A run that comes to units of every stage, an export and an atlas."""
    from pipeline.world.render import render_world

    folder = tmp_path_factory.mktemp("measured")
    render_world(folder / "world", seed=0, samples=60)
    write_measured_plan(folder, folder / "world")
    return done(forked, folder, RUN, COMMANDS["exporting"], COMMANDS["mapping"])


def done(forked: Forker, folder: Path, *commands: tuple[str, ...]) -> Finished:
    for command in commands:
        status, said = forked(*command, folder=folder)
        assert status == 0, said
    return Finished(folder)


class Moment:
    """Some seconds after the first unit was begun, told again and again how long a command has been going."""

    def __init__(self, out: Path, seconds: float = float("inf")) -> None:
        self._attempts, self._seconds = out / "attempts", seconds
        self._began: float | None = None
        self.passed = 0.0

    def __call__(self, elapsed: float) -> bool:
        """Say whether it has come."""
        if self._began is None and self._attempts.is_dir() and any(self._attempts.iterdir()):
            self._began = elapsed
        self.passed = 0.0 if self._began is None else elapsed - self._began
        return self._began is not None and self.passed >= self._seconds


@pytest.mark.parametrize("stage", performing_names())
def test_a_stage_that_is_killed_at_any_moment_ends_in_the_same_bytes(
    stage: str, forked: Forker, request: pytest.FixtureRequest
) -> None:
    room = stage_module(stage).__name__.split(".")[-2]
    finished: Finished = request.getfixturevalue("fetched" if room == "ingesting" else "measured")
    command, expected = COMMANDS.get(room, RUN), finished.files()

    def taken_out() -> None:
        retire(finished.out, stage, lambda record: True)
        assert finished.files().keys() < expected.keys()

    taken_out()
    undisturbed = Moment(finished.out)
    assert not forked.kill(*command, folder=finished.folder, ripe=undisturbed)
    killed_while_it_works(
        random.Random(stage),
        undisturbed.passed,
        taken_out,
        lambda seconds: forked.kill(*command, folder=finished.folder, ripe=Moment(finished.out, seconds)),
        lambda: done(forked, finished.folder, command).files() == expected,
    )


def killed_while_it_works(
    draw: random.Random,
    seconds: float,
    prepare: Callable[[], None],
    kill: Callable[[float], bool],
    is_as_expected: Callable[[], bool],
) -> None:
    """Kill 25 times, at moments that are drawn again where it was done by then; see each time what comes of it."""
    killed = 0
    for _ in range(4 * KILLS):
        prepare()
        moment = draw.uniform(0, seconds)
        dead = kill(moment)
        assert is_as_expected(), f"killed {killed} times before, now after {moment:.3f} s"
        killed += dead
        if killed == KILLS:
            return
    raise AssertionError(f"killed {killed} times only, within {seconds:.3f} s")


def test_a_purge_that_is_killed_at_any_moment_ends_in_the_same_bytes(forked: Forker, tmp_path: Path) -> None:
    write_purgeable(tmp_path, "out")
    whole = done(forked, tmp_path, RUN, ("export", "out", "whole", "--samples-per-shard", "4"))
    rows = pq.read_table(whole.out / "samples" / "pool").to_pylist()
    (tmp_path / "uids.txt").write_text("".join(f"{row['uid']}\n" for row in rows[::7]))
    purge = ("purge", "out", "--list", "uid=uids.txt")
    whole.out.rename(tmp_path / "before")

    def prepare() -> None:
        shutil.rmtree(whole.out, ignore_errors=True)
        shutil.copytree(tmp_path / "before", whole.out)

    seconds = [0.0]

    def longest(elapsed: float) -> bool:
        seconds[0] = elapsed
        return False

    prepare()
    forked.kill(*purge, folder=tmp_path, ripe=longest)
    expected = done(forked, tmp_path, RUN).files()
    killed_while_it_works(
        random.Random("purge"),
        seconds[0],
        prepare,
        lambda moment: forked.kill(*purge, folder=tmp_path, ripe=lambda elapsed: elapsed >= moment),
        lambda: done(forked, tmp_path, purge, RUN).files() == expected,
    )
