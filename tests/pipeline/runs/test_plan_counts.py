"""What `nearfar plan` counts is what `nearfar run` then does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import whole_runs
from last_objects import done_by, last_object, stopping_in
from small_sets import plan_of, write_plan
from whole_runs import Run

import pipeline.estimate as estimating
import pipeline.run as running


def planned(cli: Run, *arguments: str) -> dict[str, dict[str, Any]]:
    code, output, errors = cli("plan", *arguments, "--json")
    assert code == 0, errors
    return {stage["stage"]: stage for stage in last_object(output)["stages"]}


def counted(stages: dict[str, dict[str, Any]], *names: str) -> dict[str, list[int]]:
    """What is to be done, of the stages of which that is certain and of which anything is."""
    return {
        name: [stage[one] for one in names]
        for name, stage in stages.items()
        if stage["exact"] and stage["todo"]
    }


def done(out: Path, stages: dict[str, dict[str, Any]], *names: str, after: int = 0) -> dict[str, list[int]]:
    exact = {name for name, stage in stages.items() if stage["exact"]}
    found = done_by(out, after)
    return {name: [one[n] for n in names] for name, one in found.items() if name in exact and one["units"]}


def test_of_the_quickstarts_world(
    small_world: Path, quickstart_output: Path, tmp_path: Path, cli: Run
) -> None:
    """Also what is embedded is timed, for it is to be done; two of the pool's rows never arrived."""
    output = f"output={json.dumps(str(tmp_path / 'out'))}"
    command = [*whole_runs.arguments(small_world)[1:], "--set", output, "--json"]
    code, said, errors = cli("plan", *command)
    assert code == 0, errors
    found = last_object(said)
    stages = {stage["stage"]: stage for stage in found["stages"]}
    assert counted(stages, "todo") == done(quickstart_output, stages, "units")
    assert [name for name, stage in stages.items() if not stage["exact"]] == ["rescan"]
    assert counted(stages, "rows") == done(quickstart_output, stages, "rows")
    did = done_by(quickstart_output)
    assert stages["read"]["reads"] == did["read"]["bytes"]
    assert found["rates"]["images"] > 10
    assert stages["read"]["seconds"] > 0
    # Images and captions; images again, and in the order of groups, of which there are two copies.
    assert stages["measure"]["reads"] == 200 * 128 * 2 * 4 < did["measure"]["bytes"]
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("stage", "units"), [("read", 2), ("measure", 4), ("split", 1)])
def test_of_a_run_that_goes_on(
    sets: Path, cli: Run, monkeypatch: pytest.MonkeyPatch, stage: str, units: int
) -> None:
    plan, out = str(write_plan(sets)), sets / "out"
    with monkeypatch.context() as patch:
        patch.setattr(running, "do_wave", stopping_in(stage, units))
        assert cli("run", plan)[0] == 2
    stages = planned(cli, plan)
    assert stages[stage]["done"] == units
    before = len((out / "log.jsonl").read_text().splitlines())
    assert cli("run", plan)[0] == 0
    certain = [name for name, one in stages.items() if one["exact"]]
    assert certain == [name for name in stages if name != "rescan"]
    for names in (("todo",), ("rows",)):
        did = {"todo": "units"}.get(names[0], names[0])
        assert counted(stages, *names) == done(out, stages, did, after=before)
    reads = done_by(out, before)[stage]["bytes"]
    # A split that starts from others reads what these leave, which is not there yet.
    assert (0.5 if stage == "split" else 1.0) * reads <= stages[stage]["reads"] <= reads


def test_what_was_added_is_counted_at_most(sets: Path, cli: Run) -> None:
    """What stands of stages that cannot be planned yet is not known; the others are certain."""
    splits = {"core": [{"far": {"to": ["one"], "keep": 100}}]}
    one = {"one": plan_of(sets)["benchmarks"]["one"]}
    assert cli("run", str(write_plan(sets, benchmarks=one, splits=splits)))[0] == 0
    plan, out = str(write_plan(sets, splits=splits)), sets / "out"
    stages = planned(cli, plan)
    before = len((out / "log.jsonl").read_text().splitlines())
    said = cli("plan", plan)[1]
    assert cli("run", plan)[0] == 0
    assert counted(stages, "todo") == {"read": [1]} == done(out, stages, "units", after=before)
    for name, did in done_by(out, before).items():
        assert name == "rescan" or did["units"] <= stages[name]["todo"]
    (line,) = (line for line in said.splitlines() if line.split()[:1] == ["measure"])
    assert line.split()[:4] == ["measure", "9", "0", "~9"]
    assert "~ as far as can be told" in said


def test_nothing_is_timed_that_nothing_needs(sets: Path, cli: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A finished run needs no rates, and one of vectors no encoder though the plan names one."""
    from pipeline.execution import costs

    def refuse(*_: object) -> None:
        raise AssertionError("an encoder was loaded")

    monkeypatch.setattr(estimating, "_probe_images", refuse)
    monkeypatch.setattr(costs, "_encoder_width", refuse)
    plan = str(write_plan(sets, encoder={"model": "ViT-B-32", "pretrained": "laion2b_s34b_b79k"}))
    _, output, _ = cli("plan", plan, "--json")
    assert last_object(output)["rates"]["images"] is None
    assert cli("run", plan)[0] == 0
    monkeypatch.setattr(estimating, "probe", refuse)
    code, output, _ = cli("plan", plan, "--json")
    assert (code, last_object(output)["rates"]) == (0, None)
    assert "nothing to do" in cli("plan", plan)[1].splitlines()


def test_an_encoder_is_not_timed_once_all_is_embedded(
    small_world: Path, tmp_path: Path, cli: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A benchmark of images, embedded by a run that stopped later: its width is known from what was embedded."""
    tiny = whole_runs.ROOT / "data_manifests" / "encoders" / "tiny"
    sketch = {"path": str(small_world / "benchmarks" / "sketch"), "format": "image-folder"}
    plan = write_plan(
        tmp_path,
        pool=sketch,
        reference=None,
        benchmarks={"sketch": dict(sketch)},
        encoder={"model": str(tiny), "pretrained": str(tiny / "open_clip_model.safetensors")},
        splits={},
    )
    with monkeypatch.context() as patch:
        patch.setattr(running, "do_wave", stopping_in("measure", 0))
        assert cli("run", str(plan))[0] == 2

    def refuse(*_: object) -> None:
        raise AssertionError("an encoder was loaded")

    monkeypatch.setattr(estimating, "_probe_images", refuse)
    monkeypatch.setattr("pipeline.execution.costs._encoder_width", refuse)
    code, output, errors = cli("plan", str(plan), "--json")
    assert code == 0, errors
    found = last_object(output)
    assert found["rates"]["images"] is None
    assert found["rates"]["products"] > 0
    assert {stage["stage"]: stage["todo"] for stage in found["stages"]}["measure"] > 0
