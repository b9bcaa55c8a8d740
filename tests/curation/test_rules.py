"""Each rule's options, messages and the selection it asks for."""

from __future__ import annotations

import pyarrow as pa
import pytest

from curation import rules
from curation.rule import Amount, Scope
from curation.selections.best_rank import BestRank
from curation.selections.cap import Cap
from curation.selections.drop import Drop
from curation.selections.quota import Quota
from curation.selections.rank import Rank
from indexes.errors import PlanError, UnknownNameError
from pipeline.files.database import parse_predicate

SCOPE = Scope(benchmarks=("photo", "sketch", "art"), reference=True, where="splits.x[0].near")


def selection(name: str, options: object, scope: Scope = SCOPE) -> object:
    return rules.parse(name, options, "splits.x[0]").resolved(scope).selection(scope)


def test_the_rules_are_there() -> None:
    assert set(rules.names()) >= {"basic", "cap", "clip-score", "far", "near", "random", "where"}


def test_near_is_per_query_by_default() -> None:
    assert selection("near", {"to": ["sketch"]}) == Drop('nullif("sketch"."margin", \'nan\'::DOUBLE) > 0')


def test_all_expands_in_plan_order() -> None:
    rule = rules.parse("near", {}).resolved(SCOPE)
    assert rule.to == ("photo", "sketch", "art")
    assert rules.parse("near", {"to": ["art", "photo"]}).resolved(SCOPE).to == ("photo", "art")


def test_near_and_far_of_one_threshold_ask_the_opposite() -> None:
    near, far = selection("near", {"threshold": 0.9}), selection("far", {"threshold": 0.9})
    assert isinstance(near, Drop)
    assert far == Drop(f"NOT ({near.predicate})")
    assert "'0.9'::DOUBLE" in near.predicate


def test_far_combines_by_max_quota_or_rank() -> None:
    highest = selection("far", {"keep": 7})
    assert isinstance(highest, Rank)
    assert highest.highest
    assert highest.amount == Amount(keep=7)
    assert isinstance(selection("far", {"keep": 7, "combine": "quota"}), Quota)
    assert isinstance(selection("far", {"fraction": 0.5, "combine": "rank"}), BestRank)


def test_random_names_the_split_it_follows() -> None:
    rule = rules.parse("random", {"like": "core", "seed": 3})
    assert rule.follows() == ("core",)
    assert rules.parse("random", {"keep": 1}).follows() == ()


@pytest.mark.parametrize(
    ("fraction", "rows", "kept"),
    [(1.0, 7, 7), (0.5, 7, 4), (0.29, 50, 15), (0.1, 5, 1), (0.1, 4, 0), (1e-3, 400_000_001, 400_000)],
)
def test_a_fraction_is_the_decimal_that_was_written(fraction: float, rows: int, kept: int) -> None:
    assert Amount(fraction=fraction).of(rows, {}) == kept


def test_like_takes_the_other_split_s_size() -> None:
    assert Amount(like="core").of(10, {"core": 3}) == 3


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        (
            "near",
            {"treshold": 1},
            "unknown option 'treshold' at splits.x[0].near; rule takes: fraction",
        ),
        ("near", {"keep": 1, "fraction": 0.5}, "keep and fraction exclude each other"),
        ("near", {"keep": True}, "splits.x[0].near.keep is True; it should be a valid integer"),
        ("near", {"keep": 0}, "greater than or equal to 1"),
        ("near", {"keep": "5"}, "valid integer"),
        ("near", {"threshold": 90}, "near.threshold is 90; it should be less than or equal to 1 or"),
        ("near", {"threshold": float("nan")}, "less than or equal to 1"),
        ("near", {"to": []}, "should name at least one"),
        ("near", {"to": [1]}, "near.to is 1; it should be a valid string or should be 'all'"),
        ("near", {"to": "photo"}, "a list of names or should be 'all'"),
        ("near", ["photo"], "must be a mapping of options, got ['photo']; it takes: fraction"),
        ("far", {}, "does not say how many samples stay; give one of: keep, fraction, threshold"),
        ("far", {"threshold": 0.5, "combine": "rank"}, "combine: rank takes keep or fraction"),
        ("far", {"keep": 1, "combine": "min"}, "'max', 'quota' or 'rank'"),
        ("far", {"fraction": 1.5}, "less than or equal to 1"),
        ("random", {"keep": 1, "seed": -1}, "greater than or equal to 0"),
        ("random", {"seed": 1}, "give one of: keep, fraction, like"),
        ("where", 5, "where.predicate is 5; it should be a valid string"),
        ("where", {}, "where.predicate is missing; rule takes: predicate"),
        ("clip-score", {}, "give one of: threshold, fraction, keep"),
        ("clip-score", {"threshold": 0.3, "keep": 1}, "threshold and keep exclude each other"),
        ("cap", {"by": "label"}, "cap.most is missing; rule takes: by, most, seed"),
        ("cap", {"by": "label", "most": 0}, "greater than or equal to 1"),
    ],
)
def test_a_wrong_option_is_answered(name: str, options: object, message: str) -> None:
    with pytest.raises(PlanError) as caught:
        rules.parse(name, options, "splits.x[0]")
    assert message in str(caught.value)


