"""Sections are found by their file, say why they are left out, and reach the page and `audit.json` escaped."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pyarrow as pa
import pytest
from report_sets import Folder
from report_tables import write
from section_files import Sections, uid

import pipeline.report
from pipeline import layout
from pipeline.report import sections
from pipeline.report.making import build_report

SCHEMA = json.loads(Path(pipeline.report.__file__).with_name("audit.schema.json").read_text())
HOSTILE = "<script>alert(1)</script>\u202e"


def write_classes(run: Sections, names: list[Any], found: list[Any], name: str = "") -> None:
    path = run.out / "classes.json"
    path.write_text(json.dumps(names))
    run.measure("classes", name, {"names": str(path)}, found=pa.array(found, pa.list_(pa.int32())))


def report(run: Sections, into: Path) -> tuple[dict[str, Any], str]:
    folder = Folder(into)
    build_report(run.request, folder)
    content = json.loads(folder.file("report/audit.json").read_text())
    jsonschema.Draft202012Validator(SCHEMA).validate(content)
    return content, folder.file("report/report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", sections.names())
def test_every_section_is_whole(name: str) -> None:
    module = sections._module(name)
    assert module.__doc__
    assert module.TITLE
    assert isinstance(module.PLACE, int)
    assert all("." in need for need in module.NEEDS)
    assert "{" not in getattr(module, "ABOUT", "")  # a hole in a sentence that nobody filled


@pytest.mark.parametrize("name", sections.names())
def test_a_section_without_its_columns_says_so(name: str, tmp_path: Path) -> None:
    run = Sections(tmp_path, 4)
    run.pool()
    run.measure("captions", words=[1, 2, 3, 4])
    told = run.tell(name)
    assert told.panel is None
    assert len(told.reason) > 20
    for need in (way for each in sections._module(name).NEEDS for way in each.split("|")):
        kind, _, column = need.partition(".")
        assert (f"'{kind}'" in told.reason and f"'{column}'" in told.reason) == (need != "captions.words")


def test_left_out_and_shown_on_page_and_in_json(tmp_path: Path) -> None:
    run = Sections(tmp_path / "run", 4)
    run.pool()
    write_classes(run, [HOSTILE, "cat"], [[0], [0, 1], [], None])
    run.split("kept", [1, 2])
    content, page = report(run, tmp_path / "report")
    assert content["sections"].keys() == set(sections.names())
    assert content["sections"]["class_frequency"]["left_out"] is None
    assert "no measure" in content["sections"]["duplicate_groups"]["left_out"]
    assert 'id="section-class_frequency"' in page
    assert 'href="#section-class_frequency"' in page
    assert 'id="section-duplicate_groups"' not in page
    assert "Sections that this run has nothing for" in page
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert "\u202e" not in page


def test_the_same_bytes_with_any_number_of_threads(tmp_path: Path) -> None:
    pages = []
    for threads in (1, 3):
        run = Sections(tmp_path / f"run{threads}", 40)
        run.pool()
        write_classes(run, ["a", "b", "c"], [[at % 3] for at in range(40)])
        run.request = replace(run.request, threads=threads)
        pages.append(report(run, tmp_path / f"report{threads}"))
    assert pages[0] == pages[1]


def test_class_frequency_by_hand(tmp_path: Path) -> None:
    """Three samples name a dog, one of them a cat too; nobody names a cow. A split repeats one of them."""
    run = Sections(tmp_path, 6)
    write_classes(run, ["dog", "cat", "cow"], [[0], [0, 1], [], None, [0], []])
    run.split("both", [1, 4, 5], repeat=[3, 1, 9])
    run.split("nothing", [2, 3])
    numbers = run.numbers("class_frequency")["classes"]
    assert numbers["classes"] == 3
    pool, both, nothing = (numbers["sets"][name] for name in ("pool", "split both", "split nothing"))
    assert (pool["counts"], pool["samples"], pool["matches"]) == ([3, 1, 0], 3, 4)
    assert (pool["min"], pool["median"], pool["max"], pool["zero"]) == (0, 1, 3, 1)
    assert pool["gini"] == pytest.approx(0.5)  # differences 2·(2 + 3 + 1) / (2 · 3 · 4)
    assert pool["distinct_in_batch"]["256"] == pytest.approx(2 - (2 / 3) ** 256)
    assert (both["counts"], both["samples"]) == ([4, 3, 0], 4)
    assert both["untold"] == 0
    assert (nothing["counts"], nothing["samples"], nothing["gini"]) == ([0, 0, 0], 0, None)
    assert nothing["distinct_in_batch"]["1024"] == 0


def test_each_measure_of_classes_has_its_own_counts(tmp_path: Path) -> None:
    run = Sections(tmp_path, 4)
    write_classes(run, ["dog", "cat"], [[0], [], [], []])
    write_classes(run, ["dog", "cat"], [[1], [1], [], []], "other")
    numbers = run.numbers("class_frequency")
    assert {name: each["sets"]["pool"]["counts"] for name, each in numbers.items()} == {
        "classes": [1, 0],
        "other": [0, 2],
    }


def test_samples_of_a_further_set_count_where_the_measure_is_of_that_set(tmp_path: Path) -> None:
    """Uid 1 is a dog in the pool and a cow in `more`; of `other` nobody knows."""
    run = Sections(tmp_path, 4)
    write_classes(run, ["dog", "cat", "cow"], [[0], [0], [1], []])
    table = pa.table({"uid": [uid(1), uid(90)], "found": pa.array([[2], [1, 2]], pa.list_(pa.int32()))})
    path = write(tmp_path, layout.measure("classes", "classes", 0, "more"), table)
    (measure,) = run.request.measures
    run.request = replace(run.request, measures=(replace(measure, of_sets={"more": (path,)}),))
    run.split("filled", [0, 1, 90, 77], repeat=[2, 1, 3, 5], sources=["pool", "more", "more", "other"])
    run.split("own", [0, 1])
    sets = run.numbers("class_frequency")["classes"]["sets"]
    filled, own = sets["split filled"], sets["split own"]
    assert (filled["counts"], filled["samples"], filled["untold"]) == ([2, 3, 4], 6, 5)
    assert (own["counts"], own["untold"]) == ([2, 0, 0], 0)
    assert sets["pool"]["counts"] == [2, 1, 0]
    _, page = report(run, tmp_path / "report")
    assert "Of no class here" in page
