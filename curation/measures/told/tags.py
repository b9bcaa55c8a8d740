"""What a tagger saw in each image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar, Self

import pyarrow as pa
from pydantic import Field

from curation.classes import digest_of
from curation.classes.by_name._called import places_by_name, plain_name
from curation.measure import Block, Column, Columns, Measure, Model
from curation.measures.told._told import PROBABILITIES, TAGS, NameOf, ToldMeasure, ToldTable
from curation.plugin_options import pinned
from indexes.errors import PlanError

Text = Annotated[str, Field(strict=True, min_length=1)]
Probability = Annotated[float, Field(strict=True, ge=0, lt=1)]


@dataclass(frozen=True, slots=True)
class Tags(ToldMeasure):
    """Tags of a table of the user's, such as a tagger's output: those that are more probable than a level.

    The table has a row for each pair of a sample (`uid` or `key`) and a tag, in any order, and is joined out of core.
    Each row ends in one count: a name or a tag is missing; the probability is no number from 0 to 1; no sample has
    the name; several samples have the key, so that it tells of none; the pair is said again, of which the highest
    probability counts; it is not above the level; it is taken. A sample of which no usable row tells is NULL; one
    whose tags are all below the level has none.

    With a class list, tags become classes, so that concepts are counted by image (arXiv 2404.04125: RAM++ above 0.7),
    and with a measure `classes`, by image and caption both. A tag is a class where it is its id or, whatever the case
    and `_` for a blank, one of its names: all classes of that name are seen.

    Attributes:
        table: Parquet, CSV, TSV or JSON lines.
        above: The level; a tag has to be more probable.
        by: The column that names samples, `uid` or `key`; by default `uid` where the table has it.
        tag: The column of tags.
        probability: The column of probabilities; a table without it is sure of all of its pairs.
        names: A class list, as `classes` takes it.
        both: A measure `classes` of the same list, whose classes have to be seen too.
        digest: Of the class list. It is filled in; a plan that gives it is held to it.
    """

    table: Text
    above: Probability = 0.7
    by: NameOf | None = None
    tag: Text = "tag"
    probability: Text = "probability"
    names: Text | None = None
    both: Text | None = None
    digest: str | None = None
    needs: ClassVar[tuple[str, ...]] = ()

    def requires(self) -> tuple[str, ...]:
        """The classes of captions, where they are compared."""
        return () if self.both is None else (self.both,)

    def told(self) -> ToldTable:
        """The table, all levels of it."""
        return ToldTable(self.table, self.by, self.tag, self.probability)

    def resolved(self, where: str) -> Self:
        """Find out whether the class list can be read, and fill in its digest.

        Raises:
            PlanError: If it is wrong or missing, or not the one of the digest.
        """
        if self.names is None:
            if self.both is not None:
                raise PlanError(
                    f"{where}.both names {self.both}, and no class list says which class a tag is; give {where}.names, "
                    "the list of that measure"
                )
            return self
        found = digest_of(self.names, f"{where}.names")
        digest = pinned(self.digest, found, f"{where}.names: {self.names}", where)
        places_by_name(self.names, digest)
        return replace(self, digest=digest)

    def check_beside(self, others: Mapping[str, Measure], where: str) -> None:
        """Refuse classes of another list than its own, or of no list.

        Raises:
            PlanError: With both.
        """
        theirs = others.get(self.both or "")
        if theirs is not None and getattr(theirs, "names", None) != self.names:
            raise PlanError(
                f"{where}.names is {self.names}, and the measure {self.both} has "
                f"{getattr(theirs, 'names', None) or 'no classes'}, so that positions mean other classes; write "
                f"{where}.names as they are there, for a `both` of a measure classes"
            )

    def columns(self) -> tuple[Column, ...]:
        """The tags, and the classes that they are."""
        own = (
            Column(
                "tags",
                pa.list_(pa.string()),
                f"tags more probable than {self.above:g}, in order; NULL if not told",
            ),
            Column("probabilities", pa.list_(pa.float64()), "the probability of each of them, 0 to 1"),
        )
        found = Column(
            "found", pa.list_(pa.int32()), f"positions in {self.names} of the classes that tags are"
        )
        seen = Column("single", pa.int32(), "the class, where there is exactly one; NULL otherwise")
        both = Column(
            "both", pa.list_(pa.int32()), f"those of them that {self.both} finds in the caption too"
        )
        classes = () if self.names is None else (found, seen)
        return (*own, *classes, *(() if self.both is None else (both,)))

    def apply(self, block: Block, model: Model) -> Columns:
        """Take what is above the level."""
        rows = [
            None if tags is None else [(t, p) for t, p in zip(tags, sure, strict=True) if p > self.above]
            for tags, sure in zip(
                block.columns[TAGS].to_pylist(), block.columns[PROBABILITIES].to_pylist(), strict=True
            )
        ]
        told: dict[str, Any] = {
            "tags": [None if row is None else [tag for tag, _ in row] for row in rows],
            "probabilities": [None if row is None else [p for _, p in row] for row in rows],
        }
        if self.names is not None:
            of = places_by_name(self.names, self.digest or digest_of(self.names, "names"))
            told["found"] = found = [None if tags is None else _classes(tags, of) for tags in told["tags"]]
            told["single"] = [row[0] if row and len(row) == 1 else None for row in found]
            if self.both is not None:
                captions = block.columns[f"{self.both}.found"].to_pylist()
                told["both"] = [_common(a, b) for a, b in zip(found, captions, strict=True)]
        return {column.name: pa.array(told[column.name], column.type) for column in self.columns()}


def _classes(tags: list[str], of: Mapping[str, tuple[int, ...]]) -> list[int]:
    return sorted({place for tag in tags for place in of.get(tag, of.get(plain_name(tag), ()))})


def _common(seen: list[int] | None, named: list[int] | None) -> list[int] | None:
    """Intersect; where one of both is not known, so is this."""
    return None if seen is None or named is None else sorted(set(seen) & set(named))
