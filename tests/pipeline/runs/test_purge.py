"""Purged samples are nowhere in a run, stay out of later ones, and a purge that is killed ends in the same bytes."""

from __future__ import annotations

import hashlib
import json
import shutil
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import whole_runs
from forked_commands import Forker
from network_watch import watched
from purge_pool import BROKEN, said_of, write_purgeable
from whole_runs import Run

from pipeline.cli import main
from pipeline.sets.tombstones import stone, tombstones

VICTIMS = (3, 8, 21)
"""Samples that are purged: two of one shard, one of the other."""
NOWHERE: dict[int, list[str]] = {number: [] for number in VICTIMS}
UNREAD = ("commits/read/", "commits/embed/", "samples/", "lost/read/", "embeddings/")
"""What a part has that counts as not read."""
STEPS = ("purge.pending", "purge.embedded", "purge.forgotten", "purge.part", "purge.cut")
"""Places between what a purge does one after the other, at which it is killed."""
PASSING = (".lock", "log.jsonl", "inputs.json")
"""What holds times and processes; a journal is there where a commit was interrupted, until the next one."""


@dataclass(frozen=True)
class Purgeable:
    """A finished run with an export, the samples of its pool by number, and whom it asked for anything."""

    folder: Path
    plan: Path
    samples: dict[int, dict[str, Any]]
    asked: list[object]

    @property
    def out(self) -> Path:
        return self.folder / "out"

    def copy(self, to: Path) -> Path:
        shutil.copytree(self.out, to)
        return to

    def uids(self) -> Path:
        path = self.folder / "uids.txt"
        path.write_text("".join(f"{self.samples[n]['uid']}\n" for n in VICTIMS))
        return path


def run_cli(*arguments: str) -> int:
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    return int(stopped.value.code or 0)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Purgeable:
    """Images are embedded while they are read, captions afterwards; a broken image is a lost row."""
    folder = tmp_path_factory.mktemp("purge")
    path = write_purgeable(folder, str(folder / "out"))
    with watched() as asked:
        assert run_cli("run", str(path)) == 0
        assert run_cli("export", str(folder / "out"), "whole") == 0
    parts = sorted((folder / "out" / "samples" / "pool").iterdir())
    assert len(parts) == 2
    rows = [row for part in parts for row in pq.read_table(part).to_pylist()]
    return Purgeable(folder, path, {int(row["url"].rpartition("/")[2]): row for row in rows}, asked)


def files_of(out: Path) -> dict[str, str]:
    return {
        path.relative_to(out).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(out.rglob("*"))
        if path.is_file() and path.name not in PASSING and path.suffix != ".journal"
    }


def similarities(out: Path) -> dict[str, tuple[float, float]]:
    """By uid, how near each sample's image is to a benchmark, and how near to its caption."""
    images, captions = (
        pq.read_table(out / "measures" / each).to_pylist() for each in ("similarity/sketch", "clip_score")
    )
    fit = {row["uid"]: row["clip_score"] for row in captions}
    return {row["uid"]: (row["similarity"], fit[row["uid"]]) for row in images}


def purge(forked: Forker, finished: Purgeable, out: Path, dies_at: str = "", **environment: str) -> int:
    """Purge in a process of its own, which may be killed at a named place; its exit status."""
    point = {"NEARFAR_FAILPOINT": f"{dies_at}=kill"} if dies_at else {}
    command = ("purge", str(out), "--list", f"uid={finished.uids()}")
    return forked(*command, folder=finished.folder, **point, **environment)[0]


def test_a_run_and_an_export_ask_nobody_for_anything(finished: Purgeable) -> None:
    """Neither nearfar nor a library that it imports looks a name up or connects to anything; only fetching does."""
    assert finished.asked == []
    with watched() as asked, pytest.raises(OSError, match="no network"):  # the watch is awake
        socket.create_connection(("127.0.0.1", 9))
    assert asked


