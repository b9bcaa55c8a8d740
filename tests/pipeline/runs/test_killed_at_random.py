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
    """Some seconds after the first unit was begun, told again and again how long a command has been going.

    `worked` is how long units have been at work, from the first to the last one that was seen.
    """

    def __init__(self, out: Path, seconds: float = float("inf")) -> None:
        self._attempts, self._seconds = out / "attempts", seconds
        self._began: float | None = None
        self.worked = 0.0

    def __call__(self, elapsed: float) -> bool:
        """Say whether it has come."""
        if self._attempts.is_dir() and any(self._attempts.iterdir()):
            self._began = elapsed if self._began is None else self._began
            self.worked = elapsed - self._began
        return self._began is not None and elapsed - self._began >= self._seconds


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

    def kill(seconds: float) -> float | None:
        moment = Moment(finished.out, seconds)
        return None if forked.kill(*command, folder=finished.folder, ripe=moment) else moment.worked

    killed_while_it_works(
        random.Random(stage),
        taken_out,
        kill,
        lambda: done(forked, finished.folder, command).files() == expected,
    )


def killed_while_it_works(
    draw: random.Random,
    prepare: Callable[[], None],
    kill: Callable[[float], float | None],
    is_as_expected: Callable[[], bool],
) -> None:
    """Kill 25 times, and see each time what comes of it.

    `kill` is told after how many seconds; where it was done by then, it says how many it had been at work. Moments are
    drawn among as many as the last one had that was not killed.
    """
    prepare()
    window, killed = kill(float("inf")), 0
    for _ in range(8 * KILLS):
        assert window is not None
        prepare()
        moment = draw.uniform(0, window)
        took = kill(moment)
        assert is_as_expected(), f"killed {killed} times before, now after {moment:.3f} s"
        killed, window = killed + (took is None), window if took is None else took
        if killed == KILLS:
            return
    raise AssertionError(f"killed {killed} times only, within {window:.3f} s")


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

    def kill(seconds: float) -> float | None:
        passed = [0.0]

        def ripe(elapsed: float) -> bool:
            passed[0] = elapsed
            return elapsed >= seconds

        return None if forked.kill(*purge, folder=tmp_path, ripe=ripe) else passed[0]

    prepare()
    expected = done(forked, tmp_path, purge, RUN).files()
    killed_while_it_works(
        random.Random("purge"), prepare, kill, lambda: done(forked, tmp_path, purge, RUN).files() == expected
    )
