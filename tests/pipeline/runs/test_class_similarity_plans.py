"""Plans that compare captions with texts of classes: one unit of the text tower, and what is refused before it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import whole_runs
import yaml
from whole_runs import Run

from pipeline.embedding.caption_batches import embed_texts
from pipeline.embedding.encoder import EncoderSpec, load_encoder

TINY = str(whole_runs.ROOT / "data_manifests" / "encoders" / "tiny")
CAPTIONS = ["a red cat", "a house by a car", "a car", None, "cat and cat", "a \x00 house \ud7ff"]
FOUND = [[0], [1, 2], [1], None, [0], [2]]


@pytest.fixture
def names(tmp_path: Path) -> str:
    path = tmp_path / "names.json"
    path.write_text('["cat", "car", "house"]')
    return str(path)


def plan_of(folder: Path, names: str, columns: dict[str, Any] | None = None, **more: Any) -> Path:
    pool = folder / "pool"
    pool.mkdir(exist_ok=True)
    urls = [f"http://x.test/{row}" for row in range(len(CAPTIONS))]
    pq.write_table(pa.table({"URL": urls, "TEXT": CAPTIONS}), pool / "part-00000.parquet")
    similarity = {"names": names, "template": "a photo of a {name}"} | (columns or {})
    plan = {
        "name": "similar",
        "pool": {"path": str(pool), "format": "laion"},
        "encoder": {"model": TINY},
        "measures": {"classes": {"names": names}, "class_similarity": similarity},
        "splits": {
            "near": [{"class-match": {"text": "class_similarity.highest", "above": 0.5}}],
            "none": [{"class-match": {"single": True, "text": "class_similarity.similarity", "above": 1}}],
        },
        "output": str(folder / "out"),
    } | more
    path = folder / "plan.yaml"
    path.write_text(yaml.safe_dump({key: value for key, value in plan.items() if value is not None}))
    return path


def test_the_text_tower_embeds_the_classes_once(tmp_path: Path, cli: Run, names: str) -> None:
    plan = plan_of(tmp_path, names, {"best": True})
    code, _, said = cli("run", str(plan))
    assert code == 0, said
    encoder = load_encoder(EncoderSpec(TINY), "cpu")
    texts = [
        one.vector for one in embed_texts(encoder, [f"a photo of a {n}" for n in ("cat", "car", "house")])
    ]
    spoken = [one.vector for one in embed_texts(encoder, CAPTIONS)]
    rows = pq.read_table(tmp_path / "out/samples/pool").select(["uid", "caption"]).to_pylist()
    held = {
        each["uid"]: each for each in pq.read_table(tmp_path / "out/measures/class_similarity").to_pylist()
    }
    for row in rows:
        found, at = held[row["uid"]], CAPTIONS.index(row["caption"])
        if spoken[at] is None:
            assert set(found.values()) == {row["uid"], None}
            continue
        exact = np.stack(texts).astype(np.float64) @ spoken[at].astype(np.float64)
        assert found["best"] == exact.argmax()
        assert found["best_similarity"] == exact.max()
        assert found["highest"] == exact[FOUND[at]].max()
        assert found["similarity"] == (exact[FOUND[at][0]] if len(FOUND[at]) == 1 else None)
    kept = pq.read_table(tmp_path / "out/splits/near/part-0000.parquet").column("uid").to_pylist()
    assert sorted(kept) == sorted(uid for uid, each in held.items() if (each["highest"] or 0) > 0.5)
    before = whole_runs.committed(tmp_path / "out")
    assert cli("run", str(plan))[0] == 0
    assert whole_runs.committed(tmp_path / "out") == before
    assert (
        any(path.startswith("commits/phrase/") for path in before)
        or (tmp_path / "out/commits/phrase").is_dir()
    )
    other = plan_of(tmp_path, names, {"template": "{name}!"})
    assert cli("run", str(other))[0] == 0
    changed = pq.read_table(tmp_path / "out/measures/class_similarity").column("similarity").to_pylist()
    assert changed != [held[uid]["similarity"] for uid in sorted(held)]
    assert cli("verify", str(tmp_path / "out"))[0] == 0


def refused(cli: Run, plan: Path, *words: str) -> None:
    for command in ("run", "plan"):
        code, _, said = cli(command, str(plan))
        assert code == 2, said
        assert "Traceback" not in said
        for word in words:
            assert word in said, said


def test_without_an_encoder_the_head_is_named_and_with_one_that_does_not_fit_the_widths(
    tmp_path: Path, cli: Run, names: str
) -> None:
    refused(cli, plan_of(tmp_path, names, encoder=None), "text tower", "no encoder", "under head")
    np.save(tmp_path / "head.npy", np.eye(3, 7, dtype=np.float32))
    with_head = {"head": str(tmp_path / "head.npy")}
    refused(
        cli,
        plan_of(tmp_path, names, with_head, encoder=None),
        "looks at the captions' embeddings",
        "no text embeddings",
    )
    refused(cli, plan_of(tmp_path, names, with_head), "width 7", "have 128", "different encoders")
    assert not (tmp_path / "out").exists()


def test_classes_of_another_list_are_refused(tmp_path: Path, cli: Run, names: str) -> None:
    other = tmp_path / "other.json"
    other.write_text(json.dumps(["cat", "cow"]))
    both = {"classes": {"names": str(other)}, "class_similarity": {"names": names, "template": "{name}"}}
    refused(cli, plan_of(tmp_path, names, measures=both), "positions mean other classes")
