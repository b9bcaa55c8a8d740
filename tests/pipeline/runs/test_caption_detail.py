"""Captions without their colours, nouns or adjectives, and composed ones behind a template: in a split's files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from small_wordnet import small_wordnet
from whole_runs import Run

CAPTIONS = ["a great red wolf, red as two foxes", "Red Wolf run", "\u202ered\u202c \x00 three", None]


def plan_of(folder: Path, splits: dict[str, Any], **more: Any) -> Path:
    (folder / "pool").mkdir(exist_ok=True)
    columns = {
        "URL": [f"http://x.test/{n}" for n in range(len(CAPTIONS))],
        "TEXT": pa.array(CAPTIONS, pa.string()),
        "label": ["Red Wolf", "wolf", None, "wolf"],
        "title": ["one", "two", "", None],
    }
    pq.write_table(pa.table(columns), folder / "pool" / "part-00000.parquet")
    plan = {
        "name": "detail",
        "pool": {"path": str(folder / "pool"), "format": "laion"},
        "splits": splits,
        "output": str(folder / "out"),
    }
    (folder / "plan.yaml").write_text(yaml.safe_dump(plan | more, sort_keys=False))
    return folder / "plan.yaml"


def written(folder: Path, split: str) -> list[str | None]:
    rows = pq.read_table(folder / "out" / "splits" / split / "part-0000.parquet").to_pylist()
    return [row["caption_rewritten"] for row in sorted(rows, key=lambda row: row["url"])]


def test_kinds_of_words_go_and_the_class_stays(
    cli: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "wordnet").mkdir()
    monkeypatch.setenv("NEARFAR_WORDNET", str(small_wordnet(tmp_path / "wordnet")))
    splits = {
        "plain": [{"caption-detail": {"without": ["colours"]}}],
        "few": [{"caption-detail": {"without": ["nouns", "adjectives", "numbers"]}}],
        "front": [{"compose": {"of": ["title"], "front": "openai", "seed": 1}}],
    }
    plan = plan_of(tmp_path, splits)
    code, _, said = cli("run", str(plan))
    assert code == 2
    assert "which WordNet tells; write measures: {word_kinds: {parts_of_speech: true}}" in said
    plan_of(tmp_path, splits, measures={"word_kinds": {"parts_of_speech": True, "digest": "0" * 64}})
    code, _, said = cli("run", str(plan))
    assert code == 2
    assert "Bring the former file back, or leave measures.word_kinds.digest out" in said
    plan_of(tmp_path, splits, measures={"word_kinds": {"parts_of_speech": True}})
    code, _, said = cli("run", str(plan))
    assert code == 0, said
    assert written(tmp_path, "plain") == [
        "a great red wolf, red as two foxes",
        "Wolf run",
        "\x00 three",
        None,
    ]
    assert written(tmp_path, "few") == [
        "a red wolf, red as foxes",
        "Red Wolf run",
        "\u202ered\u202c \x00",
        None,
    ]
    front = written(tmp_path, "front")
    assert [caption is None for caption in front] == [False, False, True, False]
    assert all("olf" in str(caption) for caption in front if caption)
    assert str(front[0]).endswith("one")