def test_nothing_says_a_purged_sample_any_more(finished: Purgeable, tmp_path: Path, cli: Run) -> None:
    """By uid, by url and by digest of its image; then the plan runs on what is left."""
    out = finished.copy(tmp_path / "out")
    gone = {n: finished.samples[n] for n in VICTIMS}
    assert all(len(said_of(out, n, sample["uid"])) > 8 for n, sample in gone.items()), (
        "the search finds what is there"
    )
    lists = {"uid": gone[3]["uid"], "url": "HTTPS://x.test:443/8", "sha256": gone[21]["image_sha256"]}
    options = []
    for kind, entry in lists.items():
        (tmp_path / kind).write_text(entry + "\n")
        options += ["--list", f"{kind}={tmp_path / kind}"]
    code, said, errors = cli("purge", str(out), *options)
    assert code == 0, errors
    assert "samples named: 3 of pool; lost rows named: none" in said
    assert "2 parts were cut" in said
    assert not any(entry in said + errors for entry in lists.values())
    assert {n: said_of(out, n, sample["uid"]) for n, sample in gone.items()} == NOWHERE
    code, said, errors = cli("run", str(finished.plan), "--set", f"output={out}")
    assert code == 0, errors
    assert {n: said_of(out, n, sample["uid"]) for n, sample in gone.items()} == NOWHERE
    assert said_of(out, 4, finished.samples[4]["uid"]), "the others are there"
    facts = json.loads((out / "splits" / "whole" / "split.json").read_text())["waterfall"]
    assert (facts["kept"], facts["quarantined"]) == (20, {"purged": 3} | facts["quarantined"])
    assert sum(facts["quarantined"].values()) == 4, "the broken image is among the lost ones still"
    code, said, _ = cli("purge", str(out), *options)
    assert (code, said.splitlines()[-1]) == (0, "nothing was changed")
    assert cli("verify", str(out))[0] == 0


def test_cut_rows_are_those_of_a_new_reading(
    finished: Purgeable, forked: Forker, tmp_path: Path, cli: Run
) -> None:
    """What was embedded stands: no unit reads or embeds again. Where all is read again, the bytes are the same."""
    out = finished.copy(tmp_path / "out")
    before = {row["uid"]: n for n, row in finished.samples.items()}
    old = np.load(next((out / "embeddings/pool").rglob("img_emb_0000.npy")))
    assert purge(forked, finished, out) == 0
    records = {path: path.stat().st_mtime_ns for path in (out / "commits").glob("*/*.json")}
    assert {path.parent.name for path in records} == {"read", "embed"}
    kept = pq.read_table(out / "samples/pool/part-0000.parquet").column("uid").to_pylist()
    numbers = sorted(before[uid] for uid in kept)
    assert numbers == [n for n in range(12) if n not in (3, 8, 10)]
    new = np.load(next((out / "embeddings/pool").rglob("img_emb_0000.npy")))
    order = pq.read_table(finished.out / "samples/pool/part-0000.parquet").column("uid").to_pylist()
    assert np.array_equal(new, old[[order.index(uid) for uid in kept]])
    code, _, errors = cli("run", str(finished.plan), "--set", f"output={out}")
    assert code == 0, errors
    assert all(path.stat().st_mtime_ns == written for path, written in records.items())
    was, measured = similarities(finished.out), similarities(out)
    assert measured == {uid: was[uid] for uid in measured}, "each row has its own vector still"
    assert len(measured) == len(was) - len(VICTIMS)
    done = whole_runs.committed(out)
    for path in (out / "commits").glob("*/*.json"):
        path.unlink()
    code, _, errors = cli("run", str(finished.plan), "--set", f"output={out}")
    assert code == 0, errors
    assert whole_runs.committed(out) == done
    code, _, errors = cli("run", str(finished.plan), "--set", f"output={out}", "--overwrite")
    assert code == 0, errors
    assert len(tombstones(out)) == len(VICTIMS)


@pytest.mark.parametrize("everywhere", [False, pytest.param(True, marks=pytest.mark.soak)])
def test_a_purge_that_is_killed_anywhere_ends_in_the_same_bytes(
    finished: Purgeable, forked: Forker, tmp_path: Path, cli: Run, everywhere: bool
) -> None:
    """Between its steps; and at all places of the commits that it is made of, which have tests of their own."""
    undisturbed, reached = finished.copy(tmp_path / "undisturbed"), tmp_path / "points"
    assert purge(forked, finished, undisturbed, NEARFAR_FAILPOINT_RECORD=str(reached)) == 0
    expected = files_of(undisturbed)
    points = sorted(set(reached.read_text().split()))
    assert set(STEPS) < set(points)
    points = points if everywhere else list(STEPS)
    outs = {point: finished.copy(tmp_path / point) for point in points}
    for point, out in outs.items():
        assert purge(forked, finished, out, dies_at=point) == -9, point
        assert purge(forked, finished, out) == 0, point
        differing = {path for path, digest in files_of(out).items() if expected.get(path) != digest}
        missing = expected.keys() - files_of(out).keys()
        # Between a record and the next one a part counts as not read: the next run reads it, without what was purged.
        unread = {path for path in missing if path.startswith(UNREAD)}
        assert not differing, point
        assert missing == unread, point
        if missing:
            code, _, errors = cli("run", str(finished.plan), "--set", f"output={out}")
            assert code == 0, errors
            made = files_of(out)
            assert {path: made[path] for path in missing} == {path: expected[path] for path in missing}


