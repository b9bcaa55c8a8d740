"""Similarity to each benchmark: one struct column per benchmark, named as the benchmark."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from curation.measures import Field

NEEDS: tuple[str, ...] = ("vectors", "benchmarks")

FIELDS: Mapping[str, Field] = {
    "similarity": Field(
        "double", "highest similarity to any query of the benchmark, in [-1, 1], higher is closer"
    ),
    "nearest": Field("int32", "position of that query in the benchmark; ties go to the lower one"),
    "margin": Field("double", "highest of similarity - threshold over the queries; NULL without a reference"),
    "margin_query": Field("int32", "position of the query that has the margin; NULL without a reference"),
}


def columns(benchmarks: Sequence[str]) -> dict[str, Mapping[str, Field]]:
    """Return the struct columns that the measure writes, in plan order."""
    return dict.fromkeys(benchmarks, FIELDS)
