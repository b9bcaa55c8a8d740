"""Sections over tables that a user brings: accuracies by class, models under shifts; bad ones are refused in words."""

from __future__ import annotations

import csv
import json
import math
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from forked_commands import Forker
from section_files import Sections

from curation.kernels.frequency_curve import frequency_curve, spearman
from curation.kernels.robustness import LINES
from indexes.errors import PlanError
from pipeline.plan.user_tables import read_accuracies, read_results

NAMES = {"n01": ["great auk"], "n02": ["crane"], "n03": ["crane", "lifting crane"], "n04": ["cup"]}


def write(folder: Path, *lines: str) -> str:
    path = folder / "table.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return str(path)


def run_of(folder: Path) -> Sections:
    """Six samples: two auks, a crane of each kind, three cups."""
    run = Sections(folder, 6)
    run.pool(seen=pa.array([["0"], ["3"], [], ["2", "1"], None, ["3"]], pa.list_(pa.string())))
    path = folder / "classes.json"
    path.write_text(json.dumps(NAMES))
    found = pa.array([[0], [0, 3], [1], [2], [3], [3]], pa.list_(pa.int32()))
    run.measure("classes", "", {"names": str(path)}, found=found)
    return run


def test_accuracies_by_id_name_and_model(tmp_path: Path) -> None:
    run = run_of(tmp_path)
    table = write(
        tmp_path,
        *(
            "Model,class,Accuracy,predictions",
            "B/32,n01,0.5,10",
            "B/32,Crane,0.1,3",
            "B/32,Lifting_crane,0.25,4",
        ),
        *("B/32,cup,1.0,9", "L/14,n01,0.75,", "L/14,n04,0.5,", "L/14,unicorn,0.5,", "L/14,n02,,"),
    )
    run.request = replace(run.request, accuracies=table)
    found = run.numbers("frequency_accuracy")["curves"]["classes"]
    assert found["unknown_classes"] == ["Crane", "unicorn"]  # two classes are called crane
    small, large = found["models"]["B/32"], found["models"]["L/14"]
    counts, accuracy = np.array([2.0, 1, 3]), np.array([50.0, 25, 100])
    assert (small["classes"], large["classes"]) == (3, 2)
    assert small["spearman"] == pytest.approx(spearman(counts, accuracy)) == 1
    assert small["spearman_predictions"] == pytest.approx(spearman(counts, np.array([10.0, 4, 9])))
    assert large["spearman_predictions"] is None
    curve = frequency_curve(counts, accuracy)
    assert [one[2] for one in small["bins"]] == curve.sizes.tolist()
    assert (small["pearson_binned"] is None) == math.isnan(curve.pearson())


def test_misalignment_of_captions_and_images(tmp_path: Path) -> None:
    """By caption all six have a class, by image four; 1 is [0, 3] against [3], 3 is [2] against [2, 1]: they meet."""
    run = run_of(tmp_path)
    run.request = replace(run.request, image_classes="seen")
    found = run.numbers("frequency_accuracy")["misalignment"]["classes"]["seen"]
    assert found == {"misaligned": 0, "tagged_by_text": 6, "tagged_by_image": 4, "degree": 0.0}
    other = pa.array([[1], [3], [0], [2], None, []], pa.list_(pa.int32()))
    run.measure("classes", "tagger", {"names": run.request.measures[0].options["names"]}, found=other)
    run.request = replace(run.request, image_classes="tagger.found")
    found = run.numbers("frequency_accuracy")["misalignment"]["classes"]["tagger.found"]
    assert found == {
        "misaligned": 2,
        "tagged_by_text": 6,
        "tagged_by_image": 4,
        "degree": pytest.approx(1 / 3),
    }


def test_effective_robustness_of_a_users_models(tmp_path: Path) -> None:
    run = Sections(tmp_path, 2)
    table = write(
        tmp_path,
        "name,pretrained,ImageNet 1k,ImageNet v2,imagenet_r,val-on-imagenet-r-classes,other",
        *("B/32,openai,0.63,0.56,0.7,0.85,x", "B/16,laion,0.67,0.6,0.8,0.5,y", "zero,,0,0.5,,,"),
    )
    run.request = replace(run.request, results=table)
    told = run.tell("robustness_of_models")
    shifts = told.panel.numbers["shifts"]
    assert list(shifts) == ["imagenetv2-matched-frequency-format-val", "imagenet-r"]
    v2 = {row["model"]: row for row in shifts["imagenetv2-matched-frequency-format-val"]}
    assert set(v2) == {"B/32 openai", "B/16 laion"}
    rho, half = LINES[0].effective(63.0, 56.0)
    assert v2["B/32 openai"]["rho"] == pytest.approx(rho, abs=1e-6)
    assert v2["B/32 openai"]["half_width_95"] == pytest.approx(half, abs=1e-6)
    # The published line of ImageNet-R says nothing of models below 75 % on its classes.
    assert [row["model"] for row in shifts["imagenet-r"]] == ["B/32 openai"]
    assert "objectnet" in told.panel.pieces[-1].text


