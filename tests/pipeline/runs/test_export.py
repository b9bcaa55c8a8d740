"""`nearfar export`: a split as tars, byte for byte, whatever happens on the way."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shlex
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import whole_runs
from export_pool import Members, grouped, write_export_plan, write_pool, write_tar
from forked_commands import Forker
from last_objects import last_object
from small_sets import write_plan
from whole_runs import Run

import curation.rules
from indexes.errors import DataError
from pipeline import shipping
from pipeline.execution.progress import Progress
from pipeline.run import RunOptions
from pipeline.shipping import export
from pipeline.webdataset.export_request import ExportRequest

SPLIT = "combined_pruned"
RULES = {
    "oversample": ("Repeat", "curation.selections.repeat"),
    "recaption": ("Rewrite", "curation.selections.rewrite"),
}
RULE = '''"""{0}."""

from __future__ import annotations

from dataclasses import dataclass

from curation.rule import Rule, Scope
from curation.selection import Selection
from {2} import {1}


@dataclass(frozen=True, slots=True)
class Made(Rule):
    """{0}."""

    text: str

    def selection(self, scope: Scope) -> Selection:
        return {1}(self.text)
'''


def content(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def flip(path: Path) -> None:
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 1
    path.write_bytes(raw)


@pytest.fixture(scope="module")
def exported(quickstart_output: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The quickstart's output with one split exported."""
    out = tmp_path_factory.mktemp("export") / "out"
    shutil.copytree(quickstart_output, out)
    with Progress(out, live=False) as progress:
        export(out, ExportRequest(SPLIT, samples_per_shard=20), RunOptions(), progress)
    return out


@pytest.fixture
def pool(tmp_path: Path, cli: Run) -> Path:
    """A finished run of the pool of every kind; its folder."""
    write_pool(tmp_path / "pool")
    code, _, errors = cli("run", str(write_export_plan(tmp_path)))
    assert code == 0, errors
    return tmp_path


def source(pool: Path) -> dict[str, Members]:
    return {key: members for _, key, members in grouped(pool)}


def test_a_split_is_exported_byte_for_byte(exported: Path, small_world: Path) -> None:
    kept = pq.read_table(
        exported / "splits" / SPLIT / "part-0000.parquet", columns=["uid", "key"]
    ).to_pydict()
    keys, folder = dict(zip(kept["uid"], kept["key"], strict=True)), exported / "shards" / SPLIT
    assert not list((exported / "splits" / SPLIT).glob("*.tar"))
    before, samples = source(small_world / "pool"), grouped(folder)
    assert sorted(uid for _, uid, _ in samples) == sorted(keys)
    assert len(samples) > 60
    for _, uid, members in samples:
        original = before[keys[uid]]
        assert list(members) == list(original) == ["jpg", "json", "txt"]
        assert (members["jpg"], members["txt"]) == (original["jpg"], original["txt"])
        assert members["json"] == original["json"].replace(b"{", f'{{"uid": "{uid}", '.encode(), 1)
        assert json.loads(members["json"]) == json.loads(original["json"]) | {"uid": uid}


def test_the_order_is_neither_that_of_uids_nor_of_the_pool(exported: Path) -> None:
    names = [uid for _, uid, _ in grouped(exported / "shards" / SPLIT)]
    kept = pq.read_table(
        exported / "splits" / SPLIT / "part-0000.parquet", columns=["uid", "key"]
    ).to_pydict()
    rank = dict(zip(kept["uid"], np.argsort(np.argsort(kept["key"])), strict=True))
    for found in ([rank[uid] for uid in names], [sorted(names).index(uid) for uid in names]):
        assert abs(np.corrcoef(found, np.arange(len(names)))[0, 1]) < 0.4


