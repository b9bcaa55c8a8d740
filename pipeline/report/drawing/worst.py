"""The nearest pairs of all benchmarks, which stand right under the headline and then nowhere else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from pipeline.report.compare import NEAREST
from pipeline.report.drawing.benchmark_view import Section
from pipeline.report.drawing.cards import Card
from pipeline.report.drawing.text import brief

SHOWN = 6
# So many sets without pictures are named.
NAMED = 4


@dataclass(frozen=True, slots=True)
class Worst:
    """A pair with the benchmark that it is of."""

    section: Section
    card: Card


def worst(sections: Sequence[Section]) -> tuple[list[Worst], list[Section]]:
    """Take the nearest pairs out of the sections: byte-identical ones first, then by similarity.

    Returns:
        At most `SHOWN` pairs, and the sections without them.
    """
    every = [
        Worst(section, card)
        for section in sections
        for group in section.groups
        for card in group.cards
        if card.pair.group == NEAREST
    ]
    # A sort keeps the order of what is alike: that of the benchmarks, and in each of its queries.
    ranked = sorted(every, key=lambda one: (one.card.degree != "identical", -one.card.pair.similarity))[
        :SHOWN
    ]
    taken = {id(one.card) for one in ranked}
    return ranked, [_without(section, taken) for section in sections]


def _without(section: Section, taken: set[int]) -> Section:
    groups = []
    for group in section.groups:
        left = tuple(card for card in group.cards if id(card) not in taken)
        gone = len(group.cards) - len(left)
        about = f"{group.about} The first {gone} of them are at the top of the page." if gone else group.about
        if left:
            groups.append(replace(group, cards=left, about=about))
    return replace(section, groups=tuple(groups))


def missing_pictures(sections: Sequence[Section]) -> list[str]:
    """Say of which sets no picture at all could be shown, and how to name a place that has them."""
    found: dict[str, bool] = {}
    for section in sections:
        for side in (side for group in section.groups for card in group.cards for side in card.sides):
            name = f"benchmarks.{section.finding.name}" if side.role == "query" else side.role
            found[name] = found.get(name, False) or bool(side.picture.address)
    without = [name for name, some in found.items() if not some]
    if not without:
        return []
    rest = len(without) - NAMED
    named = ", ".join(map(brief, without[:NAMED])) + (f" and {rest} more" if rest > 0 else "")
    return [
        f"No pictures were found of {named}. Where the images of such a set lie in a "
        f"folder or in tars, name that place: --set {brief(without[0])}.images=FOLDER"
    ]


def by_gravity(sections: Sequence[Section]) -> list[Section]:
    """Order the benchmarks by their level, the gravest first; those of one level stay in plan order."""
    order = {level: at for at, level in enumerate(("identical", "hard", "soft", "open", "none"))}
    return sorted(sections, key=lambda section: order[section.level])
