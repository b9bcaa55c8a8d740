"""plan.lock.yaml: the resolved plan with the fingerprints of what it read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from indexes.errors import OutputError, PlanError
from pipeline.documents.yaml_safe import Document, dump_yaml, load_yaml
from pipeline.plan.loading import build_plan
from pipeline.plan.model import Plan

_HEAD = "# The plan as it was run, with nothing left to be understood. Written by nearfar; do not edit.\n"


@dataclass(frozen=True, slots=True)
class Lock:
    """What a lock file holds."""

    plan: Plan
    fingerprints: dict[str, Any]


def dump_lock(plan: Plan, fingerprints: Mapping[str, Any]) -> str:
    """Write the lock file's YAML; `fingerprints` holds text, numbers, lists and maps by name.

    The same plan and fingerprints always give the same bytes.
    """
    return _HEAD + dump_yaml({"plan": plan.written(), "fingerprints": _sorted(fingerprints)})


def load_lock(path: str | Path) -> Lock:
    """Read the lock file at `path`.

    Raises:
        OutputError: If it is not there, is no lock file of nearfar, or holds a plan that this version does not take.
    """
    document = load_yaml(path, what="lock file", error=OutputError)
    value = document.value
    if not isinstance(value, dict) or set(value) != {"plan", "fingerprints"}:
        raise OutputError(f"{path}: this is no lock file of nearfar; give another output folder")
    held = value["fingerprints"] or {}
    if not isinstance(held, dict):
        raise OutputError(f"{path}: fingerprints is {held!r}, not a map; give another output folder")
    marks = {place[1:]: mark for place, mark in document.marks.items() if place[:1] == ("plan",)}
    try:
        plan = build_plan(Document(value["plan"], document.source, marks))
    except PlanError as failure:
        raise OutputError(
            f"{failure}\n{path} was written by another version of nearfar, or changed since. Run the plan again into "
            "another output folder"
        ) from failure
    return Lock(plan, held)


def _sorted(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _sorted(value[key]) for key in sorted(value)}
    return [_sorted(item) for item in value] if isinstance(value, list | tuple) else value
