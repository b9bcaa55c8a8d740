"""Rules that read captions or write other ones, against plain Python."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any
from uuid import UUID

import pyarrow as pa
import pytest
from class_pools import COLUMNS, SCOPE, Kept, pool_of, sample, selected

from curation import rules
from curation.measures.of_class._openai_templates import openai_templates
from curation.predicates import named_paths
from indexes.errors import PlanError
from pipeline.files.database import parse_predicate

HOSTILE = "a\x00b \u202eemoc\u0301 <b>'; DROP TABLE pool; -- \u00e9"


def rewritten(pool: Kept, options: dict[str, Any]) -> dict[int, str | None]:
    """The new caption of each sample."""
    decision = selected("caption-detail", options).decide(pool.pool.rows)
    rows = pool.pool.rows
    found = rows.db.execute(rows.surviving(f"uid, {decision.caption}")).fetchall()
    return {uid.int: caption for uid, caption in found}


def test_language_keeps_codes_in_either_case(tmp_path: Path) -> None:
    rows = [sample(n, label=code) for n, code in enumerate(["en", "EN", "de", "eng", "", None])]
    with pool_of(tmp_path, rows) as pool:
        assert pool.by("language", {"of": ["En"], "column": "label"}) == {0, 1}
        assert pool.by("language", {"of": ["en", "de"], "column": "label"}) == {0, 1, 2}


def test_text_based_takes_a_class_and_english(tmp_path: Path) -> None:
    found = [(["x"], "en"), (["x", "y"], "EN"), ([], "en"), (None, "en"), (["x"], "de"), (["x"], None)]
    rows = [sample(n, tags=tags, label=code) for n, (tags, code) in enumerate(found)]
    with pool_of(tmp_path, rows) as pool:
        assert pool.by("text-based", {"by": "tags", "language": "label"}) == {0, 1}
        assert pool.by("text-based", {"by": "tags"}) == {0, 1, 4, 5}
    with pytest.raises(PlanError, match=r"names the column 'text_based\.found', which is not there"):
        selected("text-based", {})


CAPTIONS = [
    "A Sketch of a dog",
    "sketches of dogs",
    "sketch",
    "pencil-sketch!",
    "presketch",
    "line  art",
    "line\tart.",
    "lineart",
    "C++ for you",
    "C+ for you",
    "un dessin Édité",
    "un dessin éditée",
    "",
    "sketch2",
    "sketch_2",
    HOSTILE,
]


def test_domain_words_divide_the_captions(tmp_path: Path) -> None:
    rows = [sample(n, caption=caption) for n, caption in enumerate([*CAPTIONS, None])]
    words = ["sketch", "line art", "C++", "édité"]
    with pool_of(tmp_path, rows) as pool:
        inside = pool.by("domain-words", {"words": words})
        assert inside == {0, 2, 3, 5, 6, 8, 10, 14}
        assert (
            pool.by("domain-words", {"words": words, "keep": "without"}) == set(range(len(CAPTIONS))) - inside
        )
        plain = re.compile(r"(?<![^\W_])sketch(?![^\W_])", re.IGNORECASE)
        expected = {n for n, caption in enumerate(CAPTIONS) if plain.search(caption)}
        assert pool.by("domain-words", {"words": ["Sketch"]}) == expected


def test_a_label_alone_is_written_into_the_slot(tmp_path: Path) -> None:
    rows = [sample(0, caption="x", label="it's a 100% dog"), sample(1, caption="y")]
    with pool_of(tmp_path, rows) as pool:
        options = {"template": "a photo of a {class}, 'really'"}
        assert rewritten(pool, options) == {0: "a photo of a it's a 100% dog, 'really'", 1: None}
        assert pool.by("caption-detail", options) == {0, 1}, "nothing drops"


def drawn(uid: int, caption: str, name: str | None, probability: float, seed: int) -> str:
    """The rule in plain Python, a word at a time."""
    class_words = [] if name is None else name.lower().split()
    kept = []
    words = re.split(r"[\t\n\f\r ]+", caption)
    for place, word in enumerate(words, 1):
        digest = hashlib.md5(f"{UUID(int=uid)}:{seed}:{place}".encode()).digest()
        low = int.from_bytes(digest[8:], "little") < probability * 2**64
        if word and (low or word.strip(".,;:!?\"'`()[]{}<>").lower() in class_words):
            kept.append(word)
    return " ".join(kept)


def test_words_drop_by_hash_and_the_class_stays(tmp_path: Path) -> None:
    text = "  a brown Dog, (asleep) on\nthe  old sofa "
    rows = [sample(n, caption=text, label="DOG") for n in range(200)]
    rows += [sample(900, caption=HOSTILE), sample(901, label="dog"), sample(902, caption="", label="dog")]
    with pool_of(tmp_path, rows) as pool:
        of = {p: rewritten(pool, {"words": p, "seed": 4}) for p in (0.1, 0.5, 1.0)}
    for p, found in of.items():
        for row in rows:
            caption = row["caption"]
            expected = None if caption is None else drawn(row["uid"], caption, row["label"], p, 4)
            assert found[row["uid"]] == expected
    assert of[1.0][0] == "a brown Dog, (asleep) on the old sofa"
    assert all("Dog," in (of[0.1][n] or "") for n in range(200))
    kept = [set((of[p][7] or "").split()) for p in (0.1, 0.5, 1.0)]
    assert kept[0] <= kept[1] <= kept[2]
    words = sum(len((of[0.5][n] or "").split()) - 1 for n in range(200))
    assert abs(words / (200 * 7) - 0.5) < 0.06


def test_a_user_s_columns_may_be_called_like_words() -> None:
    columns = COLUMNS | {"word": pa.string(), "place": pa.string()}
    scope = type(SCOPE)(where="x", parse=parse_predicate, columns=columns)
    rule = rules.parse("caption-detail", {"words": 0.5, "name": "word || place"}).resolved(scope)
    assert set(rule.reads(scope)) == {"caption", "word", "place"}


def test_what_a_lambda_calls_its_arguments_is_no_column() -> None:
    tree = parse_predicate(
        "list_filter(a, lambda b: b > c AND list_has_any(d, list_filter(b, lambda e: e > b)))"
    ).tree
    assert named_paths(tree) == (("a",), ("c",), ("d",))
    with pytest.raises(PlanError, match="calls the function list_filter, which a predicate may not"):
        selected("where", {"predicate": "len(list_filter(tags, lambda t: t = 'x')) > 1"})


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("compose", {"front": "a dog"}, "has the slot {class} 0 times; write it once"),
        ("compose", {"of": []}, "should name at least one"),
        ("language", {"of": [], "column": "label"}, "should name at least one"),
        ("language", {"of": ["en"]}, "language.column is missing; rule takes: column, of"),
        ("domain-words", {"words": ["a", "  "]}, "words has '  ', which is no word"),
        ("domain-words", {"words": ["a"], "keep": "both"}, "'with' or 'without'"),
        ("caption-detail", {}, "give one of: template, words"),
        ("caption-detail", {"template": "a photo"}, "has the slot {class} 0 times; write it once"),
        ("caption-detail", {"template": "{class} {class}"}, "has the slot {class} 2 times"),
        ("caption-detail", {"words": 0.0}, "greater than 0"),
        ("caption-detail", {"words": 0.5, "template": "{class}"}, "give one of: template, words"),
    ],
)
def test_a_wrong_option_is_answered(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(PlanError) as caught:
        rules.parse(name, options, "splits.x[0]")
    assert message in str(caught.value)


def test_one_of_the_eighty_templates_is_drawn(tmp_path: Path) -> None:
    """The published list, read from the package without importing it, against the list itself."""
    from open_clip.zero_shot_metadata import OPENAI_IMAGENET_TEMPLATES

    written = [template("{class}") for template in OPENAI_IMAGENET_TEMPLATES]
    assert list(openai_templates()) == written
    rows = [sample(n, caption="x", label="tench") for n in range(800)]
    with pool_of(tmp_path, [*rows, sample(900, caption="x")]) as pool:
        found = rewritten(pool, {"template": "openai", "seed": 3})
    assert found.pop(900) is None
    for uid, caption in found.items():
        digest = hashlib.md5(f"{UUID(int=uid)}:3:template".encode()).digest()
        place = int.from_bytes(digest[8:], "little") % 80
        assert caption == written[place].replace("{class}", "tench")
    assert len(set(found.values())) == 80


def test_a_synonym_is_drawn_among_the_names_of_the_class(tmp_path: Path) -> None:
    """Great white shark has four names; crane names two classes, so that it stays as it is; so does an unknown name."""
    names = {"great white shark", "white shark", "man-eater", "man-eating shark"}
    labels = ["n01484850", "Great_White_Shark", "crane", "no class", None]
    rows = [
        sample(5 * n + at, caption="x", label=label) for n in range(40) for at, label in enumerate(labels)
    ]
    with pool_of(tmp_path, rows) as pool:
        found = rewritten(pool, {"template": "a {class}", "synonyms": "imagenet-1k"})
    sharks = [found[5 * n + at] for n in range(40) for at in (0, 1)]
    assert {f"a {name}" for name in names} <= {
        str(shark).replace("Carcharodon carcharias", "x") for shark in sharks
    }
    assert {found[5 * n + 2] for n in range(40)} == {"a crane"}
    assert {found[5 * n + 3] for n in range(40)} == {"a no class"}
    assert {found[5 * n + 4] for n in range(40)} == {None}


def test_options_that_do_not_go_together_are_refused() -> None:
    for options in ({}, {"words": 0.5, "without": ["colours"]}, {"words": 0.5, "synonyms": "imagenet-1k"}):
        with pytest.raises(PlanError, match=r"give one of|goes with template"):
            rules.parse("caption-detail", options)
    with pytest.raises(PlanError, match="goes with front"):
        rules.parse("compose", {"synonyms": "imagenet-1k"})
