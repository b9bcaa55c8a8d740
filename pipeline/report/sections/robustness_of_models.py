"""Effective robustness of the models whose results a user brings."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from curation.kernels.robustness import LINES, VAL, RobustnessLine
from pipeline.plan.user_tables import ModelResults, read_results
from pipeline.report.drawing.axes import Chart
from pipeline.report.drawing.plots import Axis, Trace, plot
from pipeline.report.drawing.text import count
from pipeline.report.sections._look import Look
from pipeline.report.sections._panel import Charts, LeftOut, Panel, Paragraph, Piece, Sheet, rounded

TITLE, PLACE = "Effective robustness", 90
NEEDS: tuple[str, ...] = ()

ABOUT = (
    "ρ is the accuracy under a shift minus what standard ImageNet models have there at the same accuracy without it, "
    "by the published lines through logit accuracies (arXiv 2205.01397). V2 and Sketch are predicted from ImageNet's "
    "validation set, R, A and ObjectNet from their own classes of it. The 95 % interval is that of drawing the images."
)


def say(look: Look) -> Panel | LeftOut:
    """Set each model beside the line of each shift that its results tell of."""
    if look.request.results is None:
        return LeftOut("the plan names no table of models' results (audit.results)")
    models = read_results(look.request.results)
    found = [(shift, list(_under(shift, models))) for shift in dict.fromkeys(line.shift for line in LINES)]
    shown = [(shift, rows) for shift, rows in found if rows]
    if not shown:
        return LeftOut(
            "no model has an accuracy within (0, 100) % both under a shift and without it, where a line holds"
        )
    numbers = {shift: [_numbers(model, line, x, y) for model, line, x, y in rows] for shift, rows in shown}
    missing = [_missing(shift) for shift, rows in found if not rows]
    pieces: list[Piece] = [Charts([_chart(shift, rows) for shift, rows in shown])]
    pieces += [_sheet(shift, numbers[shift]) for shift, _ in shown]
    pieces += [Paragraph(f"Left out: {'; '.join(missing)}.")] if missing else []
    return Panel(ABOUT, {"models": len(models), "shifts": numbers}, pieces)


_Found = tuple[str, RobustnessLine, float, float]


def _under(shift: str, models: list[ModelResults]) -> Iterator[_Found]:
    """List `(model, line, accuracy without the shift, accuracy under it)`, where a line holds."""
    for model in models:
        for line in LINES:
            x, y = model.accuracies.get(line.against), model.accuracies.get(shift)
            if line.shift == shift and x is not None and y is not None and line.holds(x):
                yield model.model, line, x, y


def _missing(shift: str) -> str:
    line = next(line for line in LINES if line.shift == shift)
    return f"{shift}, for which no model has {shift} and {line.against} where its line holds"


def _numbers(model: str, line: RobustnessLine, x: float, y: float) -> dict[str, Any]:
    rho, half = line.effective(x, y)
    return {
        "model": model,
        "against": line.against,
        "accuracy": rounded(x),
        "under_shift": rounded(y),
        "expected": rounded(line.expected(x)),
        "rho": rounded(rho),
        "half_width_95": rounded(half),
    }


def _sheet(shift: str, rows: list[dict[str, Any]]) -> Sheet:
    ordered = sorted(rows, key=lambda row: (-row["rho"], row["model"]))
    lines = [
        (
            row["model"],
            *(f"{row[key]:.2f}" for key in ("accuracy", "under_shift", "expected")),
            f"{row['rho']:+.2f} ± {row['half_width_95']:.2f}".replace("-", "\u2212"),
        )
        for row in ordered
    ]
    against = "ImageNet" if rows[0]["against"] == VAL else rows[0]["against"]
    heads = ("Model", f"{against}, %", f"{shift}, %", "Expected, %", "ρ, points")
    return Sheet(f"{shift}: {count(len(rows))} models", heads, lines, more=10)


def _chart(shift: str, rows: list[_Found]) -> Chart:
    """Draw models beside the line, both axes by logit."""
    xs, ys = [x for _, _, x, _ in rows], [y for *_, y in rows if 0 < y < 100]
    lines = [line for line in LINES if line.shift == shift]
    low, high = max(min(xs) - 3, 0.5), min(max(xs) + 3, 99.5)
    traces = []
    for line in lines:
        start, stop = max(low, line.low + 1e-6), min(high, line.high)
        if start < stop:
            at = [start + (stop - start) * step / 60 for step in range(61)]
            traces.append(Trace("standard models", "ref", [(x, line.expected(x)) for x in at]))
    bounds = [y for trace in traces for _, y in trace.points] + ys
    models = [(name, x, y) for name, _, x, y in rows if 0 < y < 100]
    said = [f"{name}: {x:.2f} %, {y:.2f} %" for name, x, y in models]
    traces.append(Trace("models", "s1", [(x, y) for _, x, y in models], said))
    across = Axis(f"% on {rows[0][1].against}", bounds=(low, high), logits=True)
    up = Axis(f"% on {shift}", bounds=(min(bounds), max(bounds)), logits=True)
    return plot(shift, across, up, traces)
