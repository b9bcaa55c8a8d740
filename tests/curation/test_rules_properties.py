"""What every rule holds to over small tables of odd values; a new rule comes under it by itself."""

from __future__ import annotations

import itertools
import re
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, fields, replace
from pathlib import Path as Folder
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from selection_pools import UIDS, Desk, desk, loaded, uids_of

from curation import measures, rules
from curation.measures.similarity import Similarity
from curation.rule import Amount, Rule, Scope
from curation.selection import Selection
from curation.selections.rewrite import Rewrite
from indexes.errors import NearfarError, PlanError
from pipeline.files.database import parse_predicate
from pipeline.files.parquet import write_parquet
from pipeline.splits.again.memory import Memory
from pipeline.splits.binding import check
from pipeline.splits.candidates import PoolRows
from pipeline.splits.requests import PoolPart

Rows = list[dict[str, Any]]
ColumnPath = tuple[str, ...]
TEXT, WHOLE = pa.string(), pa.int64()
SET = {"key": TEXT, "caption": TEXT, "label": TEXT, "width": WHOLE}
SCOPE = Scope(("photo", "sketch"), True, parse=parse_predicate, sets={"reference": SET})
OWN = {"caption": TEXT, "key": TEXT, "url": TEXT, "label": TEXT}
"""Columns that every pool has."""
KINDS = (pa.float64(), WHOLE, TEXT, pa.bool_(), pa.list_(pa.int32()), pa.list_(TEXT))
"""What a column may hold of which nothing else is known: the first that the rule's SQL goes with."""
NUMBERS = [None, float("nan"), -0.5, 0.0, 0.25, 0.5, 0.75, 1.0]
WORDS = [None, "", "a", "b", "en", "a cat on a mat"]
LABELS = Folder(tempfile.mkdtemp(prefix="nearfar-properties-")) / "labels.csv"
LABELS.write_text("key,domain\na,photo\nb,sketch\nc,drawing\n", encoding="utf-8")
TOLD = {"domain": {"labels": str(LABELS)}}
"""Options of measures that a rule may ask of which domains there are."""
ANEW = {"trim-tail": "what is rarest is counted anew among what stays"}
"""Rules that drop more where they are applied to what they kept, for another reason than that they take a share."""


@dataclass(frozen=True)
class Fitted:
    """The example of a rule's file, and columns that it can read: their types by path."""

    rule: Rule
    scope: Scope
    kinds: dict[ColumnPath, Any]

    def selection(self) -> Selection:
        return self.rule.selection(self.scope)


def fitted(name: str) -> Fitted:
    example = rules.parse(name, rules.example(name))
    paths = example.resolved(SCOPE).paths(SCOPE)
    known = {path: kind for path in paths if (kind := declared(path)) is not None}
    open_ = [path for path in paths if path not in known]
    for guess in itertools.product(KINDS, repeat=len(open_)):
        kinds = known | dict(zip(open_, guess, strict=True))
        scope = replace(SCOPE, columns=OWN | nested_types(kinds))
        try:
            return Fitted(check(example, scope), scope, kinds)
        except NearfarError as error:
            last = error
    raise AssertionError(f"no column goes with the example of {name}: {last}")


def declared(path: ColumnPath) -> Any:
    """The type of a column of a measure that is known before any pool, or of one of the pool's own."""
    return OWN.get(path[0]) or measured(path[0]).get(path[-1])


def measured(name: str) -> dict[str, Any]:
    """Types of a measure's columns; none where it has to be told options that are not at hand."""
    if name in SCOPE.benchmarks:
        return {column.name: column.type for column in Similarity(name).columns()}
    try:
        return {column.name: column.type for column in measures.parse(name, TOLD.get(name)).columns()}
    except NearfarError:
        return {}


def nested_types(kinds: dict[ColumnPath, Any]) -> dict[str, Any]:
    """Types by column, a struct for a measure of several."""
    found: dict[str, Any] = {}
    for head, paths in itertools.groupby(sorted(kinds), key=lambda path: path[0]):
        of = list(paths)
        whole = measured(head) | {path[-1]: kinds[path] for path in of}
        found[head] = kinds[of[0]] if of == [(head,)] else pa.struct(list(whole.items()))
    return found


