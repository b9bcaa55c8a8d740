"""Deny lists: what is the same link, host or digest; what a list may look like; and that no entry is ever shown."""

from __future__ import annotations

import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation import measures
from curation.measure import Block
from curation.measures.told._deny_lists import KINDS, asked_url, deny_list, hit, list_digest, normal_url
from indexes.errors import PlanError

SECRET = "https://secret.example/opted-out"
HOSTILE = (
    "",
    "\x00http://x\x00",
    "\u202ehttp://evil\u202c",
    "http://\ud800/",
    "http://[::1",
    "http://a:99999999/",
    "x" * 1_000_000,
    "http://" + "a." * 300_000,
    unicodedata.normalize("NFC", "http://caf\u00e9.example/caf\u00e9"),
    unicodedata.normalize("NFD", "http://caf\u00e9.example/caf\u00e9"),
)


def read(kind: Any, path: Path) -> frozenset[str]:
    return deny_list(kind, str(path), list_digest(str(path), "here"), "here")


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("HTTP://Example.ORG:80/a", "https://example.org/a#part", True),
        ("https://example.org", " https://user:word@example.org./ ", True),
        ("https://example.org/a%2fb", "https://example.org/a%2Fb", True),
        ("https://caf\u00e9.example/", "https://xn--caf-dma.example/", True),
        ("https://example.org\u3002/", "https://example.org/", True),
        ("https://example.org/A", "https://example.org/a", False),
        ("https://example.org/a?b=1", "https://example.org/a", False),
        ("https://example.org:8080/", "https://example.org/", False),
        ("https://example.org/a/", "https://example.org/a", False),
    ],
)
def test_links_of_one_form_are_the_same(one: str, other: str, same: bool) -> None:
    assert (normal_url(one) == normal_url(other)) is same


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("http://a.org/caf\u00e9 1.jpg?q=\u00fc", "https://a.org/caf%C3%A9%201.jpg?q=%c3%bc", True),
        ("https://a.org/%7Eme/%41.jpg", "https://a.org/~me/A.jpg", True),
        ("https://a.org/a%2Fb", "https://a.org/a/b", False),
        ("https://a.org/a%2541", "https://a.org/a%41", False),
        ("https://a.org/%%34%31", "https://a.org/A", False),
    ],
)
def test_links_that_ask_for_the_same_are_on_a_list_together(
    tmp_path: Path, one: str, other: str, same: bool
) -> None:
    for listed, link in ((one, other), (other, one)):
        (tmp_path / "urls.txt").write_text(listed)
        assert hit("url", link, read("url", tmp_path / "urls.txt")) is same


@given(st.text() | st.text("%34aA\u00e9/").map("http://a/{}".format))
def test_a_form_is_the_form_of_itself(text: str) -> None:
    assert normal_url(normal_url(text)) == normal_url(text)
    assert asked_url(asked_url(text)) == asked_url(text)


def test_a_host_stands_for_those_below_it(tmp_path: Path) -> None:
    path = tmp_path / "hosts.txt"
    path.write_text("Example.org\nhttps://other.test/page\n\n")
    denied = read("host", path)
    hosts = {"example.org": True, "www.EXAMPLE.org": True, "notexample.org": False, "example.org.test": False}
    hosts |= {"other.test": True, "a.b.other.test:99": True}
    for host, on in hosts.items():
        assert hit("host", f"http://{host}/x.jpg", denied) is on, host
    assert hit("host", None, denied) is None
    assert hit("host", "no link", denied) is None


def test_lists_are_text_csv_or_parquet(tmp_path: Path) -> None:
    digests = ["0" * 32, "1" * 31 + "A"]
    (tmp_path / "a.txt").write_text("\ufeff" + "\n".join(digests))
    (tmp_path / "a.csv").write_text("n,md5\n1," + "\n2,".join(digests) + "\n")
    pq.write_table(pa.table({"anything": [*digests, None]}), tmp_path / "a.parquet")
    for name in ("a.txt", "a.csv", "a.parquet"):
        assert read("md5", tmp_path / name) == {"0" * 32, "1" * 31 + "a"}
    dashed = tmp_path / "uids.txt"
    dashed.write_text("00000000-0000-0000-0000-00000000000F")
    assert read("uid", dashed) == {"0" * 31 + "f"}


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.txt", SECRET, "entry 1 is no sha256; every entry is 64 hex digits"),
        ("a.txt", "\n \n", "has no entry"),
        ("a.csv", f"a,b\n{SECRET},2\n", "2 columns and none is called sha256"),
        ("a.csv", f"a,b\n{SECRET}\n", "cannot be read as csv"),
        ("a.parquet", SECRET, "cannot be read as parquet"),
    ],
)
def test_a_wrong_list_is_refused_and_not_shown(tmp_path: Path, name: str, content: str, words: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(PlanError, match=words) as refused:
        measures.parse("listed", {"sha256": str(tmp_path / name)}, "measures.listed")
    assert "secret" not in str(refused.value)
    with pytest.raises(PlanError, match=r"measures.listed names no list; give at least one of: uid, url"):
        measures.parse("listed", {}, "measures.listed")
    with pytest.raises(PlanError, match="cannot be read"):
        measures.parse("listed", {"url": str(tmp_path / "none")}, "measures.listed")


def test_what_cannot_be_looked_up_is_not_known(tmp_path: Path) -> None:
    lists = {
        "uid": "0" * 31 + "1",
        "url": "http://x.test/2",
        "host": "bad.test",
        "md5": "a" * 32,
        "sha256": "b" * 64,
    }
    for kind, entry in lists.items():
        (tmp_path / kind).write_text(entry)
    measure = measures.parse("listed", {kind: str(tmp_path / kind) for kind in KINDS})
    assert measure.requires() == ("url", "image_sha256", "md5")
    urls = [
        "http://ok.test/1",
        "https://x.test/2",
        "http://a.bad.test/",
        "http://ok.test/",
        None,
        "http://ok.test/",
    ]
    md5 = ["c" * 32] * 3 + ["A" * 32, "a" * 32, "c" * 32]
    columns = {"url": pa.array(urls), "md5": pa.array(md5), "image_sha256": pa.array(["d" * 64] * 5 + [None])}
    uids = np.array([[0, 1], [0, 2], [0, 3], [0, 4], [0, 5], [0, 6]], np.uint64)
    found = measure.apply(Block(uids, {}, columns), {})
    assert found["listed"].to_pylist() == [True, True, True, True, True, None]
    assert found["kinds"].to_pylist() == [["uid"], ["url"], ["host"], ["md5"], ["md5"], []]


def test_hostile_links_are_looked_up_like_any_other(tmp_path: Path) -> None:
    (tmp_path / "url").write_text("http://x.test/")
    (tmp_path / "host").write_text("x.test")
    measure = measures.parse("listed", {kind: str(tmp_path / kind) for kind in ("url", "host")})
    urls = [*HOSTILE[:3], *HOSTILE[4:], "http://x.test"]
    found = measure.apply(Block(np.zeros((len(urls), 2), np.uint64), {}, {"url": pa.array(urls)}), {})
    told = found["listed"].to_pylist()
    assert told.pop() is True
    assert True not in told
    assert hit("url", HOSTILE[3], frozenset()) is False
    other = tmp_path / "other"
    other.write_text("y.test")
    with pytest.raises(PlanError, match="is not what it was"):
        measures.parse("listed", {"host": str(other), "digest": "0" * 64})
