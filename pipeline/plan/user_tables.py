"""Tables that a user brings for the report: accuracies by class, and models' results under shifts, as CSV."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from curation.kernels.robustness import LINES, OBJECTNET, SKETCH, V2, VAL, A, R
from indexes.errors import PlanError

CLASS, ACCURACY, MODEL, PREDICTIONS = "class", "accuracy", "model", "predictions"
_ALSO = {
    MODEL: ("name",),
    VAL: ("imagenet", "ImageNet 1k"),
    V2: ("imagenet_v2", "ImageNet v2"),
    SKETCH: ("imagenet_sketch", "ImageNet Sketch"),
    R: ("imagenet_r", "ImageNet-R"),
    A: ("imagenet_a", "ImageNet-A"),
    OBJECTNET: ("objectnet", "ObjectNet"),
}
"""Other names of a column: those of this repository's benchmarks, and of open_clip's table of results."""
_PRETRAINED = "pretrained"
_RESULTS = tuple(dict.fromkeys((VAL, *(name for line in LINES for name in (line.against, line.shift)))))


@dataclass(frozen=True, slots=True)
class ClassAccuracy:
    """How well a model does on a class.

    Attributes:
        model: The model; empty where the table has none.
        of: The class: its id or one of its names.
        accuracy: In percent.
        predictions: How often the model says this class; None where the table does not have it.
    """

    model: str
    of: str
    accuracy: float
    predictions: float | None


@dataclass(frozen=True, slots=True)
class ModelResults:
    """A model's accuracies in percent, by the names of imagenet-testbed's columns; empty cells are left out."""

    model: str
    accuracies: Mapping[str, float]


def read_accuracies(path: str, where: str = "audit.accuracies") -> list[ClassAccuracy]:
    """Read a CSV with the columns `class` and `accuracy`, and maybe `model` and `predictions`.

    Accuracies are percentages, or shares where none of them is above 1.

    Raises:
        PlanError: If it cannot be read, lacks a column, or a number is none.
    """
    rows = _rows(path, where)
    names = _columns(rows, (CLASS, ACCURACY, MODEL, PREDICTIONS))
    lacking = [name for name in (CLASS, ACCURACY) if name not in names]
    if lacking or not rows:
        raise PlanError(
            f"{where}: '{path}' has {_has(rows)}; it needs a header with the columns class and accuracy, and may have "
            "model and predictions, then a line for each class. Correct its header"
        )
    factor = _factor([_number(row, names[ACCURACY], path, where, line) for line, row in enumerate(rows, 2)])
    found = []
    for line, row in enumerate(rows, 2):
        accuracy = _number(row, names[ACCURACY], path, where, line)
        said = _number(row, names[PREDICTIONS], path, where, line) if PREDICTIONS in names else None
        if accuracy is not None:
            _check_percent(accuracy * factor, path, where, line, names[ACCURACY])
            model = (row.get(names.get(MODEL, "")) or "").strip()
            found.append(ClassAccuracy(model, (row[names[CLASS]] or "").strip(), accuracy * factor, said))
    return found


def read_results(path: str, where: str = "audit.results") -> list[ModelResults]:
    """Read a CSV with a line for each model, and accuracies on ImageNet and its shifts.

    Columns are called as imagenet-testbed or open_clip's table of results call them, or as this repository's
    benchmarks; others are left alone. Accuracies are percentages, or shares where none of them is above 1.

    Raises:
        PlanError: If it cannot be read, or has no model, no accuracy without a shift, or none under one.
    """
    rows = _rows(path, where)
    names = _columns(rows, (MODEL, *_RESULTS))
    usable = any(line.against in names and line.shift in names for line in LINES)
    if MODEL not in names or not usable or not rows:
        wanted = "; ".join(dict.fromkeys(f"{line.shift} with {line.against}" for line in LINES))
        raise PlanError(
            f"{where}: '{path}' has {_has(rows)}; it needs a header with the column model, and one pair of {wanted} "
            "(imagenet or 'ImageNet 1k' means val), then a line for each model. Correct its header"
        )
    read = [
        {key: _number(row, names[key], path, where, line) for key in _RESULTS if key in names}
        for line, row in enumerate(rows, 2)
    ]
    factor = _factor([value for one in read for value in one.values()])
    found = []
    for line, (row, one) in enumerate(zip(rows, read, strict=True), 2):
        accuracies = {key: value * factor for key, value in one.items() if value is not None}
        for key, value in accuracies.items():
            _check_percent(value, path, where, line, names[key])
        found.append(ModelResults(_model(row, names[MODEL]), accuracies))
    return found


def _model(row: Mapping[str, str | None], column: str) -> str:
    weights = (row.get(_PRETRAINED) or "").strip()
    return f"{(row[column] or '').strip()} {weights}".strip()


def _rows(path: str, where: str) -> list[dict[str, str | None]]:
    try:
        with Path(path).open(encoding="utf-8-sig", newline="") as file:
            return [{key: row[key] for key in row if isinstance(key, str)} for row in csv.DictReader(file)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise PlanError(
            f"{where}: '{path}' cannot be read as CSV in UTF-8 ({why}); name a CSV file with a header"
        ) from None


def _columns(rows: Sequence[Mapping[str, str | None]], wanted: Sequence[str]) -> dict[str, str]:
    """Find the columns there are, by the name that they go by here; a column's case does not count."""
    there = {name.strip().casefold(): name for name in (rows[0] if rows else ())}
    found: dict[str, str] = {}
    for name in wanted:
        for called in (name, *_ALSO.get(name, ())):
            if called.casefold() in there:
                found.setdefault(name, there[called.casefold()])
    return found


def _has(rows: Sequence[Mapping[str, str | None]]) -> str:
    return f"the columns {', '.join(rows[0])[:400]}" if rows else "no line below its header"


def _number(row: Mapping[str, str | None], column: str, path: str, where: str, line: int) -> float | None:
    text = (row[column] or "").strip()
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise PlanError(
            f"{where}: '{path}', line {line}: {column} is {text[:80]!r}; write a number, or leave the cell empty"
        )
    return value


def _factor(values: Sequence[float | None]) -> float:
    return 100.0 if all(value is None or value <= 1 for value in values) else 1.0


def _check_percent(value: float, path: str, where: str, line: int, column: str) -> None:
    if not 0 <= value <= 100:
        raise PlanError(
            f"{where}: '{path}', line {line}: {column} is {value:g} %; an accuracy is from 0 to 100 %, or from 0 to 1 "
            "in all lines. Correct the line"
        )