def test_sizes_and_counts_are_those_of_the_tars(exported: Path) -> None:
    folder = exported / "shards" / SPLIT
    sizes = json.loads((folder / "sizes.json").read_text())
    tars = [tar for tar, _, _ in grouped(folder)]
    assert sizes == {tar: tars.count(tar) for tar in sorted(set(tars))}
    assert set(list(sizes.values())[:-1]) == {20}
    assert 0 < list(sizes.values())[-1] <= 20
    for tar, count in sizes.items():
        assert json.loads((folder / tar.replace(".tar", "_stats.json")).read_text()) == {"successes": count}
    assert len(content(folder)) == 3 * len(sizes) + 3


def test_the_card_says_what_the_report_says(exported: Path, small_world: Path) -> None:
    audit = json.loads((exported / "report/audit.json").read_text())
    card = (exported / "shards" / SPLIT / "README.md").read_text()
    rows = {
        cells[0]: cells[1:]
        for line in card.splitlines()
        if (cells := re.findall(r"(?<=\| )[^|]*(?= \|)", line))
    }
    pool, split = audit["rows"]["pool"], audit["splits"][SPLIT]
    assert rows["failed"][1:] == [f"-{sum(pool['failed'].values())}", f"{pool['measured']}"]
    assert rows["`1:near`"] == [
        split["steps"][-1]["words"],
        f"-{split['steps'][-1]['dropped']}",
        f"{split['kept']}",
    ]
    for name, found in audit["benchmarks"].items():
        of, quantiles = found["splits"][SPLIT], found["splits"][SPLIT]["quantiles"]
        above = [of["queries_above"][level] for level in ("0.95", "0.99")]
        assert rows[f"`{name}`"] == [
            *(f"{found['queries']}", f"{quantiles['0.5']:.3f}", f"{quantiles['1.0']:.3f}"),
            *map(str, above),
            f"{of['queries_above_reference']}",
            f"{found['leakage'][0]['identical_left'][SPLIT]}",
        ]
        digest = f"`{audit['provenance']['sets'][name]['files'][:16]}`"
        listed = f"{audit['rows'][f'benchmark {name}']['listed']}"
        assert rows[f"`benchmark {name}`"] == ["`image-folder`", listed, listed, "0", "0", digest]
    assert audit["provenance"]["encoder"]["weights_sha256"] in rows["`clip`"][0]
    for said in (str(small_world), str(exported), str(whole_runs.ROOT), "/"):
        assert said not in re.sub(r"https?://\S+|~/.cache/croissant", "", card)


def test_members_say_nothing_of_who_wrote_them_and_when(exported: Path) -> None:
    with tarfile.open(exported / "shards" / SPLIT / "00000000.tar") as tar:
        said = {(m.mtime, m.uid, m.gid, m.uname, m.gname, m.mode, m.type) for m in tar}
    assert said == {(0, 0, 0, "", "", 0o644, tarfile.REGTYPE)}


def test_verify_covers_an_export_and_mends_it(exported: Path, tmp_path: Path, cli: Run) -> None:
    out = tmp_path / "out"
    shutil.copytree(exported, out)
    folder = out / "shards" / SPLIT
    before = content(folder)
    flip(folder / "00000001.tar")
    code, said, _ = cli("verify", str(out))
    assert code == 1
    assert f"wrong: shards/{SPLIT}/00000001.tar is not what was committed" in said
    code, said, errors = cli("verify", str(out), "--repair")
    assert code == 0, said + errors
    assert content(folder) == before
    flip(out / "commits" / "export" / f"{SPLIT}.json")
    code, said, _ = cli("verify", str(out))
    assert code == 1
    assert f"wrong: commits/export/{SPLIT}.json is not what was committed" in said


