"""The card says what was committed, and nothing that a stranger wrote is markup in it."""

from __future__ import annotations

import html
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from indexes.errors import BadInputError
from pipeline.dataset_cards.card_facts import CardFacts, Nearness, SetLosses, ShippedFile, SplitSteps
from pipeline.dataset_cards.croissant import croissant_bytes
from pipeline.dataset_cards.dataset_card import card_text, size_category
from pipeline.dataset_cards.markdown_text import code, prose, table, without_folders
from pipeline.documents.licenses import checked_license
from pipeline.report.drawing.text import brief, visible

OURS = {"h1", "h2", "h3", "p", "ul", "li", "table", "thead", "tbody", "tr", "th", "td", "code", "pre"}
EVIL = (
    "<script>alert(1)</script>",
    "[x](http://evil.test) ![y](http://evil.test/y.png)",
    "http://evil.test www.evil.test a@evil.test",
    "`</td>` | **b** _i_ ~~s~~ # h",
    "``",
    "`",
    "a\\",
    "&lt;b&gt;",
    "line\n\n# heading\n---\n",
    "\u202eright to left",
    "$a$ <!-- ",
)
"""What a loss's reason, a predicate or a name of a model may hold."""


def rendered(text: str) -> str:
    return str(MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).render(text))


def facts(**other: Any) -> CardFacts:
    """A card of a split of three samples in one tar."""
    made = CardFacts(
        plan="small",
        split="core",
        license="",
        samples=3,
        kept=3,
        tars=(ShippedFile("00000000.tar", 20_480, "a" * 64, 3),),
        beside=(
            ShippedFile("00000000.parquet", 900, "b" * 64, 3),
            ShippedFile("sizes.json", 20, "c" * 64, None),
        ),
        kinds={"jpg": 3, "json": 3, "txt": 3},
        left_out={},
        sources=(),
        splits=(SplitSteps("core", "", (("1:far", "keeps 3 with the highest similarity", 0, 6, 3),)),),
        rows=(SetLosses("pool", "", "img2dataset", "e" * 64, 12, 9, {"HTTP 404": 2}, {"truncated": 1}, 0),),
        levels=(0.95, 0.99),
        nearness=(Nearness("sketch", 7, 0.5, 0.97, 2, 1, 4, 0),),
        exact=True,
        encoders={"clip": {"model": "ViT-B-32", "weights_sha256": "d" * 64}},
        versions={"nearfar": "0.1.0"},
    )
    return replace(made, **other)


def front(text: str) -> dict[str, Any]:
    return dict(yaml.safe_load(text.split("---\n")[1]))


def row(text: str, begins: str) -> list[str]:
    """The cells of the table's row that begins so."""
    line = next(line for line in text.splitlines() if line.startswith(f"| {begins}"))
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


def test_the_way_of_the_rows_adds_up() -> None:
    text = card_text(facts())
    assert row(text, " | rows that the pool lists")[3] == "12"
    assert row(text, "failed") == ["failed", "never arrived, or came as no image: 2 `HTTP 404`", "-2", "10"]
    assert row(text, "quarantined")[2:] == ["-1", "9"]
    assert row(text, "`1:far`") == ["`1:far`", "keeps 3 with the highest similarity", "-6", "3"]
    assert row(text, "`sketch`") == ["`sketch`", "7", "0.500", "0.970", "2", "1", "4", "0"]
    digest = f"`{'e' * 16}`"
    assert row(text, "`pool`") == ["`pool`", "`img2dataset`", "12", "9", "3 (25.0 %)", "0", digest]
    assert "d" * 64 in row(text, "`clip`")[1]


@pytest.mark.parametrize(
    ("said", "written"),
    [
        ("", {}),
        ("cc-by-4.0", {"license": "cc-by-4.0"}),
        ("https://a.test/terms", {"license": "other", "license_link": "https://a.test/terms"}),
    ],
)
def test_a_license_stands_there_only_where_it_was_said(said: str, written: dict[str, str]) -> None:
    found, described = (of(facts(license=said)) for of in (card_text, croissant_bytes))
    assert {key: value for key, value in front(found).items() if key.startswith("license")} == written
    assert ("license the samples may be used was not said" in found) == (not said)
    assert json.loads(described).get("license", "") == said
    assert checked_license(said) == said


@pytest.mark.parametrize(
    "said", ["cc by", "a: b", "-x", "javascript:alert(1)", "http://a b", "x" * 65, "a\nb"]
)
def test_what_is_no_license_is_refused_and_followed(said: str) -> None:
    with pytest.raises(BadInputError, match=r"give an identifier, such as cc-by-4.0, or a link"):
        checked_license(said)
    assert checked_license("cc-by-4.0") == "cc-by-4.0"


