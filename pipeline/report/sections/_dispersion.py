"""The similarity of samples within each class, as the measure `intra_class` left it."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby

from curation.expressions import quoted
from curation.kernels.pairwise import mean_interval, mean_pair
from pipeline.report.request import MeasureFiles
from pipeline.report.sections._look import FIRST_ROW, Look

KIND = "intra_class"


@dataclass(frozen=True, slots=True)
class ClassMean:
    """The mean similarity over the pairs of a class.

    Attributes:
        group: The class, as the column that groups has it.
        samples: Samples that were compared, at least two.
        mean: Their mean similarity.
        half: Half the width of its 95 % confidence interval; None for two samples.
    """

    group: str
    samples: int
    mean: float
    half: float | None


def class_means(look: Look, measure: MeasureFiles) -> list[ClassMean]:
    """List the classes with at least two drawn samples, by their text; empty where what groups is not there."""
    files, column, first = _grouping(look, str(measure.options.get("within", "")))
    if not files:
        return []
    of = f"g.{quoted(column)}"
    drawn = "SELECT uid, similarity FROM read_parquet($values) WHERE similarity IS NOT NULL"
    sql = (
        f"SELECT {of}::VARCHAR AS of, m.similarity FROM ({drawn}) m JOIN read_parquet($groups) g USING (uid) "  # noqa: S608
        f"WHERE {of} IS NOT NULL {first} ORDER BY of, uid"
    )
    rows = look.rows(sql, values=measure.parts, groups=files)
    return [of_values(of, [value for _, value in own]) for of, own in groupby(rows, key=lambda row: row[0])]


def of_values(group: str, to_others: list[float]) -> ClassMean:
    """Sum a class up."""
    mean, half = mean_pair(to_others)
    return ClassMean(group, len(to_others), mean, half)


def over_classes(means: list[ClassMean]) -> tuple[float, float | None]:
    """Return the mean over classes, each counting once, and the half width of its 95 % confidence interval."""
    return mean_interval([each.mean for each in means])


def _grouping(look: Look, within: str) -> tuple[tuple[str, ...], str, str]:
    """Find the column that says what a sample is of: a measure's, or the pool's own; and what its query ends with."""
    name, dot, column = within.partition(".")
    if not dot:
        return look.request.pool.samples, within, FIRST_ROW
    parts = next((one.parts for one in look.request.measures if one.name == name), ())
    return parts, column, ""