def values(kind: Any) -> st.SearchStrategy[Any]:
    if pa.types.is_list(kind):
        return st.one_of(st.none(), st.lists(values(kind.value_type), max_size=4))
    if pa.types.is_boolean(kind):
        return st.sampled_from([None, True, False])
    if pa.types.is_integer(kind):
        return st.sampled_from([None, 0, 1, 2, 300])
    return st.sampled_from(NUMBERS if pa.types.is_floating(kind) else WORDS)


def tables(kinds: dict[ColumnPath, Any]) -> st.SearchStrategy[Rows]:
    columns = {path: values(kind) for path, kind in kinds.items()}
    row = st.fixed_dictionaries({"uid": UIDS, "captions": st.sampled_from(WORDS), **columns})
    return st.lists(row, max_size=24, unique_by=lambda one: one["uid"])


REFERENCE = [{"uid": uid, "label": "ab"[uid % 2], "width": uid % 5} for uid in (1, 2, 3, 2**90)]


@contextmanager
def opened(
    at: Desk, kinds: dict[ColumnPath, Any], parts: Sequence[Rows]
) -> Iterator[tuple[PoolRows, Memory]]:
    """Write rows as parts of a pool with its measures, and load them beside the reference."""
    with tempfile.TemporaryDirectory(dir=at.folder) as name:
        files = [_written(Folder(name), number, rows, kinds) for number, rows in enumerate(parts)]
        pool, table = loaded(at.db, files)
        pool.sets["reference"] = at.more
        try:
            sets = {"reference": at.more_rows}
            yield PoolRows(pool), Memory(table, {}, at.plain, pool.columns, sets)
        finally:
            pool.clear()
            at.db.execute("DROP VIEW candidates; DROP TABLE pool")


def _written(folder: Folder, number: int, rows: Rows, kinds: dict[ColumnPath, Any]) -> PoolPart:
    uids = pa.array([f"{row['uid']:032x}" for row in rows], TEXT)
    own = {"uid": uids, "row": pa.array(range(len(rows)), WHOLE)}
    own |= {name: pa.array([row["captions"] for row in rows], TEXT) for name in OWN}
    columns = {path: pa.array([row[path] for row in rows], kind) for path, kind in kinds.items()}
    files: dict[str, str] = {}
    for head, of in itertools.groupby(sorted(columns), key=lambda path: path[0]):
        paths = list(of)
        if paths == [(head,)] and head.replace("_", "-") not in measures.names():
            own[head] = columns[head,]
            continue
        table = pa.table({"uid": uids, **{path[-1]: columns[path] for path in paths}})
        files[head] = str(folder / f"{number}-{len(files)}.parquet")
        write_parquet(Folder(files[head]), table, table.schema)
    path = folder / f"{number}.parquet"
    write_parquet(path, pa.table(own), pa.table(own).schema)
    return PoolPart(str(path), measures=files)


def decided(rows: PoolRows, selection: Selection) -> tuple[PoolRows, dict[int, int], dict[str, Any]]:
    """Apply a rule: what is left, how often each uid stays, and the facts; each row is kept or dropped, once."""
    reaching = rows.reaching(selection)
    decision = selection.decide(reaching)
    left = reaching.after(decision)
    found = left.db.execute(left.surviving(f"uid, ({decision.times or 1})::BIGINT")).fetchall()
    lost = left.db.execute(f"SELECT uid FROM ({left.lost('key')})").fetchall()
    before = rows.db.execute(f"SELECT uid FROM ({rows.lost('key')})").fetchall()
    reached = reaching.db.execute(reaching.surviving("uid")).fetchall()
    assert sorted([*found_uids(found), *found_uids(lost)]) == sorted(
        [*found_uids(reached), *found_uids(before)]
    )
    return left, {uid.int: int(n) for uid, n in found}, decision.facts


