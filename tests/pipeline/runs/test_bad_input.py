"""Bad input gives a clear error, exit code 2, no traceback, and loses nothing; one test for each kind of it."""

from __future__ import annotations

import hashlib
import json
import resource
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import whole_runs
import yaml
from forked_commands import Forker
from small_sets import WIDTH, plan_of, rows_of, unit, write_part, write_plan, write_sets
from whole_runs import Run

from pipeline.command_line import ingest_command, verify_command
from pipeline.files.index_file import save_index
from pipeline.passes import packed_queries as _queries
from pipeline.verifying.verification import Verification


def kept(out: Path, split: str = "pruned") -> list[dict[str, Any]]:
    files = sorted((out / "splits" / split).glob("part-*.parquet"))
    return [row for file in files for row in pq.read_table(file).to_pylist()]


def refuse(cli: Run, plan: Path, *words: str) -> str:
    """Expect exit code 2 and a message that has all the words."""
    code, _, errors = cli("run", str(plan))
    assert code == 2, errors
    for word in words:
        assert word in errors, errors
    return errors


PLANS = {
    "unknown key": ("poool: x\n", ["poool", "pool"]),
    "unknown rule": ("splits: {a: [{nearr: {to: all}}]}\n", ["nearr", "near", "far"]),
    "unknown benchmark": ("splits: {a: [{near: {to: [onee]}}]}\n", ["onee", "one"]),
    "duplicate keys": ("name: again\n", ["name"]),
    "a tag": ("audit: !!python/object:os.system {}\n", ["tag"]),
    "an alias": ("audit: &a {hard: 0.9}\nengine: *a\n", ["anchor"]),
    "no as a name": ("splits: {no: [{near: {to: yes}}]}\n", ["no", "name"]),
    "cyclic from": ("splits: {a: {from: b}, b: {from: a}}\n", ["a", "b"]),
    "a number as text": ("encoder: {model: 12}\n", ["encoder.model"]),
    "not YAML": ("splits: {a: [\n", ["plan.yaml"]),
}


@pytest.mark.parametrize("fault", list(PLANS))
def test_plan_faults(sets: Path, cli: Run, fault: str) -> None:
    added, words = PLANS[fault]
    plan = plan_of(sets)
    del plan["splits"]
    path = sets / "plan.yaml"
    path.write_text(yaml.safe_dump(plan) + added)
    refuse(cli, path, *words)
    assert not (sets / "out").exists()


def test_a_number_where_a_name_is_due(sets: Path, cli: Run) -> None:
    refuse(cli, write_plan(sets, name=12), "name")


def test_an_unknown_format_is_answered_with_what_was_found(sets: Path, cli: Run) -> None:
    pool = {"path": str(sets / "pool"), "format": "clip-retrieva"}
    refuse(cli, write_plan(sets, pool=pool), "clip-retrieva", "clip-retrieval", "img2dataset")


def test_a_wrong_format_is_answered_with_what_was_found(sets: Path, cli: Run) -> None:
    pool = {"path": str(sets / "pool"), "format": "datacomp"}
    refuse(cli, write_plan(sets, pool=pool), str(sets / "pool"), "clip-retrieval")


def test_a_plan_of_ten_megabytes(sets: Path, cli: Run) -> None:
    path = write_plan(sets)
    path.write_text(path.read_text() + "# " + "x" * 10_000_000)
    refuse(cli, path, "10,000,", "1,000,000")


def test_a_missing_set_is_named(sets: Path, cli: Run) -> None:
    pool = {"path": str(sets / "nowhere"), "format": "clip-retrieval"}
    refuse(cli, write_plan(sets, pool=pool), str(sets / "nowhere"), "pool")


def test_an_empty_benchmark_stops_the_run(sets: Path, cli: Run) -> None:
    write_part(sets / "one", 0, np.zeros((0, WIDTH), np.float16), [])
    refuse(cli, write_plan(sets), "one", "no usable rows")
    assert not (sets / "out" / "splits").exists()


def test_a_benchmark_of_unusable_vectors_stops_the_run(sets: Path, cli: Run) -> None:
    write_part(sets / "one", 0, np.full((20, WIDTH), np.nan, np.float16), rows_of("q", 0, 20))
    refuse(cli, write_plan(sets), "one", "no usable vector")


