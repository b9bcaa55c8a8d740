"""Situations that are answered with advice: what goes wrong where a split adds a further set."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from advice_cases import World, case
from small_sets import rows_of, unit, write_part


def _with_set(w: World, first: int = 100, **options: Any) -> None:
    """Give the plan a further set of six samples, and a split that adds it."""
    write_part(w.folder / "more", 0, unit(31, 6), rows_of("p", first, 6))
    w.plan["sources"] = {"more": {"path": str(w.folder / "more")}}
    w.rule({"add": {"source": "more", **options}})


@case
def a_set_that_the_plan_does_not_have(w: World) -> Iterator[str]:
    _with_set(w)
    w.rule({"add": "most"})
    yield "Name one of these, or add it under sources"
    w.rule({"add": w.said.split("it has: ")[1].split(".")[0]})


@case
def a_rule_of_a_set_that_reads_a_measure(w: World) -> Iterator[str]:
    _with_set(w, rules=[{"near": {"to": "all", "threshold": 0.9}}])
    yield "Write it behind the add, or take it out"
    _with_set(w)


@case
def a_measure_that_a_set_has_not(w: World) -> Iterator[str]:
    w.plan["measures"] = {"clusters": {"k": 2}}
    _with_set(w, rules=[{"where": "clusters.cluster = 0"}])
    yield "Read a column of that set, or write the rule behind the add"
    _with_set(w)
    w.plan["splits"]["chosen"].append({"where": "clusters.cluster = 0"})


@case
def a_rule_of_a_set_that_repeats(w: World) -> Iterator[str]:
    _with_set(w, rules=[{"repeat": 2}])
    yield "Write it behind the add, where it sees all samples"
    _with_set(w)
    w.plan["splits"]["chosen"].append({"repeat": 2})


@case
def a_rule_of_a_set_that_reads_no_column(w: World) -> Iterator[str]:
    _with_set(w, rules=[{"dedup": {"epsilon": 0.1}}])
    yield "which is no column of the set; it has: {}. Name one of these, or take the rule out"
    _with_set(w)


@case
def a_rule_of_a_set_that_is_none(w: World) -> Iterator[str]:
    _with_set(w, rules=[{"random": {"keep": 3}, "scale": 2}])
    yield "a rule is a map of its name to its options, such as {random: {keep: 100}}"
    _with_set(w, rules=[{"random": {"keep": 3}}])


@case
def a_set_that_is_added_twice(w: World) -> Iterator[str]:
    _with_set(w)
    w.rule({"add": "more"}, {"add": "more"})
    yield "take one of the two out, or put their rules together"
    _with_set(w)


@case
def a_uid_on_both_sides(w: World) -> Iterator[str]:
    _with_set(w, first=0, repeated="error")
    yield "Say repeated: keep or repeated: replace, or take them out by a rule of that set"
    _with_set(w, first=0, repeated="keep")


@case
def a_template_without_a_slot(w: World) -> Iterator[str]:
    _with_set(w, template="a photo")
    yield 'write it once: "a photo of a {class}"'
    _with_set(w, template="a photo of a {class}")


@case
def names_without_a_template(w: World) -> Iterator[str]:
    _with_set(w, names="imagenet-1k")
    yield "give one, or leave them out"
    _with_set(w)


@case
def class_names_that_changed(w: World) -> Iterator[str]:
    names = Path(w.folder / "names.json")
    names.write_text('{"n01": ["dog"]}', encoding="utf-8")
    _with_set(w, template="a {class}", names=str(names), digest="0" * 64)
    yield "Bring the former file back, or leave {}.digest out"
    _with_set(w, template="a {class}", names=str(names))