def test_the_next_run_finishes_a_purge_that_was_killed(
    finished: Purgeable, forked: Forker, tmp_path: Path, cli: Run
) -> None:
    out = finished.copy(tmp_path / "out")
    assert purge(forked, finished, out, dies_at="purge.retired") == -9
    assert (out / "purge.json").is_file()
    assert not any(finished.samples[n]["uid"] in (out / "purge.json").read_text() for n in VICTIMS)
    code, _, errors = cli("run", str(finished.plan), "--set", f"output={out}")
    assert code == 0, errors
    assert not (out / "purge.json").exists()
    assert {n: said_of(out, n, finished.samples[n]["uid"]) for n in VICTIMS} == NOWHERE


def test_a_lost_row_loses_its_names_and_keeps_its_reason(
    finished: Purgeable, tmp_path: Path, cli: Run
) -> None:
    out = finished.copy(tmp_path / "out")
    lost = pq.read_table(out / "lost/read/pool/part-0000.parquet").to_pylist()
    (tmp_path / "hosts").write_text("other.test\n")
    (tmp_path / "urls").write_text(f"{lost[0]['url']}\n")
    before = files_of(out)
    code, said, _ = cli("purge", str(out), "--list", f"host={tmp_path / 'hosts'}", "--json")
    assert code == 0
    told = json.loads(said)
    assert (told["event"], told["parts"], sum(told["samples"].values()), told["lost"]) == ("purged", 0, 0, {})
    assert files_of(out) == before
    code, said, _ = cli("purge", str(out), "--list", f"url={tmp_path / 'urls'}")
    assert "lost rows named: 1 of pool" in said
    [row] = pq.read_table(out / "lost/read/pool/part-0000.parquet").to_pylist()
    assert (row["key"], row["uid"], row["url"], row["caption"]) == (None, None, None, None)
    assert (row["outcome"], row["reason"]) == (lost[0]["outcome"], lost[0]["reason"])
    assert said_of(out, BROKEN, lost[0]["uid"] or "0" * 32) == []


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (
            ["--list", "name=x"],
            "unknown list 'name'; give --list KIND=FILE with one of: uid, url, host, sha256, md5",
        ),
        (["--list", "uid"], "give it as KIND=FILE"),
        (["--list", "uid=none.txt"], "cannot be read"),
        (["--list", "uid=a", "--list", "uid=b"], "--list uid is given 2 times; put its lists into one file"),
    ],
)
def test_lists_that_are_none_are_refused(
    finished: Purgeable, cli: Run, options: list[str], words: str
) -> None:
    before = files_of(finished.out)
    code, _, errors = cli("purge", str(finished.out), *options)
    assert code == 2
    assert words in errors
    assert files_of(finished.out) == before
    assert cli("purge", str(finished.out), "--list", f"uid={finished.uids()}x")[0] == 2


def test_advice_of_a_purge_leads_out(finished: Purgeable, tmp_path: Path, cli: Run) -> None:
    """A folder without a run; and damaged notes of its own, which the messages say how to mend."""
    uids = f"uid={finished.uids()}"
    code, _, errors = cli("purge", str(tmp_path), "--list", uids)
    assert code == 2
    assert "name the output folder of one" in errors
    out = finished.copy(tmp_path / "out")
    (out / "purge.json").write_text("{")
    code, _, errors = cli("purge", str(out), "--list", uids)
    assert code == 2
    assert "remove the file and purge again" in errors
    (out / "purge.json").unlink()
    assert cli("purge", str(out), "--list", uids)[0] == 0
    (out / "tombstones.npy").write_bytes(b"x")
    code, _, errors = cli("run", str(finished.plan), "--set", f"output={out}")
    assert code == 2
    assert "remove it, purge again what its list named, then run again" in errors
    (out / "tombstones.npy").unlink()
    assert cli("purge", str(out), "--list", uids)[0] == 0
    assert {stone("uid", finished.samples[n]["uid"]) for n in VICTIMS} == tombstones(out)
    assert cli("run", str(finished.plan), "--set", f"output={out}")[0] == 0
    assert stone("uid", finished.samples[3]["uid"]) != stone("uid", finished.samples[8]["uid"])
