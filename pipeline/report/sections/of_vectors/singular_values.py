"""Singular values and condition numbers of splits, beside those of the pool and of random samples as large."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pipeline.report.drawing.plots import STYLES, Axis, Trace, plot
from pipeline.report.drawing.text import count
from pipeline.report.sections._look import Look
from pipeline.report.sections._panel import Charts, LeftOut, Panel, Piece, Sheet, rounded

TITLE, PLACE = "Spectrum", 85
NEEDS: tuple[str, ...] = ()
NAMES = {"image": "image embeddings", "text": "text embeddings", "cross": "cross-covariance"}
NUMBERS = (
    "samples",
    "width",
    "rank",
    "tolerance",
    "effective_rank",
    "r",
    "condition",
    "uniformity",
    "mean_paired",
    "mean_unpaired",
    "modality_gap",
)

ABOUT = (
    "Singular values of centred embeddings over √n, and of the centred cross-covariance of images and captions. The "
    "condition number is s_1 / s_r; the effective rank is exp of the entropy of the values over their sum. A split is "
    "set beside a random sample of its size, since fewer samples alone change a spectrum. Uniformity is the logarithm "
    "of the mean of exp(−2 ‖x − y‖²) over drawn pairs, lower is more even; the modality gap is the distance between "
    "the mean image and the mean caption."
)
_SUMMARY = f'SELECT population, "of", {", ".join(NUMBERS)} FROM read_parquet($summary)'  # noqa: S608
_VALUES = """
SELECT population, rank, singular_value FROM read_parquet($values) WHERE "of" = '{of}' AND singular_value > 0
ORDER BY population, rank
"""


def say(look: Look) -> Panel | LeftOut:
    """Show what the plan's `audit.spectra` asked for."""
    if not look.request.spectra:
        return LeftOut("the plan names no splits under audit.spectra")
    summary, values = ((path,) for path in look.request.spectra)
    numbers: dict[str, dict[str, Any]] = {}
    for population, of, *found in look.rows(_SUMMARY, summary=summary):
        named = zip(NUMBERS, found, strict=True)
        numbers.setdefault(of, {})[population] = {
            name: value if isinstance(value, int) else rounded(value) for name, value in named
        }
    if not numbers:
        return LeftOut("no sample has the embeddings that a spectrum is of")
    pieces = [piece for of in numbers for piece in _pieces(look, of, numbers[of], values)]
    return Panel(ABOUT, numbers, pieces)


def _pieces(look: Look, of: str, numbers: dict[str, Any], values: tuple[str, ...]) -> Iterator[Piece]:
    heads = ("Population", "Samples", "Rank", "Effective rank", "s_1 / s_r", "r", "Uniformity")
    more = ("Paired cosine", "Unpaired", "Modality gap") if of == "cross" else ()
    rows = [_row(name, each, of) for name, each in numbers.items()]
    yield Sheet(NAMES[of], (*heads, *more), rows)
    lines: dict[str, list[tuple[float, float]]] = {}
    for population, rank, value in look.rows(_VALUES.format(of=of), values=values):
        lines.setdefault(population, []).append((float(rank), float(value)))
    styles = {name: "pool" if name == "pool" else STYLES[n % len(STYLES)] for n, name in enumerate(numbers)}
    traces = [Trace(name, styles[name], lines[name]) for name in numbers if name in lines]
    if traces:
        yield Charts(
            [plot(f"Singular values of {NAMES[of]}", Axis("rank", whole=True), Axis("value"), traces)]
        )


def _row(name: str, of: dict[str, Any], what: str) -> tuple[str, ...]:
    shown = (of["effective_rank"], of["condition"])
    cells = (name, count(of["samples"]), count(of["rank"]), *(_number(value) for value in shown))
    cells = (*cells, count(of["r"]), _number(of["uniformity"]))
    if what != "cross":
        return cells
    return (*cells, *(_number(of[key]) for key in ("mean_paired", "mean_unpaired", "modality_gap")))


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.4g}"
