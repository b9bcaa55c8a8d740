"""Which attributes go with which classes, over a bounded draw of the samples that name a class."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from curation.measures._content_words import shown
from pipeline.report.request import MeasureFiles
from pipeline.report.sections._classed import named_classes
from pipeline.report.sections._look import FIRST_ROW, Look

DRAWN = 50_000
"""Samples that are looked at: of those that name a class, the lowest by hash."""
BY_WORDS, BY_COLUMN = "content words", "attributes"

_DRAW = """
SELECT uid, found FROM read_parquet($found) WHERE len(found) > 0
ORDER BY md5_number_lower(uid::UUID::VARCHAR || ':0'), uid LIMIT {limit}
"""
_CAPTIONS = (
    f"SELECT found, caption FROM ({{draw}}) JOIN read_parquet($pool) USING (uid) {FIRST_ROW} ORDER BY uid"  # noqa: S608
)
_COLUMN = "SELECT found, attributes FROM ({draw}) JOIN read_parquet($captions) USING (uid) ORDER BY uid"


@dataclass(slots=True)
class AttributeCounts:
    """What goes together; an attribute that a name of the class holds is not counted for that class.

    A sample of several classes counts for each of them, so that the unit is a sample with one of its classes.

    Attributes:
        source: `BY_COLUMN`, or `BY_WORDS` where captions have no such column.
        samples: Samples that were looked at.
        classes: By class, its samples.
        attributes: By attribute, in how many it occurs, of all classes that do not hold it in their name.
        together: By `(class, attribute)`, samples of both.
        own: By class, the words of its names.
    """

    source: str
    own: Sequence[frozenset[str]]
    samples: int = 0
    classes: Counter[int] = field(default_factory=Counter)
    attributes: Counter[str] = field(default_factory=Counter)
    together: Counter[tuple[int, str]] = field(default_factory=Counter)

    def add(self, found: Sequence[int], attributes: frozenset[str]) -> None:
        """Count a sample."""
        self.samples += 1
        for of_class in found:
            self.classes[of_class] += 1
            for attribute in attributes - self.own[of_class]:
                self.attributes[attribute] += 1
                self.together[of_class, attribute] += 1

    def by_attribute(self) -> dict[str, dict[int, int]]:
        """List, by attribute, how often it occurs in each class; attributes and classes in order."""
        found: dict[str, dict[int, int]] = {}
        for (of_class, attribute), number in sorted(
            self.together.items(), key=lambda item: (item[0][1], item[0][0])
        ):
            found.setdefault(attribute, {})[of_class] = number
        return found


def attribute_counts(look: Look, measure: MeasureFiles, by: str = BY_COLUMN) -> AttributeCounts:
    """Count attributes beside the classes of a measure `classes`: those of the column, or where it lacks all words."""
    own = [frozenset().union(*map(_words, names)) for names in named_classes(measure).names]
    draw = _DRAW.format(limit=DRAWN)
    captions = look.measures("captions", "attributes") if by == BY_COLUMN else ()
    tables = {"found": measure.parts}
    counts = AttributeCounts(BY_COLUMN if captions else BY_WORDS, own)
    if captions:
        rows = look.rows(_COLUMN.format(draw=draw), captions=captions[0].parts, **tables)
        for found, attributes in rows:
            counts.add(found, frozenset(str(each) for each in attributes or ()))
        return counts
    for found, caption in look.rows(_CAPTIONS.format(draw=draw), pool=look.request.pool.samples, **tables):
        counts.add(found, frozenset() if caption is None else shown(caption))
    return counts


def _words(name: str) -> frozenset[str]:
    return shown(name.replace("_", " "))
