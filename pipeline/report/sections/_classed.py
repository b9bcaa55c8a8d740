"""Classes of the pool's samples: their names, and how many samples of a set name each."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from curation.classes import NamedClasses, class_list
from curation.expressions import quoted, text
from pipeline.report.request import MeasureFiles, SplitFiles
from pipeline.report.sections._look import Look, times_of

KIND, COLUMN = "classes", "found"
ANY = "classes.found|tags.found"
"""What a section needs that counts classes, of captions or of images."""

_POOL = """
SELECT class, count(*)::BIGINT FROM (SELECT unnest({column}) AS class FROM read_parquet($found)) GROUP BY class
"""
_POOL_SAMPLES = "SELECT count(*) FROM read_parquet($found) WHERE len({column}) > 0"
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
        # Few samples of a pool name a class, so these are what the database holds, and the split passes by.
        kept, tables = look.of_split(of.files, split, f"{column} AS found", f"len({column}) > 0")
        facts = look.facts[split.name]
        if "sources" in facts:
            listed = ", ".join(map(text, look.told(of.files, split)))
            untold = look.rows(_UNTOLD.format(times=times_of(facts), told=listed), kept=split.parts)
        found = look.rows(_SPLIT.format(kept=kept), **tables)
        samples = look.rows(_SPLIT_SAMPLES.format(kept=kept), **tables)
    counts = np.zeros(size, np.int64)
    for position, count in found:
        counts[position] = count
    return ClassTotals(counts, int(samples[0][0]), int(untold[0][0]))
