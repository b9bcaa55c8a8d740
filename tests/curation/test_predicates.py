"""What a `where` may say, read by DuckDB's own parser, and what it may not."""

from __future__ import annotations

import duckdb
import pyarrow as pa
import pytest

from curation import rules
from curation.expressions import number, quoted
from curation.predicates import check_predicate, named_paths
from curation.rule import Scope
from curation.selections.drop import Drop
from curation.sql_words import fielded_words, words_of
from indexes.errors import PlanError
from pipeline.files.database import parse_predicate

COLUMNS = {
    "width": pa.int64(),
    "caption": pa.string(),
    'Odd "name"; DROP': pa.int64(),
    "taken": pa.timestamp("us"),
    "safe": pa.bool_(),
    "photo": pa.struct([("similarity", pa.float64()), ("margin", pa.float64())]),
    "clip_score": pa.float64(),
    "tags": pa.list_(pa.string()),
    "found": pa.struct([("classes", pa.list_(pa.int32())), ("best", pa.int32())]),
}
GROWING = "replace(" * 10 + "caption" + ", 'a', 'aaaaaaaaaa')" * 10 + " = 'x'"
"""What took 1 GB for one caption of a few letters."""
SCOPE = Scope(where="splits.x[0].where", parse=parse_predicate, columns=COLUMNS)
ROW = """
    SELECT 200 AS width, 'a Cat, 50%' AS caption, 7 AS "Odd ""name""; DROP",
    TIMESTAMP '2024-02-03' AS taken, true AS safe,
    {'similarity': 0.5, 'margin': -0.1} AS photo, 0.31 AS clip_score, ['cat', 'dog'] AS tags,
    {'classes': [3, 5], 'best': 5} AS found
"""

ALLOWED = [
    "width >= 200",
    "WIDTH = 200 AND NOT (width < 5 OR width <> 200)",
    "photo.similarity > 0.28",
    '"photo"."margin" <= -0.1',
    "lower(caption) LIKE '%cat%'",
    "caption ILIKE 'A CAT%'",
    "caption NOT LIKE 'x' AND caption LIKE '%50$%' ESCAPE '$'",
    "length(caption) BETWEEN 3 AND 30",
    "width IN (100, 200) AND width NOT IN (5)",
    "regexp_matches(caption, '[cC]at') AND contains(caption, ',')",
    "coalesce(width, 0) + 3 * 2 - 1 > 7 / 2 AND width % 7 = 4",
    "abs(-width) = 200 AND round(width / 3.0) = 67",
    "caption IS NOT NULL AND (width IS NULL) IS NOT TRUE",
    "CASE WHEN width > 100 THEN photo.margin ELSE 1e5 END < 0",
    "CAST(width AS VARCHAR) = '200' AND TRY_CAST(caption AS DOUBLE) IS NULL",
    "width::DECIMAL(8, 2) = 200.00 AND width IS DISTINCT FROM 5",
    '"Odd ""name""; DROP" = 7',
    "least(width, 5) = 5 AND greatest(width, 5) = 200",
    "caption || '!' = 'a Cat, 50%!' -- a remark",
    "width > 1) OR (width > 2",
    "true",
    "clip_score >= 0.3",
    "safe AND taken > '2024-01-31' AND taken::date < DATE '2024-02-29' AND caption <> 'x'",
    "coalesce(safe, false) AND CASE WHEN safe THEN width > 1 ELSE NULL END",
    "replace(replace(caption, ',', ''), '50%', 'half') = 'a Cat half' AND concat(caption, '!') LIKE '%!'",
    "len(tags) = 2 AND list_contains(tags, 'cat') AND tags IS NOT NULL",
    "list_has_any(tags, ['dog', 'bird']) AND NOT list_has_all(tags, ['dog', 'bird'])",
    "list_has(found.classes, found.best) AND len(found.classes) > 1 AND found.best IN (4, 5)",
]


