"""What every matcher keeps to; a new one is picked up by itself."""

from __future__ import annotations

import unicodedata

import pytest
from small_wordnet import small_wordnet

from curation import classes
from curation.classes import IMAGENET_1K, Matcher, class_list, kind_of_matcher

IMAGENET = class_list(IMAGENET_1K, "", "names")
HOSTILE = (
    "",
    " ",
    "\x00 tench and a goldfish \x00",
    "\u202eab\u2066 tench goldfish \u2069\u202c",
    "\ud800 tench \udfff goldfish",
    unicodedata.normalize("NFC", "caf\u00e9 tench goldfish"),
    unicodedata.normalize("NFD", "caf\u00e9 tench goldfish"),
    "tench goldfish " * 70_000,
    "x" * 1_000_000,
    " " * 1_000_000,
    "\U0001f469\u200d\U0001f680 tench \ufeff goldfish \u0130\u0131\u017f\u212a",
    "(a|b)*[c] \\ %s {0} ' OR 1=1 --",
)
EVERY_MATCHER = pytest.mark.parametrize("name", classes.names())


def made(name: str) -> Matcher:
    return kind_of_matcher(name)(IMAGENET)


@pytest.fixture(autouse=True)
def wordnet(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """A WordNet of a few words, so that no matcher asks for the whole."""
    monkeypatch.setenv("NEARFAR_WORDNET", str(small_wordnet(tmp_path_factory.mktemp("wordnet"))))


@EVERY_MATCHER
def test_hostile_captions_are_answered_like_any_other(name: str) -> None:
    matcher = made(name)
    for text in HOSTILE:
        found = matcher.match(text)
        assert found == sorted(set(found))
        assert all(isinstance(each, int) and 0 <= each < len(IMAGENET) for each in found)
        assert matcher.match(text) == found
    for text in HOSTILE[2:8]:
        assert matcher.match(text) == [0, 1], text[:40]


@EVERY_MATCHER
def test_it_says_where_its_rule_is_from(name: str) -> None:
    assert "(" in (kind_of_matcher(name).__doc__ or "")
