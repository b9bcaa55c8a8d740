"""What pydantic finds wrong, said in the house form: where, what, got, allowed, what to do."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from pipeline.documents.yaml_safe import Document, Mark, Place

_SHOWN = 5


def place_text(place: Place) -> str:
    """Write a place as users do: `splits.sketch_pruned[0].near.to`."""
    text = ""
    for part in place:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text or "the document"


def closest(got: str, names: Iterable[str]) -> str:
    """Ask "Did you mean 'x'?" for the name most like `got`, or an empty text if none is."""
    found = difflib.get_close_matches(got, list(names), n=1, cutoff=0.6)
    return f"Did you mean '{found[0]}'?" if found else ""


def mark_named_in(message: str, place: Place, document: Document) -> Mark:
    """Find the mark of what `message` names below `place`, or of `place` itself if it names nothing there."""
    below = [known for known in document.marks if known[: len(place)] == place and len(known) > len(place)]
    named = [known for known in below if f"'{known[-1]}'" in message or place_text(known) in message]
    return document.mark(max(named, key=len, default=place))


def explain(
    failure: ValidationError,
    model: type[BaseModel],
    document: Document,
    before: Iterable[tuple[Place, str]] = (),
) -> str:
    """Say what is wrong, one line for each problem, with the file, line and column of each.

    Args:
        failure: What pydantic found.
        model: What it was to be.
        document: Where it is written.
        before: Further problems, each with its place, which are told first.
    """
    lines = [placed(place, said, document) for place, said in before]
    lines += [_explain_one(problem, model, document) for problem in failure.errors(include_url=False)]
    more = [f"... and {len(lines) - _SHOWN} more"] if len(lines) > _SHOWN else []
    return "\n".join(lines[:_SHOWN] + more)


def placed(place: Place, said: str, document: Document | None) -> str:
    """Put before a sentence the place that it speaks of, with file, line and column where there is a document."""
    mark = f"{document.mark(place)}: " if document else ""
    return f"{mark}{place_text(place)}: {said}"


def _explain_one(problem: ErrorDetails, model: type[BaseModel], document: Document) -> str:
    place: Place = tuple(part for part in problem["loc"] if part != "[key]")
    parent = _model_at(model, place[:-1]) if place else None
    said = sentence(problem, str(place[-1]) if place else "", parent)
    return placed(place, said, document)


def sentence(problem: ErrorDetails, key: str, parent: type[BaseModel] | None) -> str:
    """Word one of pydantic's problems with the value at `key` of a model; the place is the caller's to say."""
    got, kind = problem["input"], problem["type"]
    fields = parent.model_fields if parent else {}
    description = (fields[key].description or "") if key in fields else ""
    if kind == "extra_forbidden":
        names = sorted(fields)
        return f"unknown key '{key}'; the keys here are: {', '.join(names)}. {closest(key, names)}".rstrip()
    if kind == "missing":
        return f"the key '{key}' is missing; add it ({description.rstrip('.') or 'it has no default'})"
    if kind == "string_type" and isinstance(got, bool | int | float):
        shown = str(got).lower() if isinstance(got, bool) else got
        return f"got {shown}, which is not text; quote it if it is meant: '{shown}'"
    if kind == "value_error":
        return str(problem["ctx"]["error"])
    hint = f" ({description.rstrip('.')})" if description else ""
    return f"got {_shorten(got)}; {_lower(problem['msg'])}{hint}"


def _shorten(got: Any) -> str:
    text = "nothing" if got is None else repr(got)
    return text if len(text) <= 80 else text[:77] + "..."


def _lower(message: str) -> str:
    return re.sub(r"^(Input|String|Dictionary|List|Value) should", "it should", message)


def _model_at(model: Any, place: Place) -> type[BaseModel] | None:
    """Walk from `model` along `place` to the model that has the last key."""
    annotation: Any = model
    for part in place:
        annotation = _step(annotation, part)
    return _as_model(annotation)


def _step(annotation: Any, part: str | int) -> Any:
    model = _as_model(annotation)
    if model is not None:
        return model.model_fields[str(part)].annotation if str(part) in model.model_fields else None
    return get_args(annotation)[1] if get_origin(annotation) is dict else None


def _as_model(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if get_origin(annotation) in (dict, tuple, list):
        return None
    models = (_as_model(argument) for argument in get_args(annotation))
    return next((model for model in models if model is not None), None)
