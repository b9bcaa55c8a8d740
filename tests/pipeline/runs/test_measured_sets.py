"""Measures of further sets: what they are, which rules read them, and what fills a histogram by them."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from last_objects import done_by, last_object
from measured_world import TINY
from whole_runs import Run

from pipeline.embedding.caption_batches import embed_texts
from pipeline.embedding.encoder import EncoderSpec, load_encoder
from pipeline.execution.progress import Progress
from pipeline.files.parquet import read_parquet
from pipeline.plan import load_plan
from pipeline.run import RunOptions, execute
from pipeline.verify import verify
from pipeline.world.scene import LABELS

SIMILAR = "class_similarity"


def rows(out: Path, path: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = pa.concat_tables(
        [read_parquet(one) for one in sorted((out / path).glob("part-*.parquet"))]
    ).to_pylist()
    return found


def write_plan(folder: Path, name: str, pool: Path, **changes: Any) -> Path:
    names = folder / "labels.json"
    names.write_text(json.dumps(LABELS), encoding="utf-8")
    plan = {
        "name": name,
        "pool": {"path": str(pool), "format": "img2dataset"},
        "encoder": {"model": str(TINY), "pretrained": str(TINY / "open_clip_model.safetensors")},
        "measures": {
            "classes": {"matcher": "whole_word", "names": str(names)},
            SIMILAR: {"template": "a photo of a {name}", "names": str(names)},
        },
        "splits": {},
        "engine": {"unit_rows": 60},
        "output": str(folder / name),
    }
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(plan | changes, sort_keys=False), encoding="utf-8")
    return path


def run(path: Path) -> Path:
    plan = load_plan(path, [])
    with Progress(Path(plan.output)) as progress:
        execute(plan, RunOptions(), progress)
    return Path(plan.output)


@pytest.fixture(scope="module")
def folder(small_world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The world's pool, cut in two: `here`, and a source `more`."""
    folder = tmp_path_factory.mktemp("sets")
    files = sorted((small_world / "pool").iterdir())
    for file in files:
        to = folder / ("here" if file.name.startswith("00000") else "more")
        to.mkdir(exist_ok=True)
        shutil.copy(file, to)
    return folder


TOLD = [
    (text.format(LABELS[n % 3]), ("0", LABELS[0], LABELS[1].upper(), "none such", None)[n % 5])
    for n, text in enumerate(["a red {}", "{}", "a blue {} by a house", "two of them", "a photo of a {}"] * 9)
]
"""Captions, and a column that says a class, which need not be the one that the caption names."""
FILL = {"by": "classes.single", "fill": "more", "fill_by": "classes.single"}
SPLITS: dict[str, Any] = {
    "long": [
        {"add": {"source": "more", "rules": [{"where": "captions.words > 4 AND len(classes.found) > 0"}]}}
    ],
    "filled": [{"class-balance": FILL | {"counts": dict.fromkeys(map(str, range(8)), 9)}}],
    "alike": [{"match-frequency": {"to": "more", "of": "classes.single"}}],
    "as_many": [{"class-balance": {"by": "classes.single", "like": "more", "like_by": "classes.single"}}],
}


@pytest.fixture(scope="module")
def out(folder: Path) -> Path:
    (folder / "told").mkdir()
    told = {"URL": [f"http://x.test/{n}" for n in range(len(TOLD))]}
    told |= {"TEXT": [text for text, _ in TOLD], "kind": [kind for _, kind in TOLD]}
    pq.write_table(pa.table(told), folder / "told/part-00000.parquet")
    sources = {
        "more": {"path": str(folder / "more"), "format": "img2dataset"},
        "told": {"path": str(folder / "told"), "format": "laion"},
    }
    listed = {"names": str(folder / "labels.json"), "counts": {LABELS[0]: 99, LABELS[1]: 40}}
    by_column = {"class-balance": {"by": "classes.single", "fill": "told", "fill_by": "kind", **listed}}
    splits = SPLITS | {"by_column": [by_column]}
    return run(write_plan(folder, "two", folder / "here", sources=sources, splits=splits))


def test_a_set_s_measures_are_those_it_has_as_a_pool(out: Path, folder: Path) -> None:
    alone = run(
        write_plan(folder, "one", folder / "more", splits={"long": [{"where": "captions.words > 4"}]})
    )
    for name in ("classes", SIMILAR, "captions"):
        theirs = rows(alone, f"measures/{name}")
        assert theirs
        assert rows(out, f"measures_of/more/{name}") == theirs
    assert {path.name for path in (out / "measures").iterdir()} == {"classes", SIMILAR}
    assert any(row["similarity"] for row in rows(out, f"measures_of/more/{SIMILAR}"))


