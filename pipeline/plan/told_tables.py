"""Tables of what a user was told of samples: their header is looked at before anything runs, their rows stream by."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from curation.measures.told._told import NameOf, ToldTable
from indexes.errors import DataError, PlanError
from pipeline.files.row_tables import READ, table_rows

NAMED: tuple[NameOf, ...] = ("uid", "key")
NAME, TAG, PROBABILITY = "name", "tag", "probability"


@dataclass(frozen=True, slots=True)
class ToldColumns:
    """The columns of a table: what names the sample, the tag, and the probability where there is one."""

    by: NameOf
    tag: str
    probability: str | None


def told_columns(told: ToldTable, where: str) -> ToldColumns:
    """Look at a table's header.

    Args:
        told: What is wanted of it.
        where: Place in the plan, for messages.

    Raises:
        PlanError: If there is no such table, or it lacks a column.
    """
    path = Path(told.path)
    if path.suffix.lower() not in READ or not path.is_file():
        raise PlanError(
            f"{where}.table is '{told.path}', which is no file in {', '.join(READ)}; give one with a row for each pair "
            "of a sample and a tag"
        )
    try:
        schema = next(iter(table_rows(path))).schema
    except (pa.ArrowException, OSError, StopIteration) as error:
        raise PlanError(
            f"{where}: '{told.path}' cannot be read ({_short(error)}); write the table again"
        ) from None
    by = _naming(told, schema.names)
    lacking = [name for name in (by, told.tag) if name not in schema.names]
    if lacking:
        raise PlanError(
            f"{where}: '{told.path}' has the columns {', '.join(schema.names)[:400]}, not {' and '.join(lacking)}; it "
            f"needs uid or key, and tag, and may have probability. Name its own by {where}.by, .tag and .probability"
        )
    probability = told.probability if told.probability in schema.names else None
    for name in (by, told.tag, probability):
        if name is not None and pa.types.is_nested(schema.field(name).type):
            raise PlanError(
                f"{where}: '{told.path}': the column {name} holds {schema.field(name).type}; write a row for each "
                "pair of a sample and a tag"
            )
    return ToldColumns(by, told.tag, probability)


def _naming(told: ToldTable, there: list[str]) -> NameOf:
    if told.by is not None:
        return told.by
    return NAMED[0] if NAMED[0] in there or NAMED[1] not in there else NAMED[1]


def told_pairs(path: str, columns: ToldColumns) -> Iterator[pa.Table]:
    """Stream a table as `name`, `tag` (texts) and `probability` (a number or a text; 1 where it has none).

    Raises:
        DataError: If it cannot be read to its end.
    """
    try:
        for table in table_rows(Path(path)):
            column = columns.probability
            sure = pa.array([1.0] * len(table)) if column is None else _number(table, column)
            yield pa.table(
                {NAME: _text(table, columns.by), TAG: _text(table, columns.tag), PROBABILITY: sure}
            )
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"cannot read the table '{path}' ({_short(error)}); write the table again") from error


def _text(table: pa.Table, column: str) -> Any:
    if column not in table.column_names:
        return pa.nulls(len(table), pa.string())
    found = table.column(column)
    return found.cast(pa.string()) if not pa.types.is_null(found.type) else pa.nulls(len(table), pa.string())


def _number(table: pa.Table, column: str) -> Any:
    if column not in table.column_names:
        return pa.nulls(len(table), pa.float64())
    found = table.column(column)
    kind = found.type
    number = pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_decimal(kind)
    return found.cast(pa.float64(), safe=False) if number else _text(table, column)


def _short(error: BaseException) -> str:
    return " ".join(str(error).split())[:200] or "it has no rows"
