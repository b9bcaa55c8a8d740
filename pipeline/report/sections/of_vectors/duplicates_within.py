"""Near-duplicates within benchmarks and the reference: groups with their pictures, and labels that contradict."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from curation.expressions import number
from pipeline.report.drawing.text import count, percent, similarity
from pipeline.report.drawing.thumbnails import ROW_EDGE
from pipeline.report.sections._chains import Chains, follow, strips
from pipeline.report.sections._look import Look, Row
from pipeline.report.sections._panel import Gallery, LeftOut, Panel, Piece, Sheet

TITLE, PLACE = "Near-duplicates within test sets", 25
NEEDS = ()
SHOWN, PICTURES = 6, 4
LISTED = 40
"""Pairs with two labels that are listed of each set."""

ABOUT = (
    "How near each sample of a set comes to another one of the same set. A test set that holds a picture twice counts "
    "it twice, and where the two have different labels, no model can be right on both. Similarity is not identity: "
    "look at the pictures."
)
_COUNTS = """
SELECT count(*), count(*) FILTER (similarity > {soft}), count(*) FILTER (similarity > {hard}) FROM read_parquet($values)
"""
_SAME_BYTES = """
SELECT coalesce(sum(copies - 1), 0)::BIGINT FROM (
    SELECT count(*) AS copies FROM read_parquet($values) WHERE image_sha256 <> '' GROUP BY image_sha256
)
"""
_TWO_LABELS = """
FROM read_parquet($values) AS a JOIN read_parquet($values) AS b ON a.nearest = b.uid
WHERE a.similarity > {soft} AND a.label <> b.label
"""
_LISTED = """
SELECT a.similarity, a.key, a.label, b.key, b.label {pairs} ORDER BY a.similarity DESC, a.uid LIMIT {most}
"""


@dataclass(frozen=True, slots=True)
class _Within:
    """What was found in one set: samples, those above soft and hard, those of known bytes, and pairs of two labels."""

    name: str
    samples: int
    soft: int
    hard: int
    same_bytes: int
    contradicting: int
    listed: list[Row]
    chains: Chains


def say(look: Look) -> Panel | LeftOut:
    """Look at each set that the plan looks at within."""
    if not look.request.alike:
        return LeftOut("the plan's audit.within names no set")
    found = [_within(look, name, path) for name, path in look.request.alike.items()]
    options = look.request.options
    numbers = {
        one.name: {
            "samples": one.samples,
            "above_soft": one.soft,
            "above_hard": one.hard,
            "repeated_files": one.same_bytes,
            "two_labels": one.contradicting,
            "groups": one.chains.groups,
            "in_groups": one.chains.samples,
            "by_size": [[size, groups] for size, groups in one.chains.sizes],
            "largest": [
                {"first": root, "size": size, "others": [uid for uid, _ in one.chains.members.get(root, [])]}
                for root, size in one.chains.largest
            ],
        }
        for one in found
    }
    return Panel(ABOUT, numbers, list(_pieces(look, found, options.soft, options.hard)))


def _within(look: Look, name: str, path: str) -> _Within:
    options, table = look.request.options, (path,)
    levels = {"soft": number(options.soft), "hard": number(options.hard)}
    samples, soft, hard = look.rows(_COUNTS.format(**levels), values=table)[0]
    same = look.rows(_SAME_BYTES, values=table)[0][0]
    pairs = _TWO_LABELS.format(**levels)
    contradicting = look.rows(f"SELECT count(*) {pairs}", values=table)[0][0]
    listed = look.rows(_LISTED.format(pairs=pairs, most=LISTED), values=table)
    chains = follow(look, table, options.soft, SHOWN, PICTURES)
    return _Within(name, samples, soft, hard, same, contradicting, listed, chains)


def _pieces(look: Look, found: list[_Within], soft: float, hard: float) -> Iterator[Piece]:
    heads = (
        "Set",
        "Samples",
        f"Above {soft:g}",
        f"Above {hard:g}",
        "Share",
        "Files again",
        "Groups",
        "Two labels",
    )
    lines = [
        (
            one.name,
            count(one.samples),
            count(one.soft),
            count(one.hard),
            percent(one.soft / max(one.samples, 1)),
            count(one.same_bytes),
            count(one.chains.groups),
            count(one.contradicting),
        )
        for one in found
    ]
    yield Sheet("Samples with a nearer one before them, in the order of their uids", heads, lines)
    for one in found:
        if one.listed:
            rows = [(similarity(value), *(text or "" for text in texts)) for value, *texts in one.listed]
            names = ("Similarity", "Sample", "Label", "Near to", "Label of that")
            yield Sheet(f"{one.name}: near-duplicates with two labels", names, rows, (1, 2, 3, 4))
        if one.chains.largest:
            pictures = look.pictures(one.chains.shown(), ROW_EDGE, one.name)
            yield Gallery(f"{one.name}: largest groups above {soft:g}", list(strips(one.chains, pictures)))
