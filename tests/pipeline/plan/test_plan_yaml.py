from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from indexes.errors import DataError, PlanError
from pipeline.documents.yaml_safe import MAX_BYTES, dump_yaml, load_yaml, parse_yaml
from pipeline.documents.yaml_scalars import AmbiguousScalarError, resolve_plain


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("true", True), ("False", False), ("null", None), ("~", None), ("", None),
        ("12", 12), ("-3", -3), ("+4", 4), ("100_000_000", 100_000_000), ("0", 0), ("0o17", 15), ("0x1F", 31),
        ("1e3", 1000), ("1E8", 100_000_000), ("2.5e1", 25), ("1.5", 1.5), ("-.5", -0.5), ("1.", 1.0), ("1.0", 1.0),
        ("1e-3", 0.001), ("1e300", 1e300),
    ],
)  # fmt: skip
def test_core_schema_values(text: str, value: object) -> None:
    found = resolve_plain(text)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    "text",
    ["no", "No", "NO", "yes", "on", "off", "y", "n", "12:30", "1:30:00", "2024-01-01", "2024-01-01T00:00:00Z",
     "1__000", "_1", "1_", "0b101", "0o8", "0xG", "1e", "=", "<<", "tRUE", "nul"],
)  # fmt: skip
def test_what_yaml_1_1_would_make_something_else_stays_text(text: str) -> None:
    assert resolve_plain(text) == text


@pytest.mark.parametrize("text", ["010", "08", "-007", "00", ".nan", ".inf", "-.Inf", "1e999", "9" * 41])
def test_ambiguous_scalars_are_refused(text: str) -> None:
    with pytest.raises(AmbiguousScalarError, match=r"quote|write"):
        resolve_plain(text)


@pytest.mark.parametrize(
    ("text", "place", "why"),
    [
        (
            "a: !!python/object/apply:os.system ['true']",
            "1:4",
            "the tag tag:yaml.org,2002:python/object/apply",
        ),
        ("a: !!str 3", "1:4", "tag"),
        ("!mine a: 1", "1:1", "without tag"),
        ("a: &x 1", "1:4", "the anchor &x"),
        ("&x a: 1", "1:1", "without tag or anchor"),
        ("a: 1\nb: *x", "2:4", "the alias *x"),
        ("a: &x [y]\nb: [*x, *x]", "1:4", "anchor"),
        ("a: 1\nb: 2\n'a': 3", "3:1", "the key 'a' is here twice (first in line 1)"),
        ("a: {b: 1, b: 2}", "1:11", "the key 'b' is here twice"),
        ("a: 1\n---\nb: 2", "2:1", "a second document"),
        ("%YAML 1.1\n---\na: 1", "1:1", "directive"),
        ("%TAG ! tag:x,2000:\n---\na: 1", "1:1", "directive"),
        ("12: a", "1:1", "the key 12 is not text; quote it: '12'"),
        ("true: a", "1:1", "the key true is not text"),
        ("? [a, b]\n: c", "1:3", "a key must be text"),
        ("a: 010", "1:4", "8-based"),
        ("a: [1, {b: 2]", "1:13", "not YAML"),
        ("a: 1\n\tb: 2", "2:1", "not YAML"),
        ("a: b\nc: x\x00y", "2:5", "U+0000"),
        ('a: "\\ud83d"', "1:4", "half a character"),
        ("[" * 200, "1:33", "nested more than 32 deep"),
    ],
)
def test_refused_with_line_and_column(text: str, place: str, why: str) -> None:
    with pytest.raises(PlanError) as caught:
        parse_yaml(text, "p.yaml")
    assert str(caught.value).startswith(f"p.yaml:{place}: ")
    assert why in str(caught.value)


@pytest.mark.parametrize("text", ["", "# nothing here\n", "---\n# nothing\n...\n---\n"])
def test_an_empty_document_or_several_are_refused(text: str) -> None:
    with pytest.raises(PlanError, match=r"empty|second document"):
        parse_yaml(text, "p.yaml")


def test_marks_lead_to_keys_and_values() -> None:
    document = parse_yaml("a:\n  - b: 1\n    c: {d: 2}\n", "p.yaml")
    assert document.value == {"a": [{"b": 1, "c": {"d": 2}}]}
    assert str(document.mark(("a", 0, "c", "d"))) == "p.yaml:3:9"
    assert str(document.mark(("a", 0, "nothing"))) == "p.yaml:2:5"
    assert str(document.mark(("elsewhere",))) == "p.yaml:1:1"


def test_a_billion_laughs_ends_at_the_first_anchor() -> None:
    laughs = "a: &a [lol]\n" + "".join(f"{chr(98 + i)}: &{chr(98 + i)} [*{chr(97 + i)}]\n" for i in range(9))
    with pytest.raises(PlanError, match="the anchor &a"):
        parse_yaml(laughs, "p.yaml")


def test_a_merge_key_is_a_key_like_any_other() -> None:
    assert parse_yaml("<<: {a: 1}", "p.yaml").value == {"<<": {"a": 1}}


def test_a_file_too_large_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "large.yaml"
    path.write_bytes(b"a: " + b"x" * 10_000_000)
    with pytest.raises(PlanError, match=r"has 10,000,003 bytes; at most 1,000,000"):
        load_yaml(path)
    path.write_bytes(b"a: " + b"x" * (MAX_BYTES - 3))
    assert len(load_yaml(path).value["a"]) == MAX_BYTES - 3


@pytest.mark.parametrize(
    "content", [b"a: 1\nb: \xff", "name: \xe9".encode("latin-1"), "a: 1".encode("utf-16")]
)
def test_other_encodings_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "p.yaml"
    path.write_bytes(content)
    with pytest.raises(PlanError, match=r"p\.yaml:\d:\d: byte 0x.. is not UTF-8"):
        load_yaml(path)


def test_a_byte_order_mark_is_no_part_of_the_first_key(tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    path.write_bytes(b"\xef\xbb\xbfa: 1")
    assert load_yaml(path).value == {"a": 1}


def test_missing_file_folder_and_unreadable_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(PlanError, match="the plan does not exist"):
        load_yaml(tmp_path / "none.yaml")
    with pytest.raises(DataError, match="the manifest is not a file"):
        load_yaml(tmp_path, what="manifest", error=DataError)

    def denied(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    (tmp_path / "p.yaml").write_text("a: 1")
    monkeypatch.setattr(Path, "open", denied)
    with pytest.raises(PlanError, match=r"cannot read the plan: Permission denied; check its permissions"):
        load_yaml(tmp_path / "p.yaml")


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
TRAPS = st.sampled_from(
    ["no", "1e3", "010", "12", "", "~", "null", "1:30", "2024-01-01", "0x1", ".nan", "a: b", "#"]
)
SCALARS = (
    TEXT
    | TRAPS
    | st.integers(-(2**62), 2**62)
    | st.booleans()
    | st.none()
    | st.sampled_from([0.5, 1.25, -1.0])
)
KEYS = TEXT | TRAPS
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)


@example("\x85\u2028\r\ufeff")
@given(VALUES)
def test_what_is_dumped_is_read_back(value: Any) -> None:
    assert parse_yaml(dump_yaml({"value": value}), "dumped").value == {"value": value}


@given(TEXT)
def test_json_text_is_read_as_yaml(text: str) -> None:
    assert parse_yaml(f"a: {json.dumps(text)}", "json").value == {"a": text}


@given(st.text(max_size=60))
def test_no_text_makes_anything_but_a_value_or_a_plan_error(text: str) -> None:
    with suppress(PlanError):
        parse_yaml(text, "any")
