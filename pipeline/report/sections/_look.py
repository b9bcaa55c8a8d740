"""What a section may look at: committed files, through a database that holds little of them in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from curation.expressions import text
from pipeline.files.database import files
from pipeline.report.drawing.thumbnails import Thumbnail, thumbnail
from pipeline.report.request import MeasureFiles, ReportRequest, SplitFiles, WantedPicture

Row = tuple[Any, ...]
POOL = "pool"
_TOLD = "SELECT uid, {set} AS source, {columns} FROM read_parquet($told_{number}) WHERE {where}"
_OF_SPLIT = """
SELECT * EXCLUDE (uid, source) FROM ({told})
JOIN (SELECT uid, {source} AS source, {times}::BIGINT AS times FROM read_parquet($kept)) USING (uid, source)
"""
FIRST_ROW = "QUALIFY row_number() OVER (PARTITION BY uid ORDER BY part, row) = 1"
"""SQL that ends a query over the pool's samples: of a uid that is repeated, the first row takes part."""


@dataclass(frozen=True, slots=True)
class Look:
    """The files of a report, and a database over them.

    Sums of floating-point numbers depend on the order of rows, which the database does not keep: count, or sum whole
    numbers, or fetch a bounded number of rows in an order and add them up with `math.fsum`.

    Attributes:
        request: The committed files by role.
        db: DuckDB, which reads the output folder and nothing else.
        facts: Each split's `split.json`.
    """

    request: ReportRequest
    db: Any
    facts: Mapping[str, Mapping[str, Any]]

    def measures(self, kind: str, *columns: str) -> tuple[MeasureFiles, ...]:
        """List the plan's measures of a kind that have these columns, and files."""
        return tuple(
            one
            for one in self.request.measures
            if one.kind == kind and one.parts and set(columns) <= {name for name, _ in one.columns}
        )

    @property
    def splits(self) -> tuple[SplitFiles, ...]:
        """The splits whose samples are there to be read."""
        return tuple(split for split in self.request.splits if split.parts)

    def of_split(
        self, measure: MeasureFiles, split: SplitFiles, columns: str, where: str = "true"
    ) -> tuple[str, dict[str, Sequence[str]]]:
        """Return the query of a measure's columns for the samples of a split, with `times`, and the tables it reads.

        A sample of a further set is among them where the measure is of that set.

        Args:
            measure: The measure.
            split: The split.
            columns: SQL of what is read.
            where: SQL of which rows of the measure are looked at.
        """
        facts = self.facts[split.name]
        told = self.told(measure, split)
        source = "source" if "sources" in facts else text(POOL)
        each = (
            _TOLD.format(set=text(name), columns=columns, number=number, where=where)
            for number, name in enumerate(told)
        )
        query = _OF_SPLIT.format(told=" UNION ALL ".join(each), source=source, times=times_of(facts))
        return query, {f"told_{n}": files for n, files in enumerate(told.values())} | {"kept": split.parts}

    def told(self, measure: MeasureFiles, split: SplitFiles) -> dict[str, Sequence[str]]:
        """List the sets that a split has samples of and of which a measure tells, with its files."""
        held = (one["name"] for one in self.facts[split.name].get("sources", ()))
        return {POOL: measure.parts} | {
            name: measure.of_sets[name] for name in held if name in measure.of_sets
        }

    def rows(self, sql: str, **tables: Sequence[str]) -> list[Row]:
        """Run a query.

        Args:
            sql: It reads the table `name` as `read_parquet($name)`; whatever else it holds is a number, a quoted
                name or fixed text.
            tables: The files of each table, relative to the output folder.
        """
        found: list[Row] = self.db.execute(sql, self.located(**tables)).fetchall()
        return found

    def located(self, **tables: Sequence[str]) -> dict[str, list[str]]:
        """Locate tables as a query's parameters."""
        return {name: files(self.request.path(path) for path in paths) for name, paths in tables.items()}

    def pictures(self, uids: Sequence[str], edge: int, name: str = "pool") -> dict[str, Thumbnail]:
        """Draw the pictures of some samples of a set, by uid; one without a picture says why."""
        wanted = self.samples(uids, name)
        images = self.request.fetch_images({name: dict(wanted.values())})
        return {uid: thumbnail(images.get((name, key)), edge) for uid, (key, _) in wanted.items()}

    def samples(self, uids: Sequence[str], name: str = "pool") -> dict[str, tuple[str, WantedPicture]]:
        """Find the key of some samples of a set, by uid, and where their pictures may be."""
        files = self.request.set_files(name)
        if not uids or not files.samples:
            return {}
        sql = (
            "SELECT uid, key, part, url FROM read_parquet($samples) "
            "WHERE list_contains($uids, uid) ORDER BY part, row DESC"
        )
        arguments: dict[str, Any] = self.located(samples=files.samples)
        found = self.db.execute(sql, arguments | {"uids": list(uids)}).fetchall()
        return {uid: (key or "", WantedPicture(part, uid, url or "")) for uid, key, part, url in found}


def times_of(facts: Mapping[str, Any]) -> str:
    """Return the SQL of how often a split has a sample; a pool may have a column `repeat` of its own."""
    return '"repeat"' if "entries" in facts else "1"