def test_an_unknown_rule_is_answered_with_the_rules_there_are() -> None:
    with pytest.raises(
        UnknownNameError, match=r"unknown rule 'nera'; available: .*far, .*near, .*splits.x\[0\]"
    ):
        rules.parse("nera", {}, "splits.x[0]")


@pytest.mark.parametrize(
    ("name", "options", "scope", "message"),
    [
        (
            "near",
            {"to": ["skech"]},
            SCOPE,
            "benchmark 'skech' is not in this plan; it has: photo, sketch, art",
        ),
        ("far", {"to": ["art", "art"], "keep": 1}, SCOPE, "stands twice"),
        ("near", {}, Scope(("photo",)), "no reference to calibrate it"),
        ("far", {"threshold": "per_query"}, Scope(("photo",)), "no reference to calibrate it"),
        ("far", {"keep": 1}, Scope(), "this plan has no benchmark"),
    ],
)
def test_what_the_plan_lacks_is_named(name: str, options: object, scope: Scope, message: str) -> None:
    with pytest.raises(PlanError) as caught:
        rules.parse(name, options).resolved(scope)
    assert message in str(caught.value)


def test_near_without_a_reference_takes_a_threshold() -> None:
    scope = Scope(("photo",), where="splits.x[0].near")
    assert isinstance(selection("near", {"threshold": 0.5}, scope), Drop)
    assert isinstance(selection("near", {"keep": 5}, scope), Rank)


OWN = {"original_width": pa.int32(), "WIDTH": pa.int32(), "Height": pa.float64(), "score": pa.float32()}
OWN |= {"text": pa.string()}
TYPES = OWN | {"captions": pa.struct([("words", pa.int32()), ("characters", pa.int32())])}
KNOWN = Scope(where="splits.x[0].basic", parse=parse_predicate, columns=TYPES)


def test_a_rule_says_which_columns_it_reads() -> None:
    scope = Scope(("photo", "art"), True, parse=parse_predicate)
    reads = {
        ("near", ()): {"photo.margin", "art.margin"},
        ("far", (("keep", 3), ("to", ("art",)))): {"art.similarity"},
        ("random", (("keep", 3),)): set(),
        ("where", (("predicate", "lower(caption) = 'x' AND photo.nearest = 3"),)): {
            "caption",
            "photo.nearest",
        },
        ("clip-score", (("threshold", 0.3),)): {"clip_score"},
        ("clip-score", (("keep", 3), ("column", "my score"))): {"my score"},
        ("cap", (("by", "clusters.cluster"), ("most", 1))): {"clusters.cluster"},
        ("basic", ()): {"captions.words", "captions.characters", "original_width", "original_height"},
    }
    for (name, options), columns in reads.items():
        assert set(rules.parse(name, dict(options)).resolved(scope).reads(scope)) == columns, name


@pytest.mark.parametrize(
    ("name", "options", "measures"),
    [
        ("where", {"predicate": "clusters.cluster = 3 AND caption = 'basic'"}, {"clusters", "caption"}),
        ("cap", {"by": "lower(classes.name)", "most": 1}, {"classes"}),
        ("clip-score", {"threshold": 0.3}, {"clip_score"}),
        ("clip-score", {"threshold": 0.3, "column": "mine"}, {"mine"}),
        ("random", {"keep": 1}, set()),
    ],
)
def test_measures_are_named_before_a_parser_is_there(name: str, options: object, measures: set[str]) -> None:
    assert measures <= set(rules.parse(name, options).reads_measures())
    assert "basic" not in rules.parse(name, options).reads_measures()


def test_the_sides_of_an_image_are_found_by_their_aliases() -> None:
    basic = rules.parse("basic", {}).resolved(KNOWN)
    assert rules.dump(basic) == ("basic", {"width": "original_width", "height": "Height"})
    named = rules.parse("basic", {"width": "WIDTH"}).resolved(KNOWN)
    assert rules.dump(named)[1]["width"] == "WIDTH"
    bare = Scope(where="splits.x[0].basic", columns={"width": pa.int32(), "text": pa.string()})
    with pytest.raises(
        PlanError, match=r"needs the height of .*original_height, height; it has: text, width"
    ):
        rules.parse("basic", {}).resolved(bare)
    with pytest.raises(
        PlanError, match=r"basic.width names the column 'text', which holds string, not numbers"
    ):
        rules.parse("basic", {"width": "text"}).resolved(KNOWN)


def test_a_score_column_must_be_there_and_hold_numbers() -> None:
    rules.parse("clip-score", {"keep": 1, "column": "SCORE"}).resolved(KNOWN)
    for column, problem in (
        ("text", "holds string"),
        ("scor", "is not there; columns of numbers: Height, WIDTH"),
    ):
        with pytest.raises(PlanError, match=f"column names the column '{column}', which {problem}"):
            rules.parse("clip-score", {"keep": 1, "column": column}).resolved(KNOWN)


def test_what_a_cap_groups_by_is_checked_like_a_predicate() -> None:
    assert isinstance(rules.parse("cap", {"by": "text", "most": 1}).resolved(KNOWN).selection(KNOWN), Cap)
    refused = {"tekst": "names the column 'tekst'", "count(*)": "calls the function count", "a; b": "not one"}
    for by, problem in refused.items():
        with pytest.raises(PlanError, match=problem.replace("(", "[(]")):
            rules.parse("cap", {"by": by, "most": 1}).resolved(KNOWN)
