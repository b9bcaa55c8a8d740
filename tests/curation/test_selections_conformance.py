"""What every file under curation/selections keeps to; a new kind of selection is picked up by itself."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import example as tried
from hypothesis import strategies as st
from selection_pools import MORE, ROWS, Desk, Opened, desk, mask, opened, rooted, without_values

from curation import selections
from curation.rule import Amount
from curation.selection import Selection
from curation.selections.drop import Drop
from indexes.errors import UnknownNameError

EXAMPLES = [(name, place) for name in selections.names() for place in range(len(selections.examples(name)))]
EVERY_EXAMPLE = pytest.mark.parametrize(("name", "place"), EXAMPLES)
EVERY_KIND = pytest.mark.parametrize("name", selections.names())
ORDINARY = settings(
    max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
Rows = list[dict[str, Any]]


@pytest.fixture(scope="module")
def at(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with desk(tmp_path_factory.mktemp("selections")) as made:
        yield made


def example(name: str, place: int, at: Desk) -> Selection:
    return rooted(selections.examples(name)[place], at.folder)


def test_the_kinds_are_there() -> None:
    kinds = {"balance", "best-rank", "cap", "drop", "members", "quota", "rank", "repeat", "rewrite"}
    assert set(selections.names()) >= kinds
    with pytest.raises(UnknownNameError, match="unknown selection 'rnak'; available: addition, allotment, "):
        selections.kind("rnak")


@EVERY_KIND
def test_a_selection_is_a_frozen_slotted_dataclass_with_words(name: str) -> None:
    kind = selections.kind(name)
    assert is_dataclass(kind)
    assert kind.__dataclass_params__.frozen  # type: ignore[attr-defined]
    assert "__slots__" in vars(kind)
    assert kind.__doc__
    for one in selections.examples(name):
        assert type(one) is kind
        assert len(one.words()) > 10
        assert one.expressions()
        assert replace(one, said="SAID").words() != one.words()  # type: ignore[type-var]


@EVERY_EXAMPLE
@pytest.mark.parametrize("gone", [None, float("nan")])
def test_what_is_not_known_drops(at: Desk, name: str, place: int, gone: float | None) -> None:
    selection = example(name, place, at)
    known = [
        {
            "uid": n,
            "key": "k1",
            "caption": "c",
            "label": "a",
            "score": 0.6,
            "other": 0.6,
            "tags": ["x"],
            "width": 2,
        }
        for n in range(3)
    ]
    blank = [without_values(row | {"uid": row["uid"] + 100}, gone) for row in known]
    with opened(at, [known + blank]) as pool:
        kept = pool.kept(selection)
        reads = " ".join(selection.expressions())
        if (
            any(column in reads for column in ("score", "other", "label", "tags", "width", "key"))
            and name != "rewrite"
        ):
            assert not {row["uid"] for row in blank} & kept.keys(), "NULL and NaN drop"


@pytest.mark.parametrize("count", [0, 1, 3], ids=["nothing", "one row", "one class"])
def test_pools_of_hardly_anything(at: Desk, count: int) -> None:
    row = {"key": "k1", "caption": "c", "label": "a", "score": 0.6, "other": 0.6, "tags": ["x"], "width": 2}
    with opened(at, [[row | {"uid": number} for number in range(count)], []]) as pool:
        for each in EXAMPLES:
            selection = example(*each, at)
            assert pool.kept(selection) == pool.oracle(selection), each
            the_facts_on_record_decide_the_same(pool, selection)
            if isinstance(getattr(selection, "amount", None), Amount):
                none = replace(selection, amount=Amount(keep=0))  # type: ignore[type-var, call-arg]
                assert pool.kept(none) == pool.oracle(none), f"nothing of {each}"


def smaller(selection: Selection) -> Selection | None:
    """The same selection of fewer samples, where it has a number to make smaller."""
    names = {each.name for each in fields(selection)}  # type: ignore[arg-type]
    if "amount" in names:
        return replace(selection, amount=_less(selection.amount))  # type: ignore[type-var, attr-defined]
    if "most" in names and selection.most > 1:  # type: ignore[attr-defined]
        return replace(selection, most=selection.most - 1)  # type: ignore[type-var, attr-defined]
    counts = getattr(selection, "counts", None)
    if isinstance(counts, Amount):
        return replace(selection, counts=_less(counts))  # type: ignore[type-var]
    if counts:
        return replace(selection, counts=tuple((value, _less(amount)) for value, amount in counts))  # type: ignore[type-var]
    return None


def _less(amount: Amount) -> Amount:
    if amount.keep is not None:
        return Amount(keep=max(amount.keep - 1, 0))
    return Amount(fraction=(amount.fraction or 0) / 2)


def _uids(rows: Any, query: str) -> set[int]:
    return {uid.int for (uid,) in rows.db.execute(query).fetchall()}


def the_facts_on_record_decide_the_same(pool: Opened, selection: Selection) -> None:
    facts = json.loads(json.dumps(selection.decide(pool.rows.reaching(selection)).facts))
    again = selection.again(pool.memory, facts)
    if again is not None:
        assert again.tolist() == mask(pool.memory, set(pool.oracle(selection))).tolist()


def fewer_lie_within_more(pool: Opened, selection: Selection) -> None:
    fewer = smaller(selection)
    # Keys of a quota take turns: what one takes less, the next may take. So do the clusters of an allotment.
    if fewer is not None and not isinstance(
        selection, selections.kind("quota") | selections.kind("allotment")
    ):
        assert set(pool.kept(fewer)) <= set(pool.kept(selection))


def it_sees_only_what_earlier_rules_left(pool: Opened, selection: Selection) -> None:
    left = pool.rows.without("nullif(other, 'nan'::DOUBLE) < 0.5")
    earlier = pool.memory.where(mask(pool.memory, _uids(left, left.surviving("uid"))))
    left, inside = left.reaching(selection), earlier.reaching(selection)
    decision = selection.decide(left)
    found = _uids(left, left.after(decision).surviving("uid"))
    stays = selection.times(inside) > 0
    assert found == {(int(h) << 64) | int(low) for h, low in inside.uids[stays].tolist()}


HOLDS = (
    the_facts_on_record_decide_the_same,
    fewer_lie_within_more,
    it_sees_only_what_earlier_rules_left,
)
"""What holds of each selection over whatever rows; to write and load these takes longer than to look."""


@EVERY_EXAMPLE
@ORDINARY
@given(rows=ROWS, seed=st.randoms(use_true_random=False), parts=st.integers(1, 4))
def test_what_holds_of_a_selection(
    at: Desk, name: str, place: int, rows: Rows, seed: Any, parts: int
) -> None:
    selection = example(name, place, at)
    with opened(at, [rows]) as pool:
        kept = pool.kept(selection)
        assert kept == pool.oracle(selection)
        for holds in HOLDS:
            holds(pool, selection)
    shuffled = list(rows)
    seed.shuffle(shuffled)
    with opened(at, [shuffled[n::parts] for n in range(parts)]) as pool:
        assert pool.kept(selection) == kept, "neither order nor parts decide"


def first_addition(steps: list[Selection]) -> int:
    return next(n for n, each in enumerate(steps) if each.brings() is not None)


PLAIN = (
    Drop("NOT (score > 0.5)"),
    Drop("other > 0.5"),
    Drop("NOT (score >= other)"),
    Drop("score IN (0.25, 1.0)"),
)
"""Predicates as a `where` has them: they name columns and say nothing of NaN."""


@tried(
    chosen=[("subset", 0)],
    rows=[
        dict.fromkeys(("key", "caption", "label", "score", "other", "tags", "width")) | {"uid": 0},
        dict.fromkeys(("key", "caption", "other", "tags", "width"))
        | {"uid": 1, "label": "a", "score": float("nan")},
    ],
    infinite=False,
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    chosen=st.lists(st.sampled_from([*EXAMPLES, *PLAIN]), min_size=1, max_size=3),
    rows=ROWS,
    infinite=st.booleans(),
)
def test_no_row_is_lost_between_selections_that_follow_one_another(
    at: Desk, chosen: list[Any], rows: Rows, infinite: bool
) -> None:
    """Alone or after one another, each row is kept or dropped by one step, NaN is dropped, and the oracle agrees."""
    steps = [one if isinstance(one, Selection) else example(*one, at) for one in chosen]
    # A set joins once; a plan that adds it twice is refused.
    steps = [each for n, each in enumerate(steps) if each.brings() is None or n == first_addition(steps)]
    if infinite:
        rows = [row | {"other": float("inf")} if row["other"] == 1.0 else row for row in rows]
    with opened(at, [rows]) as pool:
        left, memory, joined = pool.rows, pool.memory, list[int]()
        for selection in steps:
            left, memory = left.reaching(selection), memory.reaching(selection)
            joined += [] if selection.brings() is None else [row["uid"] for row in MORE]
            left = left.after(selection.decide(left))
            memory = memory.where(selection.times(memory) > 0)
        kept = [uid.int for (uid,) in left.db.execute(left.surviving("uid")).fetchall()]
        lost = [uid.int for (uid,) in left.db.execute(f"SELECT uid FROM ({left.lost('key')})").fetchall()]
    assert sorted(kept + lost) == sorted([*joined, *(row["uid"] for row in rows)])
    assert set(kept) == {(int(high) << 64) | int(low) for high, low in memory.uids.tolist()}
    read = " ".join(text for selection in steps for text in selection.expressions())
    unknown = {row["uid"] for row in rows if "score" in read and row["score"] != row["score"]} - {*joined}
    assert not unknown & set(kept), "NaN drops, in whichever rule names it"
