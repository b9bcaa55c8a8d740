"""Groups of near-duplicates with their pictures, and how much of the pool stays at each ε."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from curation.expressions import number as literal
from curation.rules.by_nearness.dedup import level_of
from pipeline.report.drawing.axes import Chart
from pipeline.report.drawing.plots import Axis, Trace, plot
from pipeline.report.drawing.text import count, percent, similarity
from pipeline.report.drawing.thumbnails import ROW_EDGE, Thumbnail
from pipeline.report.request import MeasureFiles
from pipeline.report.sections._levels import AtLevels, above, at_levels, named_by_rules
from pipeline.report.sections._look import Look
from pipeline.report.sections._panel import Charts, Gallery, Panel, Paragraph, Piece, Sheet, Strip

TITLE, PLACE = "Near-duplicates", 60
NEEDS = ("duplicates.similarity", "duplicates.nearest")
EPSILONS = (0.02, 0.05, 0.124, 0.2)
"""Named beside those of the plan's rules; 0.124 is that of LAION-200M (arXiv 2310.09562)."""
USUAL = 0.124
SHOWN, PICTURES = 12, 4
MOST_LINKS = 4_000_000
"""Above so many near-duplicates, chains are not followed: a group is what has the same nearest sample."""

ABOUT = (
    "A sample is a near-duplicate at ε where an earlier sample of its group has a similarity above 1 − ε; rule dedup "
    "then drops it. Groups follow each sample to the nearest earlier one, down to one that stays. Similarity is not "
    "identity: look at the pictures."
)
_LINKS = """
CREATE OR REPLACE TEMP TABLE links AS SELECT uid, nearest AS root, nearest, similarity
FROM read_parquet($values) WHERE nearest IS NOT NULL AND similarity > {level}
"""
_JUMP = """
CREATE OR REPLACE TEMP TABLE links AS SELECT a.uid, coalesce(b.root, a.root) AS root, a.nearest, a.similarity
FROM links a LEFT JOIN links b ON a.root = b.uid
"""
_CHANGES = "SELECT count(*) FROM links a JOIN links b ON a.root = b.uid"
_SIZES = "SELECT size, count(*) FROM (SELECT count(*) + 1 AS size FROM links GROUP BY root) GROUP BY size ORDER BY size"
_LARGEST = """
SELECT root, count(*) + 1 AS size FROM links GROUP BY root ORDER BY size DESC, root LIMIT {limit}
"""
_MEMBERS = """
SELECT root, uid, similarity FROM links WHERE list_contains($roots, root)
QUALIFY row_number() OVER (PARTITION BY root ORDER BY similarity DESC, uid) < {pictures}
ORDER BY root, similarity DESC, uid
"""


@dataclass(frozen=True, slots=True)
class _Groups:
    """Groups at one ε: how many of each size, and of the largest their first sample, size, and some of the others."""

    epsilon: float
    chained: bool
    sizes: list[tuple[int, int]]
    largest: list[tuple[str, int]]
    members: dict[str, list[tuple[str, float]]]

    @property
    def samples(self) -> int:
        return sum(size * number for size, number in self.sizes)


def say(look: Look) -> Panel:
    """Look at each measure `duplicates` of the plan."""
    numbers: dict[str, Any] = {}
    pieces: list[Piece] = []
    for measure in look.measures("duplicates", "similarity", "nearest"):
        kept = at_levels(look, measure, "similarity", 0.0)
        own = named_by_rules(look, "dedup", "epsilon", measure)
        named = {e: above(look, measure, "similarity", level_of(e)) for e in sorted({*EPSILONS, *own})}
        found = _groups(look, measure, own[0] if own else USUAL)
        numbers[measure.name] = _numbers(kept, named, found)
        pieces += _pieces(look, measure, kept, named, found)
    return Panel(ABOUT, numbers, pieces)


