"""Domains: what held-out labels prove of them, their shares in the pool and in splits, and samples of each."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from curation.expressions import quoted
from pipeline.report.drawing.text import count, percent
from pipeline.report.drawing.thumbnails import ROW_EDGE, Thumbnail
from pipeline.report.request import MeasureFiles
from pipeline.report.sections._look import Look
from pipeline.report.sections._panel import Gallery, Panel, Piece, Sheet, Strip, rounded

TITLE, PLACE = "Domains", 65
NEEDS = ("domain.taken", "domain.probability")
TABLES = ("domain:proof",)
AMBIGUOUS = "ambiguous"
PICTURES = 6

ABOUT = (
    "A sample is taken as its most probable domain where that reaches the domain's threshold, the lowest level that "
    "held-out labels prove: Wilson's 95 % lower bound of the share that is right there is at least what the plan asks "
    "for. Other samples are ambiguous. Of each domain the surest and the least sure of those taken are shown."
)
_PROOF = """
SELECT domain, any_value(learned), any_value(held), any_value(threshold), any_value(taken), any_value("right"),
any_value(bound) FROM read_parquet($proof) GROUP BY domain ORDER BY domain
"""
_POOL = "SELECT taken, count(*) FROM read_parquet($values) WHERE taken IS NOT NULL GROUP BY taken"
_SPLIT = """
SELECT taken, count(*) FROM read_parquet($values) JOIN (SELECT uid FROM read_parquet($kept)) USING (uid)
WHERE taken IS NOT NULL GROUP BY taken
"""
_SHOWN = """
SELECT taken, uid, sureness FROM
(SELECT taken, uid, list_max([{probabilities}]) AS sureness FROM read_parquet($values) WHERE taken IS NOT NULL)
QUALIFY row_number() OVER (PARTITION BY taken ORDER BY sureness {order}, uid) <= {pictures}
ORDER BY taken, sureness DESC, uid
"""


def say(look: Look) -> Panel:
    """Look at each measure `domain` of the plan."""
    numbers: dict[str, Any] = {}
    pieces: list[Piece] = []
    for measure in look.measures("domain", "taken", "probability"):
        proof = {row[0]: row[1:] for row in look.rows(_PROOF, proof=measure.tables["proof"])}
        names = [*proof, *([AMBIGUOUS] if AMBIGUOUS not in proof else [])]
        shares: dict[str, dict[str, int]] = {"pool": dict(look.rows(_POOL, values=measure.parts))}
        for split in look.splits:
            shares[split.name] = dict(look.rows(_SPLIT, values=measure.parts, kept=split.parts))
        numbers[measure.name] = {
            "precision": measure.options.get("precision"),
            "proof": {name: _proven(row) for name, row in proof.items()},
            "taken": {of: {name: found.get(name, 0) for name in names} for of, found in shares.items()},
        }
        pieces += _sheets(measure, numbers[measure.name])
        pieces.append(Gallery(f"Samples by {measure.name}", list(_strips(look, measure, list(proof)))))
    return Panel(ABOUT, numbers, pieces)


def _proven(row: tuple[Any, ...]) -> dict[str, Any]:
    learned, held, threshold, taken, right, bound = row
    found = {"learned": learned, "held": held, "threshold": rounded(threshold), "held_taken": taken}
    return found | {"held_right": right, "bound": rounded(bound)}


def _sheets(measure: MeasureFiles, of: dict[str, Any]) -> Iterator[Piece]:
    heads = ("Domain", "Labels learned", "Held out", "Threshold", "Of these taken", "Right", "Lower bound")
    rows = [
        (
            name,
            count(row["learned"]),
            count(row["held"]),
            "none proven" if row["threshold"] is None else f"{row['threshold']:.4f}",
            count(row["held_taken"]),
            count(row["held_right"]),
            f"{row['bound']:.4f}",
        )
        for name, row in of["proof"].items()
    ]
    yield Sheet(f"{measure.name}: precision of at least {of['precision']} asked for", heads, rows)
    names = list(of["taken"]["pool"])
    shares = [(split, *_cells(found, names)) for split, found in of["taken"].items()]
    yield Sheet("Samples by domain, before and after each split", ("Samples of", *names), shares)


def _cells(found: dict[str, int], names: list[str]) -> tuple[str, ...]:
    whole = sum(found.values())
    return tuple(f"{count(found[name])} ({percent(found[name] / whole)})" if whole else "0" for name in names)


def _strips(look: Look, measure: MeasureFiles, domains: list[str]) -> Iterator[Strip]:
    each = ", ".join(f"probability.{quoted(name)}" for name in domains)
    half = PICTURES // 2
    surest, least = (
        look.rows(_SHOWN.format(probabilities=each, order=order, pictures=half), values=measure.parts)
        for order in ("DESC", "ASC")
    )
    pictures = look.pictures([uid for _, uid, _ in (*surest, *least)], ROW_EDGE)
    none = Thumbnail(reason="no image")
    for name in sorted({of for of, _, _ in surest}):
        own = dict.fromkeys((uid, sure) for of, uid, sure in (*surest, *least) if of == name)
        shown = [(pictures.get(uid, none), f"{sure:.3f}") for uid, sure in own]
        yield Strip(name, f"the surest {half} and the least sure", shown)
