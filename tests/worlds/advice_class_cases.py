"""Situations that are answered with advice: what goes wrong where a file or a set says how many of each class stay."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from advice_cases import World, case


def _counted(w: World, content: str) -> Path:
    """Give the plan a split that keeps as many of each class as a file says."""
    w.pool_of({"url": ["u", "v", "w"], "kind": ["a", "b", "c"]})
    path = w.folder / "counts.json"
    path.write_text(content, encoding="utf-8")
    w.rule({"class-balance": {"by": "kind", "counts": str(path)}})
    return path


def _listed(w: World, content: str) -> Path:
    """The same with a class list."""
    names = w.folder / "names.json"
    names.write_text('{"n1": ["a", "b"], "n2": ["b", "c"]}', encoding="utf-8")
    path = _counted(w, content)
    w.plan["splits"]["chosen"][0]["class-balance"]["names"] = str(names)
    return path


@case
def a_count_without_a_class(w: World) -> Iterator[str]:
    path = _counted(w, "a\t1\n\t2\n")
    yield "has an empty class name; name the class, or take the line out"
    path.write_text("a\t1\n", encoding="utf-8")


@case
def a_class_with_two_counts(w: World) -> Iterator[str]:
    path = _counted(w, '{"a": 1, "a": 2}')
    yield "twice; give each class one number"
    path.write_text('{"a": 2}', encoding="utf-8")


@case
def a_count_that_is_none(w: World) -> Iterator[str]:
    path = _counted(w, '{"a": 1.5}')
    yield "write a whole number from 0 to 10^15"
    path.write_text('{"a": 1}', encoding="utf-8")


@case
def counts_that_are_not_there(w: World) -> Iterator[str]:
    path = _counted(w, '{"a": 1}')
    path.unlink()
    yield "name a file of counts: "
    path.write_text("a\t1\nb\t0\n", encoding="utf-8")


@case
def a_class_that_several_are_called(w: World) -> Iterator[str]:
    path = _listed(w, '{"b": 1}')
    yield "which says no class of {}, or several; write its id or its position"
    path.write_text('{"n2": 1, "0": 1}', encoding="utf-8")


@case
def one_class_in_two_ways(w: World) -> Iterator[str]:
    path = _listed(w, '{"n1": 1, "a": 2}')
    yield "twice, as {} and as {}; give each class one number"
    path.write_text('{"n1": 1, "c": 2}', encoding="utf-8")


@case
def a_set_to_fill_from_that_is_not_there(w: World) -> Iterator[str]:
    _counted(w, '{"a": 1}')
    w.plan["sources"] = {"more": {"path": str(w.folder / "one")}}
    options = w.plan["splits"]["chosen"][0]["class-balance"] | {"fill_by": "caption", "nearest": "width"}
    w.rule({"class-balance": options | {"fill": "most"}})
    yield "Name one of these, or add it under sources"
    w.rule({"class-balance": options | {"fill": w.said.split("it has: ")[1].split(".")[0]}})


@case
def a_fill_of_no_target(w: World) -> Iterator[str]:
    _counted(w, '{"a": 1}')
    w.plan["sources"] = {"more": {"path": str(w.folder / "one")}}
    options = {"by": "kind", "per_class": 1, "fill": "more", "fill_by": "caption", "nearest": "width"}
    w.rule({"class-balance": options})
    yield "fill goes with counts or like; give that too, or leave fill out"
    w.rule({"class-balance": {"by": "kind", "per_class": 1}})


@case
def a_set_whose_captions_two_rules_compare_with_other_classes(w: World) -> Iterator[str]:
    _counted(w, '{"a": 1}')
    w.plan["sources"] = {"more": {"path": str(w.folder / "one")}}
    options = w.plan["splits"]["chosen"][0]["class-balance"] | {"fill": "more"}
    rules = [{"class-balance": options | {"fill_by": column}} for column in ("caption", "url")]
    w.plan["splits"] = {"first": rules[:1], "second": rules[1:]}
    yield "give one of them a `nearest` of its own"
    for rule in rules:
        rule["class-balance"]["nearest"] = "width"
