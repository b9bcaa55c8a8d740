"""`verify` proves a run: what every unit wrote wrong and signed for is found, with place and value."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from flat_atlas import draw_flat_atlas
from measured_world import MEASURES, SPLITS, write_measured_plan
from rotten_writer import RottenWriter
from whole_runs import Run, committed

from pipeline.commit import Attempt, remove_unowned
from pipeline.execution.progress import Progress
from pipeline.plan import Plan, load_plan
from pipeline.projection.atlas_request import AtlasRequest
from pipeline.run import RunOptions, execute
from pipeline.shipping import export
from pipeline.stages import performing_names
from pipeline.verify import verify
from pipeline.verifying.done_again import EMBEDS, LAID_OUT
from pipeline.verifying.verification import Verification
from pipeline.webdataset.export_request import ExportRequest

MADE_ONCE = frozenset({"read", "embed", "atlas"})
LOCATED = frozenset({"locate"})  # what it writes wrong stops the export by itself
BEFORE_RUNS = {"cut", "fetch", "hosts"}
RULES: dict[str, Any] = {
    "wide": [{"where": "width >= 1"}],
    "scored": [{"clip-score": {"fraction": 0.5}}, {"norm-sim": {"fraction": 0.5}}],
    "learned": [{"neg-clip-loss": {"fraction": 0.5}}],
    "classed": [{"class-match": {}}, {"class-balance": {"per_class": 9}}],
    "clustered": [{"image-based": {}}, {"density": {"fraction": 0.8}}],
    "spread": [{"diversity": {"level": 0.9}}, {"scale": 2}],
    "told": [{"domain-words": {"words": ["a"]}}, {"caption-detail": {"words": 0.5}}],
}


@pytest.fixture(scope="module")
def plan(small_world: Path, tmp_path_factory: pytest.TempPathFactory) -> Plan:
    """The plan of every measure, with splits of further rules."""
    folder = tmp_path_factory.mktemp("proved")
    return load_plan(write_measured_plan(folder, small_world, splits=SPLITS | RULES), [])


def run(plan: Plan) -> Path:
    out = Path(plan.output)
    with Progress(out) as progress:
        execute(plan, RunOptions(), progress)
        export(out, ExportRequest("whole", 50), RunOptions(), progress)
    draw_flat_atlas(out, AtlasRequest("whole", most=30))
    return out


@pytest.fixture(scope="module")
def sound(plan: Plan) -> Path:
    return run(plan)


@pytest.fixture(scope="module")
def rotten(plan: Plan, sound: Path) -> tuple[RottenWriter, Verification]:
    """A run on the same embeddings whose every other unit writes something wrong, and what is said of it."""
    out = sound.parent / "rotten"
    shutil.copytree(sound, out, copy_function=os.link)
    for stage in performing_names():
        if stage not in MADE_ONCE:
            shutil.rmtree(out / "commits" / stage, ignore_errors=True)
    shutil.rmtree(out / "shards")
    writer = RottenWriter(MADE_ONCE | LOCATED)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Attempt, "commit", lambda *given: writer.commit(*given))
        run(plan.model_copy(update={"output": str(out)}))
    return writer, verify(out)


def test_a_sound_run_is_proved_whole(sound: Path, cli: Run) -> None:
    code, said, _ = cli("verify", str(sound), "--json")
    found = json.loads(said)
    assert (code, found["problems"], found["damaged"], found["wrong"]) == (0, [], [], [])
    again = found["again"]
    assert {kind.partition("/")[0] for kind in again} == set(performing_names()) - BEFORE_RUNS
    left = {kind: share["left"] for kind, share in again.items() if share["again"] < share["of"]}
    assert {kind.partition("/")[0] for kind in left} == MADE_ONCE
    assert set(left.values()) == {EMBEDS, LAID_OUT}
    assert {f"measure/{name}" for name in (*MEASURES, "photo", "sketch")} <= again.keys()
    assert not any(one["left"] or not one["whole"] for one in found["splits"].values())
    assert found["splits"]["scored"]["rules"] == {"1:clip-score": 200, "2:norm-sim": 100}


def files_of(out: Path) -> set[str]:
    return {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}


def test_what_no_record_names_goes_whichever_stage_left_it(sound: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    shutil.copytree(sound, out, copy_function=os.link)
    named = committed(out)
    more = {"plan.lock.yaml", "inputs.json", "shards.json", "log.jsonl", ".lock"}
    spare = {path for path in files_of(out) if path.startswith("commits/")}
    assert files_of(out) - spare - more == set(named)
    left = set()
    for path in named:
        folder, _, name = path.rpartition("/")
        stray = f"{folder}/{re.sub('[0-9]{4,}', '0077', name)}"
        is_part = re.fullmatch(r"part-0077\.(parquet|npz)", stray.rpartition("/")[2])
        if folder.startswith("internal/") or (is_part and not folder.startswith("embeddings/")):
            stray = stray if "0077" in stray else f"{folder}/gone-{name}"
            (out / stray).write_bytes(b"left")
            left.add(stray)
    stages = {record.parent.name for record in (out / "commits").glob("*/*.json")}
    assert stages == set(performing_names()) - BEFORE_RUNS
    handed_on = {path.name for path in (out / "internal").iterdir()}
    assert {path.split("/")[1] for path in left if path.startswith("internal/")} == handed_on
    assert set(remove_unowned(out, performing_names())) == left
    assert files_of(out) - spare - more == set(named)


def test_every_unit_that_wrote_something_wrong_is_named(rotten: tuple[RottenWriter, Verification]) -> None:
    writer, found = rotten
    assert found.damaged == [], "every file is what was committed"
    assert {label.partition("/")[0] for label in writer.done} > {"measure", "split", "report", "gather"}
    assert set(writer.done) - set(found.wrong) == set()
    assert set(found.wrong) - set(writer.done) == set()


def test_what_is_wrong_is_named_with_its_place_and_both_values(
    rotten: tuple[RottenWriter, Verification],
) -> None:
    writer, found = rotten
    for path, text in (one for of in writer.done.values() for one in of):
        said = [problem for problem in found.problems if problem.startswith(f"{path}: ")]
        assert any(text in problem for problem in said), (path, text, said)


@pytest.mark.parametrize("name", [*MEASURES, "photo", "sketch"])
def test_every_measure_is_computed_again(rotten: tuple[RottenWriter, Verification], name: str) -> None:
    _, found = rotten
    named = [label for label in found.wrong if label.startswith(f"measure/{name} ")]
    assert len(named) == found.again[f"measure/{name}"].of > 1


@pytest.mark.parametrize("name", sorted({*SPLITS, *RULES} - {"whole"}))
def test_every_rule_is_decided_again(rotten: tuple[RottenWriter, Verification], name: str) -> None:
    _, found = rotten
    assert found.splits[name].problems
    assert all(f"in split {name}" in problem for problem in found.splits[name].problems)
