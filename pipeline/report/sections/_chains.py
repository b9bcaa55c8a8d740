"""Groups of near-duplicates: each sample follows to the nearest earlier one, down to one that is near to none."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from curation.expressions import number
from pipeline.report.drawing.text import count, similarity
from pipeline.report.drawing.thumbnails import Thumbnail
from pipeline.report.sections._look import Look
from pipeline.report.sections._panel import Strip

MOST_LINKS = 4_000_000
"""Above so many near-duplicates, chains are not followed: a group is what has the same nearest sample."""

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
class Chains:
    """Groups of two or more.

    Attributes:
        chained: Whether chains were followed to their ends.
        sizes: How many groups there are of each size.
        largest: First sample and size of the largest groups.
        members: Some of their other samples by the first, each with its similarity to the nearest earlier one.
    """

    chained: bool
    sizes: Sequence[tuple[int, int]]
    largest: Sequence[tuple[str, int]]
    members: Mapping[str, Sequence[tuple[str, float]]]

    @property
    def groups(self) -> int:
        """How many groups there are."""
        return sum(groups for _, groups in self.sizes)

    @property
    def samples(self) -> int:
        """How many samples are in one."""
        return sum(size * groups for size, groups in self.sizes)

    def shown(self) -> list[str]:
        """List the samples named here, by uid."""
        return [root for root, _ in self.largest] + [uid for of in self.members.values() for uid, _ in of]


def follow(look: Look, values: Sequence[str], level: float, shown: int, pictures: int) -> Chains:
    """Put together what lies above a similarity.

    Args:
        look: The files.
        values: Tables of `uid`, `nearest` (the nearest earlier sample, NULL for none) and `similarity` to it.
        level: A sample with a similarity above it follows to its nearest earlier one.
        shown: How many of the largest groups are named.
        pictures: How many samples of each are named, the first one included.
    """
    look.db.execute(_LINKS.format(level=number(level)), look.located(values=values))
    chained = look.rows("SELECT count(*) FROM links")[0][0] <= MOST_LINKS
    # Each round doubles how far a link reaches, so a chain of n takes log2(n) of them.
    while chained and look.rows(_CHANGES)[0][0]:
        look.db.execute(_JUMP)
    largest = look.rows(_LARGEST.format(limit=shown))
    members: dict[str, list[tuple[str, float]]] = {}
    arguments = {"roots": [root for root, _ in largest]}
    for root, uid, value in look.db.execute(_MEMBERS.format(pictures=pictures), arguments).fetchall():
        members.setdefault(root, []).append((uid, value))
    return Chains(chained, look.rows(_SIZES), [(root, size) for root, size in largest], members)


def strips(found: Chains, pictures: Mapping[str, Thumbnail]) -> Iterator[Strip]:
    """Lay out the groups that are named, each with its pictures."""
    none = Thumbnail(reason="no image")
    for root, size in found.largest:
        drawn = [(pictures.get(root, none), "first")]
        drawn += [(pictures.get(uid, none), similarity(value)) for uid, value in found.members.get(root, [])]
        yield Strip(f"{count(size)} samples", root, drawn)
