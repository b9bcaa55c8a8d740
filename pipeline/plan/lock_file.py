"""plan.lock.yaml: the resolved plan with the fingerprints of what it read."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from indexes.errors import OutputError, PlanError
from pipeline.documents.yaml_safe import Document, dump_yaml, load_yaml
from pipeline.plan.loading import build_plan
from pipeline.plan.model import Plan
from pipeline.sets.source import Source
from pipeline.stores.brought_sets import set_place

_HEAD = "# The plan as it was run, with nothing left to be understood. Written by nearfar; do not edit.\n"
_DIGEST = "# sha256 of the lines above: "


@dataclass(frozen=True, slots=True)
class Lock:
    """What a lock file holds."""

    plan: Plan
    fingerprints: dict[str, Any]


def dump_lock(plan: Plan, fingerprints: Mapping[str, Any]) -> str:
    """Write the lock file's YAML; `fingerprints` holds text, numbers, lists and maps by name.

    The same plan and fingerprints always give the same bytes. The last line is a digest of those before it.
    """
    text = _HEAD + dump_yaml({"plan": _placed(plan).written(), "fingerprints": _sorted(fingerprints)})
    return f"{text}{_DIGEST}{_sha256(text)}\n"


def is_damaged(path: str | Path) -> bool:
    """Say whether a lock file does not agree with its last line; those of earlier versions have no such line."""
    text, mark, digest = Path(path).read_text(encoding="utf-8", errors="replace").rpartition(_DIGEST)
    return bool(mark) and digest != f"{_sha256(text)}\n"


def load_lock(path: str | Path) -> Lock:
    """Read the lock file at `path`.

    Raises:
        OutputError: If it is not there, is no lock file of nearfar, was changed since it was written, or holds a plan
            that this version does not take.
    """
    if Path(path).is_file() and is_damaged(path):
        raise OutputError(
            f"{path} is not what was written: its sha256 differs. Run the plan again, which writes it again; "
            "what is committed stands"
        )
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


def _placed(plan: Plan) -> Plan:
    """Name sets that were brought from a store by their addresses, which hold on any machine."""
    sets = plan.sources_by_place().items()
    return plan.with_sets({place: source.model_copy(update=_places(source)) for place, source in sets})


def _places(source: Source) -> dict[str, str | None]:
    images = source.images
    return {"path": set_place(source.path), "images": None if images is None else set_place(images)}


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _sorted(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _sorted(value[key]) for key in sorted(value)}
    return [_sorted(item) for item in value] if isinstance(value, list | tuple) else value
