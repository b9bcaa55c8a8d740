"""An exported json is the source's, with the uid."""

from __future__ import annotations

import json

import pytest

from pipeline.webdataset.json_uid import with_uid

UID = "0123456789abcdef" * 2


@pytest.mark.parametrize(
    "content",
    [
        b'{"a": 1,\n "b": [NaN, "\\ud800"]}',
        b'  {"url":"http://x.test/{uid}"}  \n',
        b"{ }",
        b'\xef\xbb\xbf{"a": 2}',
        '{"é": "ü"}'.encode(),
        b'{"half of a character": "\xed\xb3\xbf"}',
    ],
)
def test_the_uid_is_put_in_and_every_other_byte_stays(content: bytes) -> None:
    made, how = with_uid(content, UID)
    assert how == "added"
    place = made.index(f'"uid": "{UID}"'.encode())
    inserted = made[place : place + len(made) - len(content)]
    assert inserted.rstrip(b", ") == f'"uid": "{UID}"'.encode()
    assert made[:place] + made[place + len(inserted) :] == content
    assert json.loads(made)["uid"] == UID
    assert json.dumps({k: v for k, v in json.loads(made).items() if k != "uid"}) == json.dumps(
        json.loads(content)
    )


def test_a_json_that_says_the_uid_stays_as_it_is() -> None:
    for uid in (UID, UID.upper()):
        content = f'{{"x": 1, "uid": "{uid}"}}'.encode()
        assert with_uid(content, UID) == (content, "same")


@pytest.mark.parametrize(
    "content", [b'{"uid": null, "x": 1}', b'{"x": 1, "uid": 7}', '{"x": 1}'.encode("utf-16")]
)
def test_another_uid_or_encoding_makes_it_written_again(content: bytes) -> None:
    made, how = with_uid(content, UID)
    assert how == "replaced"
    assert json.loads(made) == {"x": 1, "uid": UID}


@pytest.mark.parametrize("content", [b"", b"[1, 2]", b'{"a": ', b"\xff\xfe\xff", b"[" * 100_000, b'"uid"'])
def test_what_is_no_object_is_left(content: bytes) -> None:
    assert with_uid(content, UID) == (content, "left")


def test_a_sample_without_json_gets_one() -> None:
    made, how = with_uid(None, UID)
    assert how == "made"
    assert json.loads(made) == {"uid": UID}