def _groups(look: Look, measure: MeasureFiles, epsilon: float) -> _Groups:
    look.db.execute(_LINKS.format(level=literal(level_of(epsilon))), look.located(values=measure.parts))
    chained = look.rows("SELECT count(*) FROM links")[0][0] <= MOST_LINKS
    # Each round doubles how far a link reaches, so a chain of n takes log2(n) of them.
    while chained and look.rows(_CHANGES)[0][0]:
        look.db.execute(_JUMP)
    largest = look.rows(_LARGEST.format(limit=SHOWN))
    members: dict[str, list[tuple[str, float]]] = {}
    arguments = {"roots": [root for root, _ in largest]}
    for root, uid, value in look.db.execute(_MEMBERS.format(pictures=PICTURES), arguments).fetchall():
        members.setdefault(root, []).append((uid, value))
    return _Groups(epsilon, chained, look.rows(_SIZES), largest, members)


def _numbers(kept: AtLevels, named: dict[float, int], found: _Groups) -> dict[str, Any]:
    return {
        "samples": kept.samples,
        "dropped_at_epsilon": {f"{e:g}": dropped for e, dropped in named.items()},
        "groups": {
            "epsilon": found.epsilon,
            "chains_followed": found.chained,
            "groups": sum(number for _, number in found.sizes),
            "samples": found.samples,
            "by_size": [[size, number] for size, number in found.sizes],
            "largest": [
                {"first": root, "size": size, "others": [uid for uid, _ in found.members.get(root, [])]}
                for root, size in found.largest
            ],
        },
    }


def _pieces(
    look: Look, measure: MeasureFiles, kept: AtLevels, named: dict[float, int], found: _Groups
) -> Iterator[Piece]:
    whole = max(kept.samples, 1)
    lines = [
        (f"{e:g}", f"{level_of(e):g}", count(n), count(kept.samples - n), percent((kept.samples - n) / whole))
        for e, n in named.items()
    ]
    heads = ("ε", "Similarity above", "Dropped", "Kept", "Share kept")
    yield Sheet(f"{measure.name}: {count(kept.samples)} samples", heads, lines)
    yield Charts([_kept_chart(kept, found), *([_size_chart(found)] if found.sizes else [])])
    groups = sum(number for _, number in found.sizes)
    followed = "" if found.chained else " Of so many, samples with the same nearest earlier one are together."
    yield Paragraph(
        f"At ε = {found.epsilon:g}, {count(found.samples)} samples are in {count(groups)} groups of two or more."
        f"{followed}"
    )
    if found.largest:
        uids = [root for root, _ in found.largest] + [uid for of in found.members.values() for uid, _ in of]
        pictures = look.pictures(uids, ROW_EDGE)
        yield Gallery(f"Largest groups at ε = {found.epsilon:g}", list(_strips(found, pictures)))


def _kept_chart(kept: AtLevels, found: _Groups) -> Chart:
    whole = max(kept.samples, 1)
    points = [(1 - level, 100 * n / whole) for level, n in reversed(kept.curve) if level <= 1]
    ends = [(0.0, points[0][1])] if points else []
    across = Axis("ε: dropped above 1 − ε", bounds=(0.0, 1.0))
    up = Axis("% of samples kept", bounds=(0.0, 100.0))
    traces = [Trace("kept by dedup", "pool", [*ends, *points])]
    return plot("Kept against ε", across, up, traces, [(found.epsilon, f"ε = {found.epsilon:g}")])


def _size_chart(found: _Groups) -> Chart:
    names = [f"{count(number)} groups of {count(size)}" for size, number in found.sizes]
    points = [(float(size), float(number)) for size, number in found.sizes]
    across, up = Axis("samples in a group", True), Axis("groups (logarithmic)", True)
    return plot(f"Groups by size, ε = {found.epsilon:g}", across, up, [Trace("groups", "s1", points, names)])


def _strips(found: _Groups, pictures: dict[str, Thumbnail]) -> Iterator[Strip]:
    none = Thumbnail(reason="no image")
    for root, size in found.largest:
        shown = [(pictures.get(root, none), "first")]
        shown += [(pictures.get(uid, none), similarity(value)) for uid, value in found.members.get(root, [])]
        yield Strip(f"{count(size)} samples", root, shown)