def test_a_zero_row_shard_changes_nothing(finished_sets: Path, cli: Run) -> None:
    before = kept(finished_sets / "out")
    write_part(finished_sets / "pool", 3, np.zeros((0, WIDTH), np.float16), [])
    assert cli("run", str(write_plan(finished_sets, output=str(finished_sets / "again"))))[0] == 0
    assert kept(finished_sets / "again") == before
    assert len(before) > 0


def test_a_shard_of_another_width(sets: Path, cli: Run) -> None:
    write_part(sets / "pool", 3, unit(9, 10, 2 * WIDTH), rows_of("x", 0, 10))
    refuse(cli, write_plan(sets), "img_emb_3.npy", str(2 * WIDTH), str(WIDTH))


def test_a_benchmark_of_another_width(sets: Path, cli: Run) -> None:
    write_part(sets / "one", 0, unit(9, 20, 2 * WIDTH), rows_of("q", 0, 20))
    refuse(cli, write_plan(sets), "one", str(2 * WIDTH), str(WIDTH))


@pytest.mark.parametrize("name", ["img_emb/img_emb_1.npy", "metadata/metadata_1.parquet"])
@pytest.mark.parametrize("left", [0.5, 0.0])
def test_truncated_files(sets: Path, cli: Run, name: str, left: float) -> None:
    path = sets / "pool" / name
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * left)])
    refuse(cli, write_plan(sets), path.name)