@pytest.mark.parametrize("text", ALLOWED)
def test_what_is_written_back_means_the_same(text: str) -> None:
    rule = rules.parse("where", text).resolved(SCOPE)
    drop = rule.selection(SCOPE)
    assert isinstance(drop, Drop)
    written, plain = (f"SELECT {what} FROM ({ROW})" for what in (drop.predicate, f"NOT ({text}\n)"))
    if ") OR (" not in text:  # unbalanced between parentheses that are not its own; as a whole it is an OR
        assert duckdb.execute(written).fetchall() == duckdb.execute(plain).fetchall()
    assert duckdb.execute(written).fetchall() == [(False,)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "heigth > 5",
            "names the column 'heigth', which is not there; it may name: Odd \"name\"; DROP, caption, clip_score, "
            "found.best, found.classes, photo.margin, photo.similarity, safe, tags, taken, width",
        ),
        ("photo > 5", "names the column 'photo'"),
        ("photo.distance > 5", "names the column 'photo.distance'"),
        ("width.photo > 5", "names the column 'width.photo'"),
        ("main.t.width > 5", "names the column 'main.t.width'"),
        ("current_user = 'x'", "names the column 'current_user'"),
        ("width > (SELECT 1)", "holds a subquery"),
        ("width IN (SELECT 1)", "holds a subquery"),
        ("EXISTS (SELECT 1)", "holds a subquery"),
        ("(SELECT count(*) FROM read_csv('/etc/passwd')) > 0", "holds a subquery"),
        ("sum(width) > 5", "calls the function sum"),
        ("getenv('HOME') = ''", "calls the function getenv"),
        ("current_setting('temp_directory') = ''", "calls the function current_setting"),
        ("repeat('x', 1000000000) = ''", "calls the function repeat"),
        ("random() < 0.5", "calls the function random"),
        ("lower(DISTINCT caption) = 'x'", "calls the function lower"),
        ("main.lower(caption) = 'x'", "calls the function lower"),
        ("caption.lower() = 'x'", "calls the function lower"),
        ("", "calls the function row"),
        ("row_number() OVER () > 5", "holds a window"),
        ("contains(x -> x, 1)", "holds a lambda"),
        ("caption COLLATE nocase = 'x'", "holds a collate"),
        ("width > ?", "holds a parameter"),
        ("width > $1", "holds a parameter"),
        ("#1 > 5", "holds a positional reference"),
        ("COLUMNS('w.*') > 5", "holds a star"),
        ("caption[1] = 'a'", "holds the operator array extract"),
        ("TRY(width) > 1", "holds the operator operator try"),
        ("width::INTEGER[] IS NULL", "casts to "),
        ("CAST(width AS JSON) = 1", "casts to json"),
        ("tags = 'cat'", "compares the column 'tags', which holds lists of string, as one"),
        ("'cat' <> TAGS", "compares the column 'TAGS', which holds lists"),
        ("tags IN ('cat')", "ask for len(tags), list_contains(tags, value)"),
        ("tags BETWEEN 'a' AND 'b'", "compares the column 'tags'"),
        ("tags LIKE '%cat%'", "compares the column 'tags'"),
        ("NOT (found.classes > 3)", "compares the column 'found.classes'"),
        ("tags.cat = 1", "names the column 'tags.cat'"),
        ("found.none = 1", "names the column 'found.none'"),
        ("taken > 'now'::timestamp", "compares with 'now', which depends on the day of the run"),
        ("CAST('today' AS date) > taken::date", "compares with 'today', which depends on the day"),
        ("TIMESTAMP ' Yesterday ' < taken", "compares with ' Yesterday '"),
        ("taken IN ('tomorrow')", "compares with 'tomorrow'"),
        ("taken BETWEEN 'now' AND '2030-01-01'", "compares with 'now'"),
        ("coalesce(taken, 'now') < '2030-01-01'", "compares with 'now'"),
        ("('no' || 'w')::timestamp < taken", "makes a date of text that it puts together"),
        ("CASE WHEN width > 1 THEN 'x' END::timestamp < taken", "makes a date of text"),
        ("'x'", "holds 'x' where a condition belongs"),
        ("1", "holds '1' where a condition belongs"),
        ("width", "holds the column 'width' where a condition belongs"),
        ("width + 1", "holds the value of + where a condition belongs"),
        ("width > 1 AND caption", "holds the column 'caption' where"),
        ("NOT lower(caption)", "holds the value of lower where a condition belongs"),
        ("CASE WHEN width THEN true END", "holds the column 'width' where"),
        ("CASE WHEN width > 1 THEN 'yes' ELSE false END", "holds 'yes' where"),
        ("coalesce(width, 0)", "where a condition belongs"),
        (GROWING, "may make text that is 1e+03 times as long as what is there, more than 100"),
        ("replace(caption, 'a', caption) = 'x'", "replaces by text that is not written out"),
        (f"replace(caption, 'a', '{'b' * 101}') = 'x'", "101 times as long"),
        (" || ".join(["caption"] * 101) + " = 'x'", "101 times as long"),
        ("caption like '%cat%' and", "is not one SQL expression"),
        ("drop table x; select 1", "is not one SQL expression"),
    ],
)
def test_what_a_predicate_may_not_say(text: str, message: str) -> None:
    with pytest.raises(PlanError) as caught:
        rules.parse("where", text or "()").resolved(SCOPE)
    assert str(caught.value).startswith(("splits.x[0].where ", "splits.x[0].where: "))
    assert message in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "width > 1; DROP TABLE x",
        "1) FROM read_csv('/etc/passwd') WHERE (1",
        "1) AS x, (2",
        "1) ORDER BY (2",
        "1) UNION SELECT (2",
        "width >",
        "width > 1)",
        "/* ",
        "width AS w",
        "(" * 3000 + "width" + ")" * 3000,
        "width = 'a\x00b'",
        "width > 0" + " " * 10_000,
        "SELECT 1 FROM t",
    ],
)
def test_what_is_not_one_expression(text: str) -> None:
    with pytest.raises(PlanError) as caught:
        check_predicate(parse_predicate(text).tree, None, "splits.x[0].where")
    assert len(str(caught.value)) < 900