def test_what_lacks_is_filled_by_the_nearest_captions(out: Path) -> None:
    classes = {row["uid"]: row["single"] for row in rows(out, "measures/classes")}
    further = {row["uid"]: row["single"] for row in rows(out, "measures_of/more/classes")}
    near = {row["uid"]: row["similarity"] for row in rows(out, f"measures_of/more/{SIMILAR}")}
    kept = rows(out, "splits/filled")
    there, filled = Counter(classes.values()), 0
    for at in range(8):
        own = {row["uid"] for row in kept if row["source"] == "pool" and classes[row["uid"]] == at}
        assert len(own) == min(there[at], 9)
        best = sorted((u for u, single in further.items() if single == at), key=lambda u: (-near[u], u))
        more = {row["uid"] for row in kept if row["source"] == "more" and further[row["uid"]] == at}
        assert more == set(best[: 9 - len(own)])
        filled += len(more)
    assert filled
    assert {row["source"] for row in kept} == {"pool", "more"}


def test_a_column_says_the_class_whose_text_is_compared(out: Path) -> None:
    encoder = load_encoder(EncoderSpec(str(TINY)), "cpu")
    texts, spoken = (
        [one.vector for one in embed_texts(encoder, said)]
        for said in ([f"a photo of a {name}" for name in LABELS[:2]], [text for text, _ in TOLD])
    )
    place = {"0": 0, LABELS[0]: 0, LABELS[1].upper(): 1}
    held = {row["uid"]: row for row in rows(out, f"measures_of/told/{SIMILAR}")}
    near = dict[str, float]()
    for row in rows(out, "samples/told"):
        vector, at = spoken[int(row["url"].rpartition("/")[2])], place.get(row["kind"])
        exact = None if at is None else float(vector.astype("f8") @ texts[at].astype("f8"))
        assert held[row["uid"]]["similarity"] == held[row["uid"]]["highest"] == exact
        near |= {} if exact is None else {row["uid"]: exact}
    kept = [row for row in rows(out, "splits/by_column") if row["source"] == "told"]
    there = Counter(row["single"] for row in rows(out, "measures/classes"))
    kinds = {row["uid"]: place.get(row["kind"]) for row in rows(out, "samples/told")}
    for at, n in enumerate((99, 40)):
        best = sorted((u for u in near if kinds[u] == at), key=lambda u: (-near[u], u))
        assert {row["uid"] for row in kept if kinds[row["uid"]] == at} == set(best[: max(n - there[at], 0)])
    assert kept
    step = json.loads((out / "splits/by_column/split.json").read_text())["waterfall"]["dropped"][0]
    assert step["short"] == sum(step["shortages"].values())


def test_rules_of_a_set_read_its_measures(out: Path) -> None:
    words = {row["uid"]: row["words"] for row in rows(out, "measures_of/more/captions")}
    found = {row["uid"]: row["found"] for row in rows(out, "measures_of/more/classes")}
    kept = {row["uid"] for row in rows(out, "splits/long") if row["source"] == "more"}
    assert kept == {uid for uid, n in words.items() if n > 4 and found[uid]} != set(words)


def test_a_class_is_as_frequent_on_both_sides(out: Path) -> None:
    here, more = (
        {row["uid"]: row["single"] for row in rows(out, path) if row["single"] is not None}
        for path in ("measures/classes", "measures_of/more/classes")
    )
    sides = Counter((row["source"], (here | more)[row["uid"]]) for row in rows(out, "splits/alike"))
    wanted = Counter(here.values()) & Counter(more.values())
    assert {at: n for (side, at), n in sides.items() if side == "pool"} == wanted
    assert {at: n for (side, at), n in sides.items() if side == "more"} == wanted
    kept = Counter(here[row["uid"]] for row in rows(out, "splits/as_many"))
    assert kept == wanted
    assert not (out / "splits/as_many/sources.npy").exists()


def test_a_plan_counts_what_a_run_then_does(out: Path, folder: Path, tmp_path: Path, cli: Run) -> None:
    output = f"output={json.dumps(str(tmp_path / 'other'))}"
    code, said, errors = cli("plan", str(folder / "two.yaml"), "--set", output, "--json")
    assert code == 0, errors
    stages = {stage["stage"]: stage for stage in last_object(said)["stages"]}
    did = done_by(out)
    assert did["assess"]["units"] == 7  # three measures of `more` in two parts each, one of `told`
    for name in ("embed", "measure", "assess", "split"):
        assert [stages[name][one] for one in ("todo", "rows")] == [
            did[name][one] for one in ("units", "rows")
        ]


def test_verify_proves_them(out: Path, tmp_path: Path) -> None:
    assert verify(out).problems == []
    copy = tmp_path / "out"
    shutil.copytree(out, copy)
    path = next((copy / f"measures_of/more/{SIMILAR}").glob("*.parquet"))
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    assert any(str(path.name) in problem for problem in verify(copy).problems)


def test_a_measure_of_the_pool_alone_is_refused(cli: Run, folder: Path) -> None:
    rule = {"add": {"source": "more", "rules": [{"where": "duplicates.similarity > 0.5"}]}}
    sources = {"more": {"path": str(folder / "more"), "format": "img2dataset"}}
    path = write_plan(folder, "refused", folder / "here", sources=sources, splits={"x": [rule]})
    code, _, said = cli("run", str(path))
    assert code == 2
    assert "splits.x[0] reads the measure duplicates of more" in said
    assert not (folder / "refused").exists()
