"""How verify says that a value is another: the place where long ones differ is seen."""

from __future__ import annotations

from pipeline.verifying.file_differences import json_differs


def test_short_values_are_said_whole() -> None:
    assert list(json_differs({"a": "x\n"}, {"a": "y"})) == ["a is 'x\\n', and should be 'y'"]


def test_long_values_are_said_from_where_they_differ() -> None:
    same = "a caption " * 40
    (said,) = json_differs(f"{same}dog{same}", f"{same}cat{same}")
    got, wanted = said.removeprefix("it is ").split(", and should be ")
    assert (got[0], got[-1]) == ("…", "…")
    assert "a caption dog" in got
    assert "a caption cat" in wanted
    assert max(len(got), len(wanted)) <= 82


def test_what_goes_on_is_no_longer_than_what_is_shown() -> None:
    (said,) = json_differs("x" * 300, "x" * 300 + "y")
    assert said.endswith("xy'")
