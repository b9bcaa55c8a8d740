"""plan.lock.yaml: the resolved plan with the fingerprints of what it read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from indexes.errors import OutputError
from pipeline.plan.loading import build_plan
from pipeline.plan.model import Plan
from pipeline.plan.yaml_safe import Document, dump_yaml, load_yaml

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
        OutputError: If it is not there, or is no lock file of nearfar.
        PlanError: If the plan in it is one that this version does not take.
    """
    document = load_yaml(path, what="lock file", error=OutputError)
    value = document.value
    if not isinstance(value, dict) or set(value) != {"plan", "fingerprints"}:
        raise OutputError(f"{path}: this is no lock file of nearfar; give another output folder")
    marks = {place[1:]: mark for place, mark in document.marks.items() if place[:1] == ("plan",)}
    return Lock(build_plan(Document(value["plan"], document.source, marks)), value["fingerprints"] or {})


def _sorted(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _sorted(value[key]) for key in sorted(value)}
    return [_sorted(item) for item in value] if isinstance(value, list | tuple) else value
