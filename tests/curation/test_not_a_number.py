"""NaN that an expression computes drops, in every rule that takes one, alone and after others."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from selection_pools import ROWS, Desk, desk, opened

from curation import rules
from curation.rule import Scope
from curation.selection import Selection
from indexes.errors import PlanError
from pipeline.files.database import parse_predicate

# Each is NaN for some rows, and what it comes to else is a number that holds.
WHERE: dict[str, Callable[[dict[str, Any]], bool]] = {
    "ln(-width) > -10": lambda row: row["width"] is not None and row["width"] < 0,
    "sqrt(width) >= 0": lambda row: row["width"] is not None and row["width"] >= 0,
    "width::DOUBLE / width > 0": lambda row: row["width"] not in (None, 0),
    "1e308::DOUBLE * 10 * width - 1e308::DOUBLE * 10 * width > 0": lambda row: False,
    "NOT (width::DOUBLE % width > 0)": lambda row: row["width"] not in (None, 0),
}


@pytest.fixture(scope="module")
def at(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with desk(tmp_path_factory.mktemp("computed")) as made:
        yield made


def selected(name: str, **options: Any) -> Selection:
    scope = Scope((), False, "splits.s[0]", parse_predicate)
    return rules.parse(name, options).resolved(scope).selection(scope)


@pytest.mark.parametrize("text", WHERE)
@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=ROWS)
def test_a_predicate_that_is_nan_does_not_hold(at: Desk, text: str, rows: list[dict[str, Any]]) -> None:
    wanted = {row["uid"]: 1 for row in rows if WHERE[text](row)}
    with opened(at, [rows]) as pool:
        found = selected("where", predicate=text)
        assert pool.kept(found) == pool.oracle(found) == wanted


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=ROWS, first=st.sampled_from(sorted(WHERE)))
def test_what_is_nan_drops_in_other_rules_and_after_them(
    at: Desk, rows: list[dict[str, Any]], first: str
) -> None:
    following = [
        (
            "cap",
            {"by": "ln(-width)", "most": 100},
            lambda row: row["width"] is not None and row["width"] <= 0,
        ),
        ("repeat", {"times": "2 + ln(width)"}, lambda row: row["width"] is not None and row["width"] > 0),
        ("where", {"predicate": "sqrt(width) < 9"}, WHERE["sqrt(width) >= 0"]),
    ]
    # The logarithm of 0 is -inf, which is a number.
    with opened(at, [rows]) as pool:
        before = selected("where", predicate=first)
        left = pool.rows.after(before.decide(pool.rows))
        for name, options, holds in following:
            rule = selected(name, **options)
            assert set(pool.kept(rule)) == set(pool.oracle(rule)) == {r["uid"] for r in rows if holds(r)}
            after = left.after(rule.decide(left))
            kept = {uid.int for (uid,) in after.db.execute(after.surviving("uid")).fetchall()}
            assert kept == {row["uid"] for row in rows if WHERE[first](row) and holds(row)}
            lost = after.db.execute(f"SELECT uid FROM ({after.lost('key')})").fetchall()
            assert kept | {uid.int for (uid,) in lost} == {row["uid"] for row in rows}
            assert len(kept) + len(lost) == len(rows), "every row is in one of both"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("ln(-1.0)", None),
        ("'inf'::DOUBLE - 'inf'::DOUBLE", None),
        ("TRY_CAST('NaN' AS DOUBLE)", None),
        ("coalesce(sqrt(-1.0), 7)", 7),
        ("greatest(ln(-1.0), 2.0)", 2),
        ("'inf'::DOUBLE + 1", math.inf),
        ("1 + 2", 3),
        ("DATE '2024-01-31' - DATE '2024-01-01'", 30),
        ("9223372036854775807 - 1", 9223372036854775806),
    ],
)
def test_numbers_are_as_they_were_and_nan_is_null(text: str, value: float | None) -> None:
    written = parse_predicate(text).sql
    assert duckdb.sql(f"SELECT {written}").fetchall() == [(value,)]
    assert parse_predicate(written).sql == written, "a second look changes nothing"


def test_what_computes_nothing_is_written_as_it_was() -> None:
    assert (
        parse_predicate("width >= 200 AND length(caption) > 5").sql
        == "((width >= 200) AND (length(caption) > 5))"
    )
    deep = parse_predicate(" + ".join(["width"] * 200)).sql
    assert deep.count("nullif") == 1, "one look at what a sum comes to"
    with pytest.raises(PlanError, match="is not one SQL expression"):
        parse_predicate(" + ".join(["w"] * 2000))