@pytest.mark.slow
def test_workers_and_a_killed_export_change_no_byte(exported: Path, forked: Forker, tmp_path: Path) -> None:
    expected, out = content(exported / "shards" / SPLIT), tmp_path / "out"
    shutil.copytree(
        exported, out, ignore=shutil.ignore_patterns("shards", "located", "locate", "gather", "export")
    )
    command = ["export", str(out), SPLIT, "--samples-per-shard", "20"]
    assert forked(*command, folder=tmp_path, NEARFAR_FAILPOINT="commit.before_record=kill@3")[0] == -9
    assert not (out / "shards" / SPLIT / "sizes.json").exists()
    code, said = forked(*command, folder=tmp_path, NEARFAR_FAILPOINT="unit.gather=int@1")
    assert code == 130, said
    assert not list((out / "attempts").glob("*")), "no thread goes on behind the end"
    done = whole_runs.finish([*command, "--workers", "2"], tmp_path, PYTHONPATH=str(whole_runs.ROOT))
    assert done.returncode == 0, done.stderr
    assert content(out / "shards" / SPLIT) == expected
    assert not list((out / "attempts").glob("*"))


def test_samples_of_every_kind(pool: Path, cli: Run) -> None:
    code, said, errors = cli("export", str(pool / "out"), "whole")
    assert code == 0, errors
    assert f"43 samples in 1 tar: {pool}/out/shards/whole" in said
    kept = pq.read_table(pool / "out/splits/whole/part-0000.parquet", columns=["uid", "key"]).to_pydict()
    keys = dict(zip(kept["uid"], kept["key"], strict=True))
    by_key = {keys[uid]: (uid, members) for _, uid, members in grouped(pool / "out/shards/whole")}
    assert "link" not in by_key
    uid, members = by_key["nojson"]
    assert members == {"png": b"png bytes", "txt": b"only text", "json": f'{{"uid": "{uid}"}}'.encode()}
    uid, members = by_key["notext"]
    assert members["txt"] == b"from json"
    assert json.loads(members["json"]) == {"caption": "from json", "url": "http://x.test/n", "uid": uid}
    uid, members = by_key["masked"]
    assert members.pop("json") == f'{{"uid": "{uid}"}}'.encode()
    assert members == {"jpg": b"jpg bytes", "mask.png": b"a mask", "cls": b"7", "txt": b""}


def test_another_size_leaves_nothing_of_the_former_and_the_same_does_nothing(pool: Path, cli: Run) -> None:
    folder = pool / "out/shards/some"
    for size, counts in (("3", [3] * 4), ("5", [5, 5, 2]), ("50", [12])):
        code, _, errors = cli("export", str(pool / "out"), "some", "--samples-per-shard", size)
        assert code == 0, errors
        assert list(json.loads((folder / "sizes.json").read_text()).values()) == counts
        assert len(list(folder.iterdir())) == 3 * len(counts) + 3
        assert len(grouped(folder)) == 12
    former = shlex.join(
        ["nearfar", "export", str(pool / "out"), "some", "--samples-per-shard", "5", "--seed", "0"]
    )
    assert f"in place of what was made by: {former}\n" in errors
    written = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    code, said, _ = cli("export", str(pool / "out"), "some", "--samples-per-shard", "50", "--json")
    found = last_object(said)
    assert (code, found["split"], found["shards"]) == (0, "some", 1)
    assert found["samples"] == len(list(grouped(Path(found["folder"]))))
    assert {path.name: path.stat().st_mtime_ns for path in folder.iterdir()} == written
    assert cli("verify", str(pool / "out"))[0] == 0
    first = [uid for _, uid, _ in grouped(folder)]
    assert cli("export", str(pool / "out"), "some", "--seed", "1")[0] == 0
    second = [uid for _, uid, _ in grouped(folder)]
    assert sorted(first) == sorted(second)
    assert first != second
    out = pool / "out"
    assert "the export of" not in cli("status", str(out))[1]
    (out / "commits/export/some.json").unlink()  # as where it was stopped before its end
    for command in ("status", "verify"):
        said = cli(command, str(out))[1]
        assert "the export of some has not finished, and 1 of its tars is there: the same" in said
    next((out / "commits/gather").glob("some *.json")).unlink()  # stopped once the samples were located
    assert "the export of some has not finished, and nothing of it is there yet" in cli("status", str(out))[1]


