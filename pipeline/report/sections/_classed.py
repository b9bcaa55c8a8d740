"""Classes of the pool's samples: their names, and how many samples of a set name each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from curation.classes import NamedClasses, class_list
from curation.expressions import quoted, text
from pipeline.report.request import MeasureFiles, SplitFiles
from pipeline.report.sections._look import Look

KIND, COLUMN = "classes", "found"
ANY = "classes.found|tags.found"
"""What a section needs that counts classes, of captions or of images."""

_POOL = """
SELECT class, count(*)::BIGINT FROM (SELECT unnest({column}) AS class FROM read_parquet($found)) GROUP BY class
"""
_POOL_SAMPLES = "SELECT count(*) FROM read_parquet($found) WHERE len({column}) > 0"
# Few samples of a pool name a class, so these are what the database holds, and the split passes by.
_KEPT = """
SELECT found, times FROM ({named})
JOIN (SELECT uid, {source} AS source, {times}::BIGINT AS times FROM read_parquet($kept)) USING (uid, source)
"""
_NAMED = (
    "SELECT uid, {source} AS source, {column} AS found FROM read_parquet(${table}) WHERE len({column}) > 0"
)
_UNTOLD = """
SELECT coalesce(sum({times}), 0)::BIGINT FROM read_parquet($kept) WHERE NOT list_contains([{told}], source)
"""
_SPLIT = "SELECT class, sum(times)::BIGINT FROM (SELECT unnest(found) AS class, times FROM ({kept})) GROUP BY class"
_SPLIT_SAMPLES = "SELECT coalesce(sum(times), 0)::BIGINT FROM ({kept})"


@dataclass(frozen=True, slots=True)
class ClassColumn:
    """A column of lists of classes.

    Attributes:
        name: What it is called: the measure, with the column where a measure has several.
        files: The measure.
        column: Its name there.
        seen: Whether it tells of images, and not of captions alone.
    """

    name: str
    files: MeasureFiles
    column: str
    seen: bool


def class_columns(look: Look) -> list[ClassColumn]:
    """List the columns of classes: of captions by `classes`, of images by `tags`, of both at once by `tags`."""
    by_caption = [ClassColumn(one.name, one, COLUMN, False) for one in look.measures(KIND, COLUMN)]
    by_image = [ClassColumn(one.name, one, COLUMN, True) for one in look.measures("tags", COLUMN)]
    by_both = [ClassColumn(f"{one.name}.both", one, "both", True) for one in look.measures("tags", "both")]
    return [*by_caption, *by_image, *by_both]


@dataclass(frozen=True, slots=True)
class ClassTotals:
    """How often each class occurs.

    Attributes:
        counts: `(c,)` samples of the class, in the order of the class list.
        samples: Samples that have any.
        untold: Samples of further sets of which the measure does not tell; they are of no class here.
    """

    counts: NDArray[np.int64]
    samples: int
    untold: int = 0


def named_classes(measure: MeasureFiles) -> NamedClasses:
    """Read the class list of a measure.

    Raises:
        PlanError: If its file is gone.
    """
    source = str(measure.options["names"])
    digest = str(measure.options.get("digest") or "")
    return class_list(source, digest, f"measures.{measure.name}.names")


def totals(look: Look, of: ClassColumn, split: SplitFiles | None = None) -> ClassTotals:
    """Count the samples of each class, in the pool or in a split; one that a split repeats counts as often."""
    size, column, untold = len(named_classes(of.files)), quoted(of.column), [(0,)]
    if split is None:
        found = look.rows(_POOL.format(column=column), found=of.files.parts)
        samples = look.rows(_POOL_SAMPLES.format(column=column), found=of.files.parts)
    else:
        facts, times = look.facts[split.name], times_of(look.facts[split.name])
        told = {"pool": of.files.parts} | {
            one["name"]: of.files.of_sets[one["name"]]
            for one in facts.get("sources", ())
            if one["name"] in of.files.of_sets
        }
        source = "source" if "sources" in facts else text("pool")
        named = " UNION ALL ".join(
            _NAMED.format(source=text(name), column=column, table=f"found_{n}") for n, name in enumerate(told)
        )
        kept = _KEPT.format(named=named, source=source, times=times)
        tables = {f"found_{n}": files for n, files in enumerate(told.values())} | {"kept": split.parts}
        if "sources" in facts:
            listed = ", ".join(map(text, told))
            untold = look.rows(_UNTOLD.format(times=times, told=listed), kept=split.parts)
        found = look.rows(_SPLIT.format(kept=kept), **tables)
        samples = look.rows(_SPLIT_SAMPLES.format(kept=kept), **tables)
    counts = np.zeros(size, np.int64)
    for position, count in found:
        counts[position] = count
    return ClassTotals(counts, int(samples[0][0]), int(untold[0][0]))


def times_of(facts: Mapping[str, Any]) -> str:
    """Return the SQL of how often a split has a sample; a pool may have a column `repeat` of its own."""
    return '"repeat"' if "entries" in facts else "1"
