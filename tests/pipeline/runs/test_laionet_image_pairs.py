"""LAIONet's pairs of text and image levels, as shipped, on a small pool of vectors at known angles to classes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import whole_runs
from whole_runs import Run

from curation.classes import IMAGENET_1K
from curation.measures.of_class._class_texts import class_texts, texts_digest
from pipeline.embedding.caption_batches import embed_texts
from pipeline.embedding.encoder import EncoderSpec, load_encoder

TINY = whole_runs.ROOT / "data_manifests" / "encoders" / "tiny"
PLAN = whole_runs.QUICKSTART.parent / "laionet_image_pairs.yaml"
NAMED = {"goldfish": 1, "ostrich": 9, "ptarmigan": 81}
LEVELS = {"a": (0.81, 0.2579), "b": (0.79, 0.2828), "c": (0.76, 0.2959), "d": (0.72, 0.3037)}
ROWS = 120


def at_angle(of: np.ndarray, cosine: np.ndarray, seed: int) -> np.ndarray:
    """Vectors whose cosine to those of `of`, row by row, is about what is said."""
    other = np.random.default_rng(seed).standard_normal(of.shape)
    other -= (other * of).sum(1, keepdims=True) * of
    other /= np.linalg.norm(other, axis=1, keepdims=True)
    return (cosine[:, None] * of + np.sqrt(1 - cosine[:, None] ** 2) * other).astype(np.float16)


def test_four_pairs_of_levels_and_one_size(cli: Run, tmp_path: Path) -> None:
    names, draw = list(NAMED), np.random.default_rng(3)
    texts = class_texts(
        IMAGENET_1K, texts_digest(IMAGENET_1K, "names"), "{name} which is {definition}", "names"
    )
    encoder = load_encoder(EncoderSpec(str(TINY)), "cpu")
    wanted = [texts[NAMED[names[row % 3]]] for row in range(ROWS)]
    classes = np.stack([one.vector for one in embed_texts(encoder, wanted)]).astype(np.float64)
    for folder, low, high, seed in (("text_emb", 0.7, 0.85, 1), ("img_emb", 0.25, 0.32, 2)):
        (tmp_path / "pool" / folder).mkdir(parents=True)
        vectors = at_angle(classes, draw.uniform(low, high, ROWS), seed)
        np.save(tmp_path / "pool" / folder / f"{folder}_0.npy", vectors)
    (tmp_path / "pool/metadata").mkdir()
    columns = {
        "image_path": [f"{row:06d}" for row in range(ROWS)],
        "caption": [f"a {names[row % 3]} here" for row in range(ROWS)],
        "url": [f"https://example.org/{row}" for row in range(ROWS)],
        "NSFW": ["UNSURE" if row % 9 == 0 else "UNLIKELY" for row in range(ROWS)],
    }
    pq.write_table(pa.table(columns), tmp_path / "pool/metadata/metadata_0.parquet")
    given = {"pool.path": str(tmp_path / "pool"), "output": str(tmp_path / "out"), "encoder.model": str(TINY)}
    given["encoder.pretrained"] = str(TINY / "open_clip_model.safetensors")
    code, _, said = cli(
        "run", str(PLAN), *(x for k, v in given.items() for x in ("--set", f"{k}={json.dumps(v)}"))
    )
    assert code == 0, said

    def table(path: str) -> list[dict[str, object]]:
        return [
            row
            for file in (tmp_path / "out" / path).glob("*.parquet")
            for row in pq.read_table(file).to_pylist()
        ]

    near, seen = (
        {row["uid"]: row["similarity"] for row in table(f"measures/class_similarity/{name}")}
        for name in ("definition", "seen")
    )
    safe = {row["uid"] for row in table("samples/pool") if row["NSFW"] == "UNLIKELY"}
    pairs = {
        name: {uid for uid in safe if near[uid] >= text and seen[uid] >= image}  # type: ignore[operator]
        for name, (text, image) in LEVELS.items()
    }
    assert min(map(len, pairs.values())) > 10
    assert len({frozenset(pair) for pair in pairs.values()}) == 4
    for name, pair in pairs.items():
        assert {row["uid"] for row in table(f"splits/pair_{name}")} == pair
    for name in "abc":
        equal = {row["uid"] for row in table(f"splits/equal_{name}")}
        assert equal <= pairs[name]
        assert len(equal) == min(len(pairs["d"]), len(pairs[name]))
    audit = json.loads((tmp_path / "out/report/audit.json").read_text())
    assert audit["sections"]["within_classes"]