def found_uids(rows: Sequence[Sequence[Any]]) -> list[int]:
    return [row[0].int for row in rows]


def takes_a_share(value: Any) -> bool:
    """Whether a number of a selection is a share of what reaches it."""
    if isinstance(value, Amount):
        return value.fraction is not None
    if isinstance(value, Selection):
        return any(takes_a_share(getattr(value, each.name)) for each in fields(value))  # type: ignore[arg-type]
    return isinstance(value, tuple | list) and any(map(takes_a_share, value))


def smaller(rule: Rule) -> Rule | None:
    """The same rule with one number made smaller, where its other options go with that."""
    for name in ("keep", "per_class", "cap", "most", "fraction"):
        value = getattr(rule, name, None)
        if (
            isinstance(value, bool)
            or not isinstance(value, int | float)
            or (value == 1 and name != "fraction")
        ):
            continue
        with suppress(ValueError):
            return replace(rule, **{name: value / 2 if name == "fraction" else max(value - 1, 0)})  # type: ignore[type-var]
    return None


def says_nested(of: Fitted) -> bool:
    text = f"{type(of.rule).__doc__} {type(of.selection()).__doc__}"
    return (
        re.search(r"nested|lies inside|inside a larger|a part of what a larger one keeps", text) is not None
    )


@pytest.fixture(scope="module")
def at(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with desk(tmp_path_factory.mktemp("properties"), REFERENCE) as made:
        yield made


@pytest.mark.parametrize("name", rules.names())
def test_every_rule_holds_to_its_word(at: Desk, name: str) -> None:
    of = fitted(name)
    selection = of.selection()

    @settings(max_examples=4, deadline=None, suppress_health_check=list(HealthCheck))
    @given(rows=tables(of.kinds), random=st.randoms(use_true_random=False))
    def holds(rows: Rows, random: Any) -> None:
        blank = {"captions": None, **dict.fromkeys(of.kinds)}
        rows = [*rows, *({"uid": uid, **blank} for uid in (2**120, 2**121))]
        with opened(at, of.kinds, [rows]) as (whole, memory):
            left, kept, facts = decided(whole, selection)
            assert facts == selection.decide(whole.reaching(selection)).facts
            seen = memory.reaching(selection)
            times = selection.times(seen)
            assert kept == {uid: int(n) for uid, n in zip(uids_of(seen), times, strict=True) if n}
            if of.kinds and not isinstance(selection, Rewrite):
                assert not {2**120, 2**121} & kept.keys(), "NULL drops"
            if isinstance(getattr(selection, "amount", None), Amount) and "wanted" in facts:
                assert len(kept) == facts["wanted"] - facts.get("short", 0)
            if selection.brings() is None and name not in ANEW and not takes_a_share(selection):
                assert decided(left, selection)[1] == kept, "what it kept, it keeps"
            fewer = smaller(of.rule)
            if fewer is not None and says_nested(of):
                assert decided(whole, fewer.selection(of.scope))[1].keys() <= kept.keys()
        random.shuffle(rows)
        with opened(at, of.kinds, [rows[:5], rows[5:]]) as (cut, _):
            assert decided(cut, selection)[1] == kept, "neither order nor parts decide"

    holds()


def test_a_seed_decides(at: Desk) -> None:
    """Another seed is another draw, for every rule that has one and draws."""
    rows: Rows = [{"uid": uid, "captions": "a cat"} for uid in range(200)]
    with opened(at, {}, [rows]) as (whole, _):
        draws = [
            decided(whole, rules.parse("random", {"keep": 20, "seed": seed}).selection(SCOPE))[1]
            for seed in (0, 0, 1)
        ]
    assert draws[0] == draws[1] != draws[2]


def test_a_column_that_nothing_fits_is_said() -> None:
    assert fitted("clip-score").kinds.keys() == {("clip_score",)}
    with pytest.raises(PlanError, match="names the column"):
        check(rules.parse("where", "nowhere > 1"), replace(SCOPE, columns=OWN))
