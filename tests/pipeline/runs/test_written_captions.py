"""Shipped plans that compose captions and that take DataComp's rules by caption, on a few rows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import whole_runs
from small_wordnet import small_wordnet
from whole_runs import Run

PLANS = whole_runs.QUICKSTART.parent


def pool(folder: Path, **columns: list[Any]) -> Path:
    folder.mkdir()
    rows = len(next(iter(columns.values())))
    urls = [f"http://x.test/{row}" for row in range(rows)]
    pq.write_table(pa.table({"URL": urls} | columns), folder / "part-00000.parquet")
    return folder


def run(cli: Run, plan: str, path: Path, out: Path) -> None:
    given = {"pool.path": str(path), "pool.format": "laion", "pool.manifest": None, "output": str(out)}
    options = [item for key, value in given.items() for item in ("--set", f"{key}={json.dumps(value)}")]
    code, _, said = cli("run", str(PLANS / f"{plan}.yaml"), *options)
    assert code == 0, said


def kept(out: Path, split: str, column: str) -> dict[int, Any]:
    rows = pq.read_table(out / "splits" / split / "part-0000.parquet").to_pylist()
    return {int(row["url"].rpartition("/")[2]): row[column] for row in rows}


def test_imagenet_captions(cli: Run, tmp_path: Path) -> None:
    where = pool(
        tmp_path / "pool",
        TEXT=["x", "x", "x"],
        title=["My\tdog", "", None],
        tags=["a b", " \n", None],
        description=["one\ntwo", "the end", ""],
        label=["tench", "goldfish", None],
        wnid=["n01440764", "n01558993", "n01558993"],
    )
    run(cli, "imagenet_captions", where, tmp_path / "out")
    plain = {0: "My dog a b one two", 1: "the end", 2: None}
    assert kept(tmp_path / "out", "captions", "caption_rewritten") == plain
    fronts = {"name_first": "{}", "a_name_first": "a {}", "photo_first": "a photo of a {}"}
    for split, front in fronts.items():
        expected = {
            0: f"{front.format('tench')} {plain[0]}",
            1: f"{front.format('goldfish')} {plain[1]}",
            2: None,
        }
        assert kept(tmp_path / "out", split, "caption_rewritten") == expected
    assert kept(tmp_path / "out", "title_alone", "caption_rewritten") == {0: "My dog", 1: None, 2: None}
    assert kept(tmp_path / "out", "name_only", "caption_rewritten") == {0: "tench", 1: "goldfish", 2: None}
    assert kept(tmp_path / "out", "without_tags", "caption_rewritten") == {
        0: "My dog one two",
        1: "the end",
        2: None,
    }
    synonyms = kept(tmp_path / "out", "synonym_only", "caption_rewritten")
    assert any(name in synonyms[0] for name in ("tench", "Tinca tinca"))
    assert any(name in synonyms[2] for name in ("robin", "American robin", "Turdus migratorius"))
    assert set(kept(tmp_path / "out", "in_caps_100", "url")) == {1, 2}
    assert kept(tmp_path / "out", "tail_5_to_0", "url") == {}
    assert len(kept(tmp_path / "out", "tail_5_to_1", "url")) == 2
    assert kept(tmp_path / "out", "tenth", "caption_rewritten") == plain, "a pool smaller than the size"


def test_datacomp_by_captions(cli: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "wordnet").mkdir()
    monkeypatch.setenv("NEARFAR_WORDNET", str(small_wordnet(tmp_path / "wordnet")))
    english, german = "this is a tench in the river", "das ist ein sch\u00f6ner Hund im Wald"
    where = pool(
        tmp_path / "pool",
        TEXT=[english, german, "the weather in London is nice today", english, None],
        WIDTH=pa.array([300, 300, 300, 100, 300], pa.int32()),
        HEIGHT=pa.array([300, 300, 300, 300, 300], pa.int32()),
        clip_b32_similarity_score=pa.array([0.3, 0.3, 0.28, 0.2, 0.9], pa.float64()),
        clip_l14_similarity_score=pa.array([0.3, 0.1, 0.2, 0.25, None], pa.float64()),
    )
    run(cli, "datacomp_small_by_captions", where, tmp_path / "out")
    found = {split: set(kept(tmp_path / "out", split, "url")) for split in ("basic", "text_based", "laion2b")}
    assert found == {"basic": {0, 2}, "text_based": {0, 3}, "laion2b": {0, 2}}
    scored = ("clip_score_b32", "clip_score_l14", "text_based_and_clip_score")
    found = {split: set(kept(tmp_path / "out", split, "url")) for split in scored}
    assert found["clip_score_l14"] == {0, 3}
    assert len(found["clip_score_b32"]) == 2
    assert 4 in found["clip_score_b32"]
    assert found["text_based_and_clip_score"] == {0, 3}


def test_captions_with_less_in_them(cli: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "wordnet").mkdir()
    monkeypatch.setenv("NEARFAR_WORDNET", str(small_wordnet(tmp_path / "wordnet")))
    where = pool(tmp_path / "pool", TEXT=["two great red wolves run", None], label=["red wolves", "wolf"])
    run(cli, "caption_detail", where, tmp_path / "out")
    found = {split.name for split in (tmp_path / "out" / "splits").iterdir()}
    captions = {split: kept(tmp_path / "out", split, "caption") for split in found}
    assert set(captions.pop("whole")) == {0}
    assert all(set(each) == {0, 1} for each in captions.values()), "nothing else drops"
    written = {split: kept(tmp_path / "out", split, "caption_rewritten") for split in captions}
    assert all(each[1] is None for split, each in written.items() if split != "label_only")
    assert written["label_only"] == {0: "a photo of a red wolves", 1: "a photo of a wolf"}
    assert written["without_adjectives"][0] == "two red wolves run"
    assert written["without_nouns"][0] == "two great red wolves run", "its noun is the class's name"
    assert written["without_colours"][0] == "two great red wolves run"
    assert written["without_numbers"][0] == "great red wolves run"
    assert written["without_attributes"][0] == "two red wolves run"
    words = [set(written[f"words_{p}"][0].split()) for p in (25, 50, 75)]
    assert {"red", "wolves"} <= words[0] <= words[1] <= words[2]


def test_metaclip_2_by_language(cli: Run, tmp_path: Path) -> None:
    """Far below the cap of English, and where German has no more than one count: what has an entry stays."""
    where = pool(
        tmp_path / "pool",
        TEXT=["this is a dog in the river", "das ist ein sch\u00f6ner Hund im Wald", None, "no entry at all"],
        matched_entry_ids=[["1"], ["2", "3"], ["1"], []],
    )
    run(cli, "metaclip_2", where, tmp_path / "out")
    assert set(kept(tmp_path / "out", "metaclip_2", "url")) == {0, 1}
    facts = json.loads((tmp_path / "out" / "splits" / "metaclip_2" / "split.json").read_text())
    assert "170000" in json.dumps(facts)