def test_an_empty_split_has_no_tars(pool: Path, cli: Run) -> None:
    code, _, errors = cli("export", str(pool / "out"), "none")
    assert code == 0, errors
    there = sorted(path.name for path in (pool / "out/shards/none").iterdir())
    assert there == ["README.md", "croissant.json", "sizes.json"]
    assert json.loads((pool / "out/shards/none/sizes.json").read_text()) == {}


def test_a_pool_of_one_tar(pool: Path, cli: Run) -> None:
    plan = str(write_export_plan(pool, few=[{"random": {"keep": 5}}]))
    only = ["--set", f"pool.path={pool}/pool/00001.tar", "--set", f"output={pool}/one"]
    assert cli("run", plan, *only)[0] == 0
    code, _, errors = cli("export", str(pool / "one"), "few")
    assert code == 0, errors
    with tarfile.open(pool / "pool/00001.tar") as tar:
        images = [tar.extractfile(m).read() for m in tar if m.name.endswith(".jpg")]  # type: ignore[union-attr]
    found = [members["jpg"] for _, _, members in grouped(pool / "one/shards/few")]
    assert len(set(found)) == 5
    assert set(found) < set(images)


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Rules that a user wrote: one that repeats and one that rewrites."""
    rules = tmp_path / "rules"
    rules.mkdir()
    for name, (kind, module) in RULES.items():
        (rules / f"{name}.py").write_text(RULE.format(name.title(), kind, module), encoding="utf-8")
    monkeypatch.setattr(curation.rules, "__path__", [*curation.rules.__path__, str(rules)])
    curation.rules._adapter.cache_clear()
    yield
    curation.rules._adapter.cache_clear()


def test_repeats_are_spread_and_captions_rewritten(tmp_path: Path, made: None, cli: Run) -> None:
    write_pool(tmp_path / "pool")
    rewrite = "CASE WHEN caption = 'é 3' THEN NULL ELSE upper(caption) || '!' END"
    plan = write_export_plan(
        tmp_path, often=[{"oversample": {"text": "3"}}, {"recaption": {"text": rewrite}}]
    )
    assert cli("run", str(plan))[0] == 0
    code, _, errors = cli("export", str(tmp_path / "out"), "often", "--samples-per-shard", "10")
    assert code == 0, errors
    samples = grouped(tmp_path / "out/shards/often")
    assert len(samples) == len({key for _, key, _ in samples}) == 3 * 43
    tars: dict[str, set[str]] = {}
    same: dict[str, list[Any]] = {}
    for tar, key, members in samples:
        tars.setdefault(key.partition("-")[0], set()).add(tar)
        same.setdefault(key.partition("-")[0], []).append(members)
    assert {key.partition("-")[2] for _, key, _ in samples} == {"", "1", "2"}
    assert all(copies == [copies[0]] * 3 for copies in same.values())
    assert sum(len(of) == 3 for of in tars.values()) > 25
    captions = {copies[0]["txt"].decode() for copies in same.values()}
    assert {"É 2!", "é 3", "ONLY TEXT!", "FROM JSON!", "!"} <= captions
    assert "É 3!" not in captions
    assert cli("verify", str(tmp_path / "out"))[0] == 0


def test_what_cannot_be_exported_is_refused_by_name(
    pool: Path, cli: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = str(pool / "out")
    code, _, errors = cli("export", out, "every")
    assert code == 2
    assert all(f"'{name}'" in errors or name in errors for name in ("every", "whole", "some", "none"))
    code, _, errors = cli("export", str(pool), "whole")
    assert (code, "holds no run" in errors) == (2, True)
    assert cli("export", out, "whole", "--samples-per-shard", "0")[0] == 2
    monkeypatch.setattr("pipeline.shipping.free_bytes", lambda path: 10_000)
    code, _, errors = cli("export", out, "whole")
    assert (code, "free some space" in errors) == (2, True)
    assert not (pool / "out/shards/whole").exists()
    monkeypatch.undo()
    (pool / "out/shards/whole").mkdir(parents=True)
    (pool / "out/shards/whole/00000007.tar").write_bytes(b"mine")
    code, _, errors = cli("export", out, "whole")
    assert (code, "00000007.tar" in errors, "Move them away" in errors) == (2, True, True)
    assert (pool / "out/shards/whole/00000007.tar").read_bytes() == b"mine"
    (pool / "out/shards/whole/00000007.tar").rename(pool / "mine.tar")
    assert cli("export", out, "whole")[0] == 0


def test_a_run_that_has_not_finished_is_refused(pool: Path, cli: Run) -> None:
    lock = pool / "out/plan.lock.yaml"
    text = lock.read_text()
    lock.write_text(text[: text.index("  sets:")])
    code, _, errors = cli("export", str(pool / "out"), "whole")
    assert (code, "has not finished" in errors, "then export" in errors) == (2, True, True)


def test_tars_that_changed_or_moved_are_refused(pool: Path, cli: Run) -> None:
    out, tar = str(pool / "out"), pool / "pool/00001.tar"
    os.utime(tar)
    assert cli("export", out, "some", "--samples-per-shard", "5")[0] == 0
    before, whole = content(pool / "out/shards/some"), tar.read_bytes()
    flip(tar)
    code, _, errors = cli("export", out, "some")
    assert (code, "are not those that the run read" in errors) == (2, True)
    tar.unlink()
    code, _, errors = cli("export", out, "some")
    assert (code, "run the plan again, then export" in errors) == (2, True)
    (pool / "pool").rename(pool / "elsewhere")
    code, _, errors = cli("export", out, "some")
    assert (code, "put it back" in errors) == (2, True)
    (pool / "elsewhere").rename(pool / "pool")
    tar.write_bytes(whole)
    assert content(pool / "out/shards/some") == before
    assert cli("export", out, "some", "--samples-per-shard", "5")[0] == 0
    assert content(pool / "out/shards/some") == before


def test_what_is_missing_or_changes_while_it_is_exported_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    tar, wanted = "/pool/00000.tar", [3]
    known = {tar: "its content"}
    located: Any = [SimpleNamespace(name="pool", inputs=(SimpleNamespace(key=tar),))]
    record = SimpleNamespace(facts={"entries": 3})
    run: Any = SimpleNamespace(record=lambda stage, name: record, known=lambda inputs: known)
    request: Any = SimpleNamespace(split="some")
    monkeypatch.setattr("pipeline.shipping.locate.entries_of", lambda run, split: wanted[0])
    shipping._check_found(run, request, located)
    shipping._check_unchanged(run, located)
    wanted[0] = 4
    with pytest.raises(DataError, match="3 of the 4 samples of some are in the tars"):
        shipping._check_found(run, request, located)
    known.clear()
    with pytest.raises(DataError, match=r"'/pool/00000\.tar' changed while it was exported"):
        shipping._check_unchanged(run, located)


def test_an_export_of_a_former_state_is_named_and_made_again(pool: Path, cli: Run) -> None:
    out = str(pool / "out")
    assert cli("export", out, "some")[0] == 0
    write_tar(pool / "pool/00003.tar", [("new.jpg", b"new"), ("new.txt", b"new")])
    assert cli("run", str(pool / "plan.yaml"))[0] == 0
    code, said, _ = cli("verify", out)
    assert (code, "the shards of some are not of the split as it is now" in said) == (1, True)
    assert cli("export", out, "some")[0] == 0
    assert cli("verify", out)[0] == 0


def test_a_pool_without_tars_is_told_what_to_do(sets: Path, cli: Run) -> None:
    assert cli("run", str(write_plan(sets)))[0] == 0
    code, _, errors = cli("export", str(sets / "out"), "pruned")
    assert (code, "holds no tars" in errors, "uids.npy" in errors) == (2, True, True)
