"""What open_clip's reader makes of the lines: pandas', with a tab between fields, and `str` of each value."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pandas._libs.parsers import STR_NA_VALUES

from pipeline.webdataset.csv_lines import HEADER, csv_line

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)


def read(path: Path, pairs: list[tuple[str, str]]) -> list[tuple[str, str]]:
    path.write_text(HEADER + "".join(csv_line(*pair) for pair in pairs), encoding="utf-8", newline="")
    table = pd.read_csv(path, sep="\t")
    assert list(table.columns) == ["filepath", "title"]
    return list(zip(map(str, table["filepath"].tolist()), map(str, table["title"].tolist()), strict=True))


@given(st.lists(st.tuples(TEXT, TEXT), min_size=1, max_size=8))
def test_every_path_and_caption_arrives(
    tmp_path_factory: pytest.TempPathFactory, pairs: list[tuple[str, str]]
) -> None:
    given_pairs = [("/plain.jpg", "a plain caption"), *((f"/{path}", caption) for path, caption in pairs)]
    found = read(tmp_path_factory.mktemp("csv") / "samples.csv", given_pairs)
    assert [path for path, _ in found] == [path for path, _ in given_pairs]
    for (_, caption), (_, title) in zip(given_pairs, found, strict=True):
        assert title in (caption, f"{caption} ", f" {caption}")


def test_no_caption_is_taken_for_missing_or_for_a_formula(tmp_path: Path) -> None:
    words = sorted(STR_NA_VALUES)
    formulas = ["=cmd|' /C calc'!A0", "+1", "-x", "@SUM(1)", "\tx", "\rx"]
    pairs = [("/a.jpg", caption) for caption in [*words, *formulas, "plain"]]
    found = [title for _, title in read(tmp_path / "samples.csv", pairs)]
    assert found == [f"{word} " for word in words] + [f" {one}" for one in formulas] + ["plain"]


def test_a_plain_line_is_plain() -> None:
    assert csv_line("/pool/cat/1.jpg", "a cat, 'sitting'") == "/pool/cat/1.jpg\ta cat, 'sitting'\n"
    assert csv_line('/a"b.jpg', "two\nlines") == '"/a""b.jpg"\t"two\nlines"\n'
