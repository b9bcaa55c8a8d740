"""`--set key=value`: a value of the plan given on the command line, read as safely as the file."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from indexes.errors import PlanError
from pipeline.documents.yaml_safe import Document, Mark, Place, parse_yaml

_STEP = re.compile(r"([^.\[\]]+)((?:\[\d{1,6}\])*)")


def apply_overrides(document: Document, overrides: Sequence[str]) -> None:
    """Put each `key=value` of `overrides` into `document`, in order.

    A key is a place as messages write it (`pool.path`, `splits.a[0].near.keep`); a value is YAML. Names that are in the
    document may hold dots: where there is a benchmark `v1.0`, `benchmarks.v1.0.path` means its path.

    Raises:
        PlanError: If an override has no such form, or its key leads through a value that is no map or list.
    """
    for override in overrides:
        source = f"--set {override}"
        key, equals, text = override.partition("=")
        if not equals:
            raise PlanError(f"{source}: it has no '='; write it like --set pool.path=my_pool")
        place = _with_dotted_names(_parse_place(key.strip(), source), document.value)
        value = parse_yaml(text, source).value if text.strip() else None
        document.value = _put(document.value, place, value, source)
        _remark(document, place, source)


def _parse_place(key: str, source: str) -> Place:
    place: list[str | int] = []
    for step in key.split("."):
        match = _STEP.fullmatch(step)
        if match is None:
            raise PlanError(f"{source}: '{key}' is no key; write it like pool.path or splits.a[0].near.keep")
        place.append(match[1])
        place.extend(int(index) for index in re.findall(r"\d+", match[2]))
    return tuple(place)


def _with_dotted_names(place: Place, holder: Any) -> Place:
    """Join steps that together are one key of the map they lead into; the longest such key is meant."""
    joined: list[str | int] = []
    while place:
        taken = next((n for n in range(len(place), 1, -1) if _is_key(place[:n], holder)), 1)
        step = place[0] if taken == 1 else ".".join(map(str, place[:taken]))
        joined.append(step)
        holder, place = _inside(holder, step), place[taken:]
    return tuple(joined)


def _is_key(steps: Place, holder: Any) -> bool:
    texts = [step for step in steps if isinstance(step, str)]
    return len(texts) == len(steps) and isinstance(holder, dict) and ".".join(texts) in holder


def _inside(holder: Any, step: str | int) -> Any:
    if isinstance(step, int):
        return holder[step] if isinstance(holder, list) and step < len(holder) else None
    return holder.get(step) if isinstance(holder, dict) else None


def _put(holder: Any, place: Place, value: Any, source: str) -> Any:
    """Copy `holder` with `value` at `place`; maps on the way are made where there are none."""
    if not place:
        return value
    step, rest = place[0], place[1:]
    if isinstance(step, int):
        if not isinstance(holder, list) or step >= len(holder):
            held = f"a list of {len(holder)}" if isinstance(holder, list) else "no list"
            raise PlanError(f"{source}: there is {held} where [{step}] is asked for; positions begin at 0")
        return [_put(item, rest, value, source) if at == step else item for at, item in enumerate(holder)]
    if holder is None:
        holder = {}
    if not isinstance(holder, dict):
        raise PlanError(f"{source}: there is no map to hold '{step}'; it would replace {holder!r}")
    return {**holder, step: _put(holder.get(step), rest, value, source)}


def _remark(document: Document, place: Place, source: str) -> None:
    below = [known for known in document.marks if known[: len(place)] == place]
    for known in below:
        del document.marks[known]
    document.marks[place] = Mark(source)
