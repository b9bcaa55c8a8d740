"""Sets with several vectors for each sample: which there are, under which names, and that they keep in step."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray
from reader_sets import BUILDERS, samples, write_parquet

from indexes.errors import DataError, ShapeError, UnknownNameError
from pipeline.files.vectors import blocks
from pipeline.readers import Shard, clip_retrieval, datacomp, laion
from pipeline.sets.source import Source

WIDTHS = {"b32_img": 4, "b32_txt": 4, "l14_img": 6, "l14_txt": 6, "dedup": 3}
COUNTS = (3, 2)


def array(name: str, number: int, rows: int) -> NDArray[np.float16]:
    """Vectors that tell their array, shard and row."""
    place = list(WIDTHS).index(name) + 1
    made = np.arange(rows * WIDTHS[name]).reshape(rows, WIDTHS[name]) + 100 * place + 50 * number
    return made.astype(np.float16)


def written(root: Path, names: tuple[str, ...] = tuple(WIDTHS), **options: Any) -> Source:
    for number, rows in enumerate(COUNTS):
        write_parquet(root / f"{number}.parquet", {"uid": pa.array([f"{row:032x}" for row in range(rows)])})
        np.savez(root / f"{number}.npz", **{name: array(name, number, rows) for name in names})
    return Source(path=str(root), format="datacomp", **options)


def read(shard: Shard, name: str) -> Any:
    return np.concatenate(list(blocks(shard.vectors[name], 2)))


@pytest.mark.parametrize(
    ("options", "image", "text"),
    [
        ({}, "b32_img", "b32_txt"),
        ({"embedding": "l14_img"}, "l14_img", "l14_txt"),
        ({"text_embedding": "l14_txt"}, "b32_img", "l14_txt"),
        ({"embedding": "dedup"}, "dedup", None),
    ],
)
def test_datacomp_lists_every_array_and_says_which_are_image_and_text(
    tmp_path: Path, options: dict[str, str], image: str, text: str | None
) -> None:
    shards = datacomp.shards(written(tmp_path, **options))
    for number, (shard, rows) in enumerate(zip(shards, COUNTS, strict=True)):
        assert set(shard.vectors) == {*WIDTHS, "image"} | ({"text"} if text else set())
        same = {name: name for name in WIDTHS} | {"image": image} | ({"text": text} if text else {})
        for name, own in same.items():
            assert shard.vectors[name].rows == rows
            np.testing.assert_array_equal(read(shard, name), array(own, number, rows))
        assert [Path(file).name for file in shard.files] == [f"{number}.parquet", f"{number}.npz"]
        assert Shard.from_json(json.loads(json.dumps(shard.to_json()))) == shard


def test_datacomp_without_captions_embedded_has_no_text(tmp_path: Path) -> None:
    (shard, _) = datacomp.shards(written(tmp_path, ("b32_img", "l14_txt")))
    assert set(shard.vectors) == {"b32_img", "l14_txt", "image"}


@pytest.mark.parametrize("key", ["embedding", "text_embedding"])
def test_an_array_that_is_not_there_is_answered_with_those_there_are(tmp_path: Path, key: str) -> None:
    source = written(tmp_path, **{key: "h14_img"})
    with pytest.raises(UnknownNameError, match="unknown array 'h14_img'; available: b32_img, b32_txt, dedup"):
        datacomp.shards(source)


def test_any_array_out_of_step_or_of_another_width_is_named(tmp_path: Path) -> None:
    source = written(tmp_path)
    right = {name: array(name, 1, 2) for name in WIDTHS}
    np.savez(tmp_path / "1.npz", **right | {"l14_txt": array("l14_txt", 1, 3)})
    with pytest.raises(ShapeError, match=r"1\.npz' holds 3 vectors and its metadata '.*1\.parquet' 2 rows"):
        datacomp.shards(source)
    np.savez(tmp_path / "1.npz", **right | {"dedup": array("b32_img", 1, 2)})
    with pytest.raises(
        ShapeError, match=r"1\.npz' has dedup vectors of width 4, the shard '0' has vectors of width 3"
    ):
        datacomp.shards(source)


def test_clip_retrieval_pairs_its_text_embeddings_by_number(tmp_path: Path) -> None:
    made = BUILDERS["clip-retrieval"](tmp_path, samples(COUNTS))
    assert [set(shard.vectors) for shard in clip_retrieval.shards(made.source)] == [{"image"}] * 2
    (tmp_path / "text_emb").mkdir()
    assert [set(shard.vectors) for shard in clip_retrieval.shards(made.source)] == [{"image"}] * 2
    for number, rows in enumerate(COUNTS):
        np.save(tmp_path / "text_emb" / f"text_emb_{number:03d}.npy", array("l14_txt", number, rows))
    for number, shard in enumerate(clip_retrieval.shards(made.source)):
        assert {name: file.width for name, file in shard.vectors.items()} == {"image": 4, "text": 6}
        np.testing.assert_array_equal(read(shard, "text"), array("l14_txt", number, COUNTS[number]))
        folders = [Path(file).parent.name for file in shard.files]
        assert folders == ["metadata", "img_emb", "text_emb"]
    np.save(tmp_path / "text_emb" / "text_emb_001.npy", array("l14_txt", 1, 5))
    with pytest.raises(ShapeError, match=r"text_emb_001\.npy' holds 5 vectors and its metadata .* 2 rows"):
        clip_retrieval.shards(made.source)


@pytest.mark.parametrize(("extra", "gone"), [(None, 1), (2, None)])
def test_text_embeddings_of_some_shards_are_refused(
    tmp_path: Path, extra: int | None, gone: int | None
) -> None:
    made = BUILDERS["clip-retrieval"](tmp_path, samples(COUNTS))
    (tmp_path / "text_emb").mkdir()
    for number in {0, 1, extra} - {gone, None}:
        np.save(tmp_path / "text_emb" / f"text_emb_{number}.npy", array("b32_txt", 0, 2 if number else 3))
    single = "metadata_1.parquet" if gone else "text_emb_2.npy"
    with pytest.raises(DataError, match=rf"'{single}'.*a shard is a pair"):
        clip_retrieval.shards(made.source)


def test_laion_has_images_alone(tmp_path: Path) -> None:
    made = BUILDERS["laion"](tmp_path / "set", samples(COUNTS))
    (tmp_path / "set" / "vectors").mkdir()
    for number, rows in enumerate(COUNTS):
        np.save(tmp_path / "set" / "vectors" / f"img_emb_{number}.npy", array("l14_img", number, rows))
    source = made.source.model_copy(update={"embeddings": "vectors"})
    assert [set(shard.vectors) for shard in laion.shards(source)] == [{"image"}] * 2
    assert [shard.vectors for shard in laion.shards(made.source)] == [{}] * 2
