"""Measures of what a table of the user's says of samples, row by row: too large to be looked up in memory.

The pipeline joins the table with the pool out of core, once for all measures that ask for the same of it, and hands
each block what is said of its rows.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Literal

import pyarrow as pa

from curation.measure import Measure

TAGS, PROBABILITIES = "told.tags", "told.probabilities"
"""Columns of a block: lists of one length, NULL for a sample of which the table says nothing."""
TOLD_SCHEMA = pa.schema([("tags", pa.list_(pa.string())), ("probabilities", pa.list_(pa.float64()))])
"""Of each row of a part: tags in the order of their bytes, each once, and the probability of each, 0 to 1."""
NameOf = Literal["uid", "key"]


@dataclass(frozen=True, slots=True)
class ToldTable:
    """What is wanted of a table, whose rows are pairs of a sample and a tag.

    Attributes:
        path: Parquet, CSV, TSV or JSON lines.
        by: Its column that names the sample; None takes `uid` where it has that, or else `key`.
        tag: Its column of tags.
        probability: Its column of probabilities; a table without it is sure of all of its pairs.
    """

    path: str
    by: NameOf | None
    tag: str
    probability: str


class ToldMeasure(Measure):
    """A measure of such a table; a file in `curation/measures/` as any other."""

    __slots__ = ()

    @abstractmethod
    def told(self) -> ToldTable:
        """Name the table; blocks then have `TAGS` and `PROBABILITIES`."""