def test_a_truncated_tar(small_world: Path, tmp_path: Path, cli: Run) -> None:
    pool = tmp_path / "pool"
    pool.mkdir()
    for file in (small_world / "pool").iterdir():
        (pool / file.name).write_bytes(file.read_bytes())
    tar = pool / "00001.tar"
    tar.write_bytes(tar.read_bytes()[: tar.stat().st_size // 2 // 512 * 512])
    sets = (f"pool.path={json.dumps(str(pool))}", f"output={json.dumps(str(tmp_path / 'out'))}")
    code, _, errors = cli(*whole_runs.arguments(small_world), "--set", sets[0], "--set", sets[1])
    assert code == 2
    assert "00001.tar" in errors


def test_rows_that_do_not_pair_up(sets: Path, cli: Run) -> None:
    write_part(sets / "pool", 1, unit(11, 119), rows_of("p", 120, 120))
    refuse(cli, write_plan(sets), "119", "120", "img_emb_1.npy")


def test_a_pickled_npy_runs_nothing(sets: Path, cli: Run) -> None:
    canary = sets / "canary"

    class Evil:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (canary,))

    np.save(sets / "pool" / "img_emb" / "img_emb_1.npy", np.array([Evil()], object), allow_pickle=True)
    refuse(cli, write_plan(sets), "img_emb_1.npy", "pickle")
    assert not canary.exists()


def test_duplicate_uids_are_named_or_the_first_is_kept(sets: Path, cli: Run) -> None:
    assert cli("run", str(write_plan(sets, output=str(sets / "before"))))[0] == 0
    again = np.concatenate([unit(10, 120)[:5], unit(30, 5)])
    write_part(sets / "pool", 3, again, rows_of("p", 0, 5) + rows_of("n", 0, 5))
    message = refuse(cli, write_plan(sets), "5 rows", "keep_first")
    pool = {"path": str(sets / "pool"), "format": "clip-retrieval", "duplicates": "keep_first"}
    code, _, errors = cli("run", str(write_plan(sets, pool=pool)))
    assert code == 0, errors
    facts = json.loads((sets / "out" / "splits" / "pruned" / "split.json").read_text())
    waterfall = facts["waterfall"]
    assert waterfall["rows_in"] == 370
    assert waterfall["duplicates"] == 5
    first = {row["uid"] for row in kept(sets / "before")}
    new = {row["uid"] for row in kept(sets / "out") if row["key"].startswith("n")}
    assert {row["uid"] for row in kept(sets / "out")} == first | new
    assert "pool" in message


HOSTILE = [
    "NUL \0 inside",
    "bidi \u202e txet",
    "<script>alert(1)</script><img src=x onerror=alert(1)>",
    "quote ' \" ; DROP TABLE samples; --",
    "new\nline\ttab",
    "long " * 200_000,
    "emoji 👩‍👩‍👧 combining e\u0301",
    "",
]


def test_hostile_captions_come_through_unchanged(sets: Path, cli: Run) -> None:
    rows = rows_of("h", 0, len(HOSTILE))
    for row, caption in zip(rows, HOSTILE, strict=True):
        row["caption"] = caption
    # Copies of queries, so that the report shows them.
    write_part(sets / "pool", 3, unit(21, 20)[: len(HOSTILE)], rows)
    splits = {"everything": [{"far": {"to": "all", "fraction": 1.0}}]}
    code, _, errors = cli("run", str(write_plan(sets, splits=splits)))
    assert code == 0, errors
    captions = {row["key"]: row["caption"] for row in kept(sets / "out", "everything")}
    assert [captions[row["image_path"]] for row in rows] == HOSTILE
    html = (sets / "out" / "report" / "report.html").read_text()
    assert "<script>alert" not in html
    assert "onerror=alert(1)>" not in html
    assert "&lt;script&gt;alert(1)" in html


def test_hostile_column_names(sets: Path, cli: Run) -> None:
    names = ['a "quoted" name', "semi;colon --", "photo.margin", "uid'"]
    for number in range(3):
        path = sets / "pool" / "metadata" / f"metadata_{number}.parquet"
        table = pq.read_table(path)
        for position, name in enumerate(names):
            table = table.append_column(name, pa.array(np.arange(len(table)) + position))
        pq.write_table(table, path)
    splits = {"some": [{"where": '"a ""quoted"" name" >= 60 AND "semi;colon --" < 100'}]}
    code, _, errors = cli("run", str(write_plan(sets, splits=splits)))
    assert code == 0, errors
    rows = kept(sets / "out", "some")
    assert len(rows) == 3 * 39
    assert set(names) <= set(rows[0])


ODD = "a\x1b[31m\u202eb\udcff"
SHOWN = "a\u241b[31m\u27e8U+202E\u27e9b"


def test_a_terminal_shows_what_it_would_have_obeyed(
    sets: Path, cli: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    """Escapes and text from right to left, in names of columns and files, in values that differ, in reasons."""
    path = sets / "pool" / "metadata" / "metadata_1.parquet"
    table = pq.read_table(path)
    pq.write_table(table.append_column(ODD[:-1], pa.array(range(len(table)))), path)
    said = refuse(cli, write_plan(sets, splits={"some": [{"where": "nothing > 1"}]}), SHOWN)
    (sets / "one" / "img_emb" / f"{ODD}_7.npy").write_bytes(b"")
    said += refuse(cli, write_plan(sets), f"{SHOWN}\u27e8U+DCFF\u27e9_7.npy")
    verify_command._say_wrong(Verification(problems=[f"it is {ODD!s}\nand more"]), as_json=False)
    ingest_command._say(sets, {"count": 1, "successes": 0, "passing": 0, "status_dict": {ODD: 1}})
    printed = capsys.readouterr().out
    assert f"wrong: it is {SHOWN}\u27e8U+DCFF\u27e9\nand more\n" in printed
    assert f"  {SHOWN}\u27e8U+DCFF\u27e9\n" in printed
    assert not {"\x1b", "\u202e", "\udcff"} & {*said, *printed}


@pytest.mark.parametrize(
    "predicate", ["nothing > 1", "read_text('/etc/hostname') IS NOT NULL", "1=1; DROP TABLE x"]
)
def test_predicates_reach_declared_columns_only(sets: Path, cli: Run, predicate: str) -> None:
    refuse(cli, write_plan(sets, splits={"some": [{"where": predicate}]}), "where")


@pytest.mark.parametrize("name", ["with space", "it's", 'a "b"', "star*", "[0]", "{x}?"])
def test_odd_paths(finished_sets: Path, tmp_path: Path, cli: Run, name: str) -> None:
    folder = tmp_path / name
    folder.mkdir()
    write_sets(folder)
    code, _, errors = cli("run", str(write_plan(folder)))
    assert code == 0, errors
    assert kept(folder / "out") == kept(finished_sets / "out")


def test_an_output_that_cannot_be_written(sets: Path, cli: Run) -> None:
    (sets / "out").write_text("a file")
    refuse(cli, write_plan(sets), str(sets / "out"))


def test_what_a_plan_leaves_out_stays_and_overwrite_says_what_goes(finished_sets: Path, cli: Run) -> None:
    before = whole_runs.committed(finished_sets / "out")
    fewer = {"one": plan_of(finished_sets)["benchmarks"]["one"]}
    plan = write_plan(finished_sets, benchmarks=fewer, splits={"pruned": [{"near": {"to": "all"}}]})
    assert cli("run", str(plan))[0] == 0
    after = whole_runs.committed(finished_sets / "out")
    assert {path for path in before if path.startswith(("measures/", "embeddings/", "splits/core/"))} <= set(
        after
    )
    # Without the second benchmark other samples are near.
    assert after["splits/pruned/uids.npy"] != before["splits/pruned/uids.npy"]
    assert cli("run", str(write_plan(finished_sets)))[0] == 0
    again = whole_runs.committed(finished_sets / "out")
    assert {p: d for p, d in again.items() if not p.startswith("report/")} == {
        p: d for p, d in before.items() if not p.startswith("report/")
    }


def test_splits_may_be_added_without_measuring_again(finished_sets: Path, cli: Run) -> None:
    measured = {
        path: path.stat().st_mtime_ns for path in (finished_sets / "out" / "measures").rglob("*.parquet")
    }
    splits = plan_of(finished_sets)["splits"] | {"extra": [{"far": {"to": ["two"], "keep": 10}}]}
    assert cli("run", str(write_plan(finished_sets, splits=splits)))[0] == 0
    assert {
        path: path.stat().st_mtime_ns for path in (finished_sets / "out" / "measures").rglob("*.parquet")
    } == measured
    assert len(kept(finished_sets / "out", "extra")) == 10


def test_a_full_disk_is_said_and_the_run_resumes(sets: Path, forked: Forker) -> None:
    plan = write_plan(sets)
    limited = subprocess.run(
        [sys.executable, "-m", "pipeline.cli", "run", str(plan)],
        cwd=whole_runs.ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (9_000, 9_000)),
    )
    assert limited.returncode == 2, limited.stderr
    assert "Traceback" not in limited.stderr
    assert str(sets / "out") in limited.stderr
    for more in ((), ("--set", f"output={sets / 'fresh'}")):
        status, said = forked("run", str(plan), *more, folder=sets)
        assert status == 0, said
    assert whole_runs.committed(sets / "out") | {
        "report/report.html": "",
        "report/audit.json": "",
    } == whole_runs.committed(sets / "fresh") | {"report/report.html": "", "report/audit.json": ""}


def test_an_unknown_command_and_a_missing_plan(cli: Run, tmp_path: Path) -> None:
    assert cli("runn")[0] == 2
    code, _, errors = cli("run", str(tmp_path / "absent.yaml"))
    assert code == 2
    assert "absent.yaml" in errors


def test_usage_is_printed_without_arguments(cli: Run) -> None:
    code, output, errors = cli("--help")
    assert code == 0
    for command in ("run", "plan", "status", "verify", "audit", "doctor", "report", "schema"):
        assert command in output + errors


def test_an_output_that_would_write_over_an_input(sets: Path, cli: Run) -> None:
    (sets / "pool").rename(sets / "embeddings")
    pool = {"path": str(sets / "embeddings"), "format": "clip-retrieval"}
    refuse(cli, write_plan(sets, pool=pool, output=str(sets)), "pool", "embeddings", "another output")
    assert len(list((sets / "embeddings" / "img_emb").iterdir())) == 3
    refuse(cli, write_plan(sets, pool=pool, output="/"), "root of the file system")


def test_a_run_is_known_from_any_folder(sets: Path, cli: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(sets)
    plan = plan_of(sets)
    relative = yaml.safe_dump(plan, sort_keys=False).replace(f"{sets}/", "")
    (sets / "plan.yaml").write_text(relative)
    assert cli("run", "plan.yaml")[0] == 0
    monkeypatch.chdir("/")
    assert cli("verify", str(sets / "out"))[0] == 0
    assert cli("run", str(write_plan(sets)))[0] == 0


def test_a_home_folder_is_expanded(sets: Path, cli: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(sets))
    assert cli("run", str(write_plan(sets, output="~/home-out")))[0] == 0
    assert (sets / "home-out" / "report" / "report.html").is_file()


def another_version(folder: Path) -> None:
    path = folder / "index.json"
    path.write_text(path.read_text().replace('"version": 1', '"version": 2'))


def another_encoder(folder: Path) -> None:
    path = folder / "index.json"
    path.write_text(path.read_text().replace('"encoder": null', '"encoder": "B4"'))


def other_vectors(folder: Path) -> None:
    save_index(unit(99, 20), folder / "index.faiss")


def another_width_and_count(folder: Path) -> None:
    save_index(unit(99, 40, WIDTH // 2), folder / "index.faiss")


def garbage(folder: Path) -> None:
    size = (folder / "index.faiss").stat().st_size
    (folder / "index.faiss").write_bytes(np.random.default_rng(0).bytes(size))


def other_thresholds(folder: Path) -> None:
    path = folder / "queries.parquet"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def no_json(folder: Path) -> None:
    size = (folder / "index.json").stat().st_size
    (folder / "index.json").write_bytes(b"{" * size)


def lying_in(out: Path, paths: Iterable[str]) -> dict[str, str]:
    """The sha256 of each file."""
    return {path: hashlib.sha256((out / path).read_bytes()).hexdigest() for path in paths}


FOREIGN: dict[Callable[[Path], None], str] = {
    another_version: "index.json",
    another_encoder: "index.json",
    other_vectors: "index.faiss",
    another_width_and_count: "index.faiss",
    garbage: "index.faiss",
    other_thresholds: "queries.parquet",
    no_json: "index.json",
}


PROVEN = (another_encoder, other_vectors, other_thresholds)
"""One fault of each file; the others repeat them in the soak."""


@pytest.mark.parametrize(
    "fault",
    [fault if fault in PROVEN else pytest.param(fault, marks=pytest.mark.soak) for fault in FOREIGN],
    ids=lambda fault: fault.__name__,
)
def test_a_saved_index_of_another_run_is_refused(
    finished_sets: Path, cli: Run, fault: Callable[[Path], None]
) -> None:
    """A file of another size is made anew before it is used; one of the same size is known by its sha256."""
    plan, folder = finished_sets / "plan.yaml", finished_sets / "out" / "indexes" / "one"
    before, sizes = (
        whole_runs.committed(finished_sets / "out"),
        [path.stat().st_size for path in sorted(folder.iterdir())],
    )
    fault(folder)
    assert [path.stat().st_size for path in sorted(folder.iterdir())] == sizes
    (finished_sets / "out" / "measures" / "similarity" / "one" / "part-0001.parquet").unlink()
    _queries.packed.cache_clear()
    advice = f"`nearfar verify {finished_sets / 'out'} --repair` makes it again"
    refuse(cli, plan, f"{folder / FOREIGN[fault]}' is not what was committed", advice)
    code, said, errors = cli("verify", str(finished_sets / "out"), "--repair")
    assert code == 0, said + errors
    assert whole_runs.committed(finished_sets / "out") == lying_in(finished_sets / "out", before) == before


@pytest.mark.parametrize("name", ["index.faiss", "index.json", "queries.parquet"])
def test_a_truncated_index_is_made_anew(finished_sets: Path, cli: Run, name: str) -> None:
    plan, path = finished_sets / "plan.yaml", finished_sets / "out" / "indexes" / "one" / name
    before, whole = whole_runs.committed(finished_sets / "out"), path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    (finished_sets / "out" / "measures" / "similarity" / "one" / "part-0001.parquet").unlink()
    _queries.packed.cache_clear()
    assert cli("run", str(plan))[0] == 0
    assert path.read_bytes() == whole
    assert whole_runs.committed(finished_sets / "out") == lying_in(finished_sets / "out", before) == before


def test_a_benchmark_called_thresholds_is_measured_anew_when_its_vectors_change(sets: Path, cli: Run) -> None:
    plan = plan_of(sets, splits={"core": [{"far": {"to": "all", "keep": 100}}]})
    del plan["reference"]
    plan["benchmarks"] = {"thresholds": plan["benchmarks"]["one"]}
    (sets / "plan.yaml").write_text(yaml.safe_dump(plan))
    assert cli("run", str(sets / "plan.yaml"))[0] == 0
    before = kept(sets / "out", "core")
    write_part(sets / "one", 0, unit(98, 20), rows_of("q", 0, 20))
    assert cli("run", str(sets / "plan.yaml"))[0] == 0
    assert kept(sets / "out", "core") != before
    assert cli("verify", str(sets / "out"))[0] == 0
