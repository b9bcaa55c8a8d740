"""Rules and measures by class that cannot be: each is named, the exit code is 2, and nothing has been read."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from measured_world import TINY
from whole_runs import Run

Plan = dict[str, Any]
Change = Callable[[Plan, Path], None]


def rule(**options: Any) -> Change:
    (name, given), *_ = options.items()
    return lambda plan, _: plan.update(splits={"x": [{name.replace("_", "-"): given}]})


def names(*listed: Any) -> Change:
    def change(plan: Plan, folder: Path) -> None:
        (folder / "names.json").write_text(json.dumps(listed), encoding="utf-8")

    return change


def without_encoder(plan: Plan, _: Path) -> None:
    plan.pop("encoder")
    similar(head=True)(plan, _)


def similar(head: bool = False, wide: bool = False, **options: Any) -> Change:
    def change(plan: Plan, folder: Path) -> None:
        np.save(folder / "head.npy", np.eye(3, 7 if wide else 128, dtype=np.float32))
        held = {"head": str(folder / "head.npy")} if head else {"template": "a {name}"}
        plan["measures"]["class_similarity"] = {"names": str(folder / "names.json")} | held | options
        rule(class_match={"text": "class_similarity.similarity", "above": 0.7})(plan, folder)

    return change


def both(*changes: Change) -> Change:
    def change(plan: Plan, folder: Path) -> None:
        for one in changes:
            one(plan, folder)

    return change


def with_set(captions: bool = True, **options: Any) -> Change:
    """A further set that fills, and the measure that says how near it is."""

    def change(plan: Plan, folder: Path) -> None:
        similar(head=not captions)(plan, folder)
        plan["sources"] = {"more": {"path": str(folder / "pool"), "format": "laion"}}
        if not captions:
            plan.pop("encoder")
            plan["measures"].pop("class_similarity")
        given = {"counts": {"0": 3}, "names": "LIST", "fill": "more", "fill_by": "kind"} | options
        given["names"] = str(folder / "names.json") if given["names"] == "LIST" else given["names"]
        rule(class_balance=given)(plan, folder)

    return change


FAULTS: dict[str, tuple[Change, str]] = {
    "a missing column": (rule(class_match={"by": "knid"}), "names the column 'knid', which is not there"),
    "a missing score": (
        rule(class_balance={"per_class": 2, "highest": "scroe"}),
        "names the column 'scroe', which is not there",
    ),
    "an empty name": (names("cat", ""), "class 1 has an empty name"),
    "a doubled name": (names("cat", "dog", "cat"), "classes 0 and 2 have the same names (cat)"),
    "no class": (names(), "names no class; a class list is"),
    "a cap of 0": (rule(class_balance={"cap": 0}), "cap is 0; it should be greater than or equal to 1"),
    "two targets": (
        rule(class_balance={"cap": 3, "per_class": 2}),
        "per_class and cap exclude each other",
    ),
    "a level without its column": (
        rule(class_match={"above": 0.7}),
        "text names a column and above its level; give both, or neither",
    ),
    "a strict draw of both": (
        rule(match_frequency={"to": "more", "strict": True}),
        "strict goes with keep: pool",
    ),
    "an unknown matcher": (
        lambda plan, _: plan["measures"]["classes"].update(matcher="whole_wrod"),
        "unknown matcher 'whole_wrod'; available: frequency, laionet",
    ),
    "a head of another width": (similar(head=True, wide=True), "of width 7 for its classes, and the text"),
    "a head of another number of classes": (
        both(similar(head=True), names("cat", "dog")),
        "of shape (3, 128); a text head",
    ),
    "a text level without text embeddings": (
        without_encoder,
        "looks at the captions' embeddings, and the pool",
    ),
    "a template without a slot": (similar(template="a photo"), "which has no slot"),
    "a template of another slot": (similar(template="a {nmae}"), "{nmae} is no slot"),
    "a caption without a slot": (
        rule(compose={"front": "a photo", "of": ["caption"]}),
        "has the slot {class} 0 times",
    ),
    "no such set": (
        rule(match_frequency={"to": "more"}),
        "which is no further set of this plan; it has: none",
    ),
    "no such column of a set": (
        with_set(fill_by="knid"),
        "looks at 'knid', which is no measure and no column of more",
    ),
    "no such score of a set": (with_set(nearest="scroe"), "names the column 'scroe', which is not there"),
    "a class list without definitions": (
        with_set(captions=False, names="LIST"),
        "measures.class_similarity.template is '{name} which is {definition}'",
    ),
    "a set without text embeddings": (
        with_set(captions=False, names="imagenet-1k"),
        "compares samples with texts that the text tower of 'clip' has to embed",
    ),
    "no class of the list": (with_set(counts={"cow": 1}), "has the class 'cow', which says no class of"),
}


def plan_in(folder: Path) -> Plan:
    (folder / "pool").mkdir()
    table = {"URL": ["a", "b", "c"], "TEXT": ["a cat", "a dog", "a car"], "kind": ["cat", "dog", None]}
    pq.write_table(pa.table(table), folder / "pool/part-00000.parquet")
    (folder / "names.json").write_text('["cat", "dog", "car"]', encoding="utf-8")
    return {
        "name": "faulty",
        "pool": {"path": str(folder / "pool"), "format": "laion"},
        "encoder": {"model": str(TINY), "pretrained": str(TINY / "open_clip_model.safetensors")},
        "measures": {"classes": {"names": str(folder / "names.json")}},
        "splits": {"x": [{"class-balance": {"per_class": 1}}]},
        "output": str(folder / "out"),
    }


@pytest.mark.parametrize("fault", list(FAULTS))
def test_it_is_named_before_anything_is_read(fault: str, tmp_path: Path, cli: Run) -> None:
    plan, (change, why) = plan_in(tmp_path), FAULTS[fault]
    change(plan, tmp_path)
    (tmp_path / "plan.yaml").write_text(yaml.safe_dump(plan), encoding="utf-8")
    for command in ("run", "plan"):
        code, _, said = cli(command, str(tmp_path / "plan.yaml"))
        assert (code, why in said, "Traceback" in said) == (2, True, False), said
    assert not (tmp_path / "out").exists()


def test_more_than_is_left_is_counted_or_an_error(tmp_path: Path, cli: Run) -> None:
    plan = plan_in(tmp_path)
    rules = {
        "balanced": {"class-balance": {"per_class": 5}},
        "drawn": {"random": {"keep": 50}},
        "emptied": {"where": "false"},
        "subset": {"class-subset": {"keep": 50}},
    }
    plan["splits"] = {name: [one] for name, one in rules.items()}
    (tmp_path / "plan.yaml").write_text(yaml.safe_dump(plan), encoding="utf-8")
    code, out, said = cli("run", str(tmp_path / "plan.yaml"))
    assert code == 0, said
    lines = [
        "split balanced: 1:class-balance found 12 samples fewer than the 15 that it was to take "
        "(0 lacks 4, 1 lacks 4, 2 lacks 4)",
        "split drawn: 1:random found 47 samples fewer than the 50 that it was to take",
        "split emptied: keeps no sample",
        "split subset: 1:class-subset found 47 samples fewer than the 50 that it was to take",
    ]
    assert set(lines) <= set(out.splitlines())
    assert set(lines) <= set(
        json.loads((tmp_path / "out/report/audit.json").read_text())["headline"]["notes"]
    )
    page = (tmp_path / "out/report/report.html").read_text(encoding="utf-8")
    assert all(f"<li><bdi>{line}</bdi></li>" in page for line in lines)
    steps = {
        name: json.loads((tmp_path / f"out/splits/{name}/split.json").read_text())["waterfall"]["dropped"][0]
        for name in rules
    }
    assert {name: step["short"] for name, step in steps.items() if name != "emptied"} == {
        "balanced": 12,
        "drawn": 47,
        "subset": 47,
    }
    plan["splits"]["balanced"][0]["class-balance"]["strict"] = True
    (tmp_path / "plan.yaml").write_text(yaml.safe_dump(plan), encoding="utf-8")
    code, _, said = cli("run", str(tmp_path / "plan.yaml"))
    assert code == 2
    assert "3 values of classes.found have fewer samples than were asked for, and the rule is strict" in said