@pytest.mark.real_data
def test_the_table_of_open_clip_is_read_as_it_is(tmp_path: Path) -> None:
    root = os.environ.get("NEARFAR_REAL_DATA")
    if not root:
        pytest.skip("NEARFAR_REAL_DATA is not set: open_clip's table of results is not here")
    path = Path(root) / "results/openclip_results.csv"
    run = Sections(tmp_path, 2)
    run.request = replace(run.request, results=str(path))
    numbers = run.numbers("robustness_of_models")
    assert numbers["models"] == 121
    with path.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    [sketch] = [line for line in LINES if line.shift == "imagenet-sketch"]
    wanted = [
        sketch.effective(100 * float(r["ImageNet 1k"]), 100 * float(r["ImageNet Sketch"]))[0] for r in rows
    ]
    assert [one["rho"] for one in numbers["shifts"]["imagenet-sketch"]] == pytest.approx(wanted, abs=1e-6)
    assert set(numbers["shifts"]) == {"imagenet-sketch", "imagenetv2-matched-frequency-format-val"}


ACCURACIES = {
    "no file": None,
    "no column": ["klass,accuracy", "a,1"],
    "no line": ["class,accuracy"],
    "no number": ["class,accuracy", "a,much"],
    "not finite": ["class,accuracy", "a,nan"],
    "too much": ["class,accuracy", "a,50", "b,101"],
    "below nothing": ["class,accuracy", "a,-1"],
}
RESULTS = {
    "no file": None,
    "no model": ["imagenet,imagenet_v2", "0.5,0.4"],
    "no shift": ["model,imagenet", "a,0.5"],
    "the wrong validation set": ["model,imagenet,imagenet_r", "a,0.5,0.4"],
    "no number": ["model,imagenet,imagenet_v2", "a,0.5,x"],
    "too much": ["model,imagenet,imagenet_v2", "a,50,140"],
}


@pytest.mark.parametrize("case", ACCURACIES)
def test_bad_accuracies_are_refused_in_words(case: str, tmp_path: Path) -> None:
    lines = ACCURACIES[case]
    path = write(tmp_path, *lines) if lines else str(tmp_path / "gone.csv")
    with pytest.raises(PlanError, match=r"audit\.accuracies: '.*table\.csv|audit\.accuracies: '.*gone\.csv"):
        read_accuracies(path)


@pytest.mark.parametrize("case", RESULTS)
def test_bad_results_are_refused_in_words(case: str, tmp_path: Path) -> None:
    lines = RESULTS[case]
    path = write(tmp_path, *lines) if lines else str(tmp_path / "gone.csv")
    with pytest.raises(PlanError, match=r"audit\.results: '"):
        read_results(path)


def test_shares_and_percentages_are_the_same(tmp_path: Path) -> None:
    shares = read_accuracies(write(tmp_path, "class,accuracy", "a,0.5", "b,1"))
    percentages = read_accuracies(write(tmp_path, "class,accuracy", "a,50", "b,100"))
    assert shares == percentages


@pytest.fixture
def plan(tmp_path: Path, small_world: Path) -> Path:
    (tmp_path / "classes.json").write_text(json.dumps(["dog", "cat", "turtle", "bottle"]))
    (tmp_path / "plan.yaml").write_text(
        f"name: tables\npool: {{path: {json.dumps(str(small_world / 'pool'))}, format: img2dataset}}\noutput: out\n"
        "measures:\n  classes: {matcher: whole_word, names: classes.json}\n"
        "audit: {accuracies: table.csv}\nsplits: {half: [{random: {fraction: 0.5}}]}\n"
    )
    return tmp_path


def test_a_run_reads_the_table_and_notices_its_change(plan: Path, forked: Forker) -> None:
    write(plan, "class,accuracy", "dog,80", "cat,60", "turtle,90")
    status, said = forked("run", "plan.yaml", folder=plan)
    assert status == 0, said
    report = plan / "out/report/audit.json"
    model = json.loads(report.read_text())["sections"]["frequency_accuracy"]["numbers"]["curves"]["classes"][
        "models"
    ]
    assert model["the model"]["classes"] == 3
    before = report.stat().st_mtime_ns
    assert forked("report", "out", folder=plan)[0] == 0
    assert report.stat().st_mtime_ns == before
    write(plan, "class,accuracy", "dog,80", "cat,60", "turtle,90", "bottle,10")
    assert forked("report", "out", folder=plan)[0] == 0
    model = json.loads(report.read_text())["sections"]["frequency_accuracy"]["numbers"]["curves"]["classes"][
        "models"
    ]
    assert model["the model"]["classes"] == 4


def test_a_bad_table_stops_a_run_before_anything_is_read(plan: Path, forked: Forker) -> None:
    write(plan, "class,accuracy", "dog,lots")
    status, said = forked("run", "plan.yaml", folder=plan)
    assert (status, "line 2" in said, "Traceback" in said) == (2, True, False), said
    assert not (plan / "out/samples").exists()


def test_a_column_of_images_that_is_not_there_stops_a_run(plan: Path, forked: Forker) -> None:
    write(plan, "class,accuracy", "dog,80")
    status, said = forked("run", "plan.yaml", "--set", "audit.image_classes=seen", folder=plan)
    assert (status, "'seen' is not there" in said, "classes.found" in said) == (2, True, True), said
    assert not (plan / "out/samples").exists()
