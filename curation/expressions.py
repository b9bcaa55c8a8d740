"""SQL text that is safe to build: quoted identifiers, number literals, and NULL-proof expressions."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

NAN = "'nan'::DOUBLE"
_HASHED = re.compile(r"md5_number_lower\(uid::VARCHAR \|\| ':[0-9]+'\)")


def quoted(identifier: str) -> str:
    """Quote a column or struct field for SQL; this is the only place where names become SQL.

    NUL cannot stand in an identifier and is refused.
    """
    if "\x00" in identifier:
        raise ValueError(f"column name {identifier!r} holds a NUL character")
    return '"' + identifier.replace('"', '""') + '"'


def measured(benchmark: str, field: str) -> str:
    """Return the SQL of one measured number, NULL where it is NULL or NaN.

    Args:
        benchmark: Name of the struct column.
        field: `similarity` or `margin`.
    """
    return f"nullif({quoted(benchmark)}.{quoted(field)}, {NAN})"


def maximum(benchmarks: Sequence[str], field: str) -> str:
    """Return the SQL of the maximum of one field over benchmarks, NULL where any of them is NULL or NaN.

    DuckDB's `greatest` passes over NULL, but orders NaN above every number: so NULL is made NaN first,
    and a NaN that comes out is made NULL.
    """
    if len(benchmarks) == 1:
        return measured(benchmarks[0], field)
    terms = ", ".join(f"coalesce({quoted(name)}.{quoted(field)}, {NAN})" for name in benchmarks)
    return f"nullif(greatest({terms}), {NAN})"


def hashed(seed: int) -> str:
    """Return the SQL of a sample's place in a random order: the lower half of md5 of its dashed uid, ':', seed."""
    return f"md5_number_lower(uid::VARCHAR || ':{seed:d}')"


def is_hashed(key: str) -> bool:
    """Tell whether SQL is such a place, which is spread evenly over 64 bits and never NULL."""
    return _HASHED.fullmatch(key) is not None


def shown(values: Mapping[str, str]) -> str:
    """Return the SQL of values for people: the value alone if it is one, else the text `width=150, height=20`.

    Args:
        values: SQL of each value, by its name.
    """
    if not values:
        return "NULL"
    if len(values) == 1:
        return f"({next(iter(values.values()))})"
    named = (
        f"{text(f'{name}=')} || coalesce(left(({value})::VARCHAR, 80), 'NULL')"
        for name, value in values.items()
    )
    return " || ', ' || ".join(named)


def text(value: str) -> str:
    """Write a text as SQL."""
    return "'" + value.replace("'", "''") + "'"


def either(tests: Sequence[str]) -> str:
    """Return the SQL of any of several tests; false if there is none."""
    return "(" + " OR ".join(tests) + ")" if tests else "false"


def number(value: float | int) -> str:
    """Write a number as SQL, exact to the last bit (DuckDB reads a plain `0.1` as a DECIMAL)."""
    if isinstance(value, int):
        return f"{value:d}"
    return f"'{value!r}'::DOUBLE"