@pytest.mark.parametrize(
    ("samples", "said"),
    [
        (0, "n<1K"),
        (999, "n<1K"),
        (1000, "1K<n<10K"),
        (9999, "1K<n<10K"),
        (100_000_000, "100M<n<1B"),
        (10**14, "n>1T"),
    ],
)
def test_sizes_are_in_the_hubs_words(samples: int, said: str) -> None:
    assert size_category(samples) == said
    assert front(card_text(facts(samples=samples)))["size_categories"] == [said]


def test_the_hub_reads_what_stands_in_front() -> None:
    hub = pytest.importorskip("huggingface_hub")
    read = hub.DatasetCard(card_text(facts(license="mit"))).data
    assert (read.license, read.pretty_name, read.task_categories) == (
        "mit",
        "core",
        ["zero-shot-image-classification"],
    )
    assert read.to_dict()["configs"] == [
        {"config_name": "default", "data_files": [{"split": "train", "path": "*.tar"}]}
    ]


def test_tars_of_several_kinds_are_not_offered_to_a_reader_that_refuses_them() -> None:
    found = card_text(facts(kinds={"jpg": 2, "png": 1, "json": 3, "txt": 3}))
    assert 'load_dataset("webdataset"' not in found
    assert 'to_tuple("jpg;png", "txt")' in found
    assert front(found)["configs"][0]["data_files"][0]["path"] == "*.parquet"
    assert (
        json.loads(croissant_bytes(facts(kinds={"jpg": 3, "png": 1, "json": 3})))["recordSet"][0]["field"][
            -1
        ]["name"]
        == "json"
    )


def test_members_that_are_no_image_are_none_for_croissant() -> None:
    described = json.loads(croissant_bytes(facts(kinds={"jpg": 3, "mask.png": 3}, samples=3, kept=2)))
    (patterns,) = (one["includes"] for one in described["distribution"] if one["@id"] == "images")
    matches = [re.compile(re.sub(r"\?", "[^.]", pattern).replace(".jpg", r"\.jpg")) for pattern in patterns]
    name = "0123456789abcdef" * 2

    def taken(file: str) -> bool:
        return any(each.fullmatch(file) for each in matches)

    assert taken(f"{name}.jpg")
    assert taken(f"{name}-1.jpg")
    assert not taken(f"{name}.mask.png")
    assert not taken(f"{name}-1.mask.jpg")


def test_an_empty_split_has_a_card_without_commands() -> None:
    none = facts(samples=0, kept=0, tars=(), beside=(ShippedFile("sizes.json", 3, "c" * 64, None),), kinds={})
    assert "```" not in card_text(none)
    assert json.loads(croissant_bytes(none))["recordSet"] == []


@pytest.mark.parametrize("evil", EVIL)
def test_what_strangers_wrote_marks_up_nothing(evil: str) -> None:
    steps = SplitSteps("core", "other", (("1:where", f"drops what is not ({evil})", 0, 6, 3),))
    text = card_text(
        facts(
            kinds={"jpg": 3, evil: 3},
            left_out={evil: 1},
            splits=(steps, replace(steps, name="other", start="")),
            rows=(SetLosses("pool", evil, evil, "e" * 64, 12, 9, {evil: 2}, {evil: 1}, 0),),
            encoders={"clip": {"model": evil}},
        )
    )
    page = rendered(text.split("---\n", 2)[2])
    assert set(re.findall(r"<(\w+)", page)) <= OURS
    assert not re.search(r"<\w+[^>]+(?:href|src|on\w+)=", page)
    assert page.count(html.escape(brief(evil))) >= 5


@settings(max_examples=40)
@given(st.text(max_size=40))
@example("`a`b``")
@example(" ")
@example("\\|")
@example("a_b _c_ __d")
def test_a_cell_shows_the_very_text(text: str) -> None:
    page = rendered(table(("a", "b"), [(f"x{prose(text)}x", code(text) if text.strip() else "none")]))
    cells = [
        html.unescape(re.sub(r"<[^>]+>", "", cell)) for cell in re.findall(r"<td>(.*?)</td>", page, re.DOTALL)
    ]
    assert set(re.findall(r"<(\w+)", page)) <= OURS
    assert cells[0] == f"x{visible(text)}x"
    assert cells[1] == (brief(text) if text.strip() else "none")


def test_folders_of_this_machine_are_left_out_and_divisions_stay() -> None:
    assert (
        without_folders("keeps the uids in /home/me/uids.txt, 'C:\\me\\b.csv'")
        == "keeps the uids in uids.txt, 'b.csv'"
    )
    assert without_folders("width / height > 2 AND a/b/c = 1") == "width / height > 2 AND a/b/c = 1"
    assert str(Path("/srv/models/tiny")) not in card_text(
        facts(encoders={"clip": {"model": "/srv/models/tiny"}})
    )