def test_names_are_not_checked_before_the_pool_is_known() -> None:
    rules.parse("where", "anything > 5").resolved(Scope(parse=parse_predicate))
    with pytest.raises(PlanError, match="subquery"):
        rules.parse("where", "anything > (SELECT 5)").resolved(Scope(parse=parse_predicate))


def test_columns_that_a_predicate_names() -> None:
    tree = parse_predicate(
        "photo.margin > 0 AND width > width + 1 OR lower(caption) = 'x' OR len(\"a.b\") > 1"
    ).tree
    assert named_paths(tree) == (("a.b",), ("caption",), ("photo", "margin"), ("width",))


def test_words_that_may_be_columns_are_found_without_a_parser() -> None:
    text = """clip_score > 0.3 AND clusters.cluster IN (1, 2) -- not captions
        OR lower(caption) LIKE '%it''s basic%' /* nor far */ OR "Odd ""n""; x" = photo . margin"""
    words = words_of(text)
    assert {"clip_score", "clusters", "caption", 'Odd "n"; x', "photo"} <= set(words)
    assert not {"captions", "basic", "far", "cluster", "margin", "lower", "s"} & set(words)
    assert fielded_words(text) == ("clusters", "photo")


def test_identifiers_and_numbers_become_sql_that_means_them() -> None:
    assert quoted('a"b; --') == '"a""b; --"'
    with pytest.raises(ValueError, match="NUL"):
        quoted("a\x00")
    for value in (0.1, 1 / 3, -1e-300, 5, 2**64 - 1):
        assert duckdb.execute(f"SELECT {number(value)}").fetchall() == [(value,)]
    assert duckdb.execute(f"SELECT typeof({number(0.1)})").fetchall() == [("DOUBLE",)]
