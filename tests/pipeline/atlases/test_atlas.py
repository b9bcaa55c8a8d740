"""An atlas has the split's samples, each with those nearest to it, in the form that embedding-atlas reads."""

from __future__ import annotations

import io
import shlex
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from flat_atlas import draw_flat_atlas, flat
from hypothesis import given, settings
from hypothesis import strategies as st
from last_objects import last_object
from PIL import Image
from small_sets import write_plan
from whole_runs import Run

from curation.kernels.uid_hash import hashes
from indexes.canonical import canonical
from indexes.errors import BadInputError
from pipeline.projection import umap_layout
from pipeline.projection.atlas_request import AtlasRequest
from pipeline.projection.nearest_samples import nearest_samples
from pipeline.projection.told_columns import CarriedColumns, looked_up
from pipeline.sets.uids import as_pairs

SPLIT = "combined_pruned"


@pytest.fixture(scope="module")
def out(quickstart_output: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The quickstart's output with an atlas of 40 samples of a split."""
    folder = tmp_path_factory.mktemp("atlas") / "out"
    shutil.copytree(quickstart_output, folder)
    draw_flat_atlas(folder, AtlasRequest(SPLIT, most=40))
    return folder


@pytest.fixture(scope="module")
def atlas(out: Path) -> pl.DataFrame:
    return pl.read_parquet(out / f"atlases/{SPLIT}.parquet")


def embeddings(out: Path, kind: str = "img_emb") -> dict[str, np.ndarray]:
    folder = out / "embeddings/pool/clip"
    found = {}
    for path in sorted((folder / kind).glob("*.npy")):
        names = (
            pq.read_table(folder / f"metadata/metadata_{path.stem[-4:]}.parquet").column("uid").to_pylist()
        )
        found |= dict(zip(names, np.load(path), strict=True))
    return found


def test_it_has_the_samples_with_the_lowest_hashes(out: Path, atlas: pl.DataFrame) -> None:
    kept = pq.read_table(out / f"splits/{SPLIT}/part-0000.parquet").to_pydict()
    placed = dict(zip(kept["uid"], hashes(as_pairs(pa.array(kept["uid"])), 0).tolist(), strict=True))
    assert len(placed) > 60
    assert atlas["uid"].to_list() == sorted(placed, key=placed.__getitem__)[:40]
    of = {name: dict(zip(kept["uid"], kept[name], strict=True)) for name in ("key", "caption", "url")}
    for name, values in of.items():
        assert atlas[name].to_list() == [values[uid] for uid in atlas["uid"]]


def test_neighbours_are_rows_in_order_of_exact_cosine(out: Path, atlas: pl.DataFrame) -> None:
    held = embeddings(out)
    vectors = canonical(np.array([held[uid] for uid in atlas["uid"]])).vectors.astype(np.float64)
    distance = 1 - vectors @ vectors.T
    for row, found in enumerate(atlas["neighbors"].to_list()):
        assert found["ids"][0] == row
        assert found["distances"][0] == 0
        assert len(set(found["ids"])) == len(found["ids"]) == umap_layout.NEIGHBOURS
        assert np.allclose(found["distances"][1:], distance[row][found["ids"][1:]], atol=1e-5)
        assert found["distances"] == sorted(found["distances"])
        others = np.delete(distance[row], found["ids"])
        assert others.min() >= found["distances"][-1] - 1e-5
    assert np.allclose(atlas.select("projection_x", "projection_y").to_numpy(), vectors[:, :2], atol=1e-3)


def test_what_was_measured_comes_along(out: Path, atlas: pl.DataFrame) -> None:
    for benchmark in ("photo", "sketch", "rendition"):
        told = pl.read_parquet(out / f"measures/similarity/{benchmark}/part-*.parquet")
        told = told.select("uid", pl.col("similarity"), pl.col("margin"))
        joined = atlas.join(told, on="uid", how="left", maintain_order="left")
        assert joined[f"{benchmark}_similarity"].equals(
            joined["similarity"].rename(f"{benchmark}_similarity")
        )
        assert joined[f"{benchmark}_margin"].null_count() == 0
    clusters = pl.read_parquet(out / "measures/clusters/part-*.parquet").select("uid", "cluster")
    joined = atlas.join(clusters, on="uid", how="left", maintain_order="left")
    assert joined["clusters_cluster"].to_list() == joined["cluster"].to_list()
    assert {"clip_score", "label"} <= set(atlas.columns)
    assert not {"vector", "picture", "photo_nearest"} & set(atlas.columns)


def test_pictures_are_small_and_of_the_sample(out: Path, small_world: Path, atlas: pl.DataFrame) -> None:
    from export_pool import grouped

    images = {key: members["jpg"] for _, key, members in grouped(small_world / "pool")}
    for key, uid, held in zip(atlas["key"], atlas["uid"], atlas["image"].to_list(), strict=True):
        small, whole = Image.open(io.BytesIO(held["bytes"])), Image.open(io.BytesIO(images[key]))
        assert held["path"] in (f"{uid}.png", f"{uid}.jpg")
        assert max(small.size) <= 112
        ratio = small.width / small.height
        assert abs(ratio - whole.width / whole.height) < 0.05
        small, whole = (np.asarray(one.convert("RGB").resize((8, 8)), np.int64) for one in (small, whole))
        assert np.abs(small - whole).mean() < 8


def test_the_same_costs_nothing_and_less_is_a_part_of_it(out: Path, atlas: pl.DataFrame) -> None:
    file = out / f"atlases/{SPLIT}.parquet"
    before = file.stat().st_mtime_ns
    again = draw_flat_atlas(out, AtlasRequest(SPLIT, most=40))
    assert (file.stat().st_mtime_ns, again["samples"], again["of"] > 60) == (before, 40, True)
    draw_flat_atlas(out, AtlasRequest(SPLIT, most=12, pictures=False))
    fewer = pl.read_parquet(file)
    assert fewer["uid"].to_list() == atlas["uid"].to_list()[:12]
    assert "image" not in fewer.columns
    assert len(fewer["neighbors"][0]["ids"]) == 12
    draw_flat_atlas(out, AtlasRequest(SPLIT, most=40))
    assert pl.read_parquet(file).equals(atlas)


def test_the_command_says_where_it_is_and_how_to_open_it(
    sets: Path, cli: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And `verify` walks it, says when it is of another state of the split, and mends it."""
    monkeypatch.setattr(umap_layout, "places", flat)
    out, plan = str(sets / "out"), str(write_plan(sets))
    assert cli("run", plan)[0] == 0
    code, said, errors = cli("atlas", out, "core", "--at-most", "20")
    assert code == 0, errors
    file = sets / "out/atlases/core.parquet"
    assert f"20 of 100 samples of the pool: {file}\n" in said
    told = shlex.split(said.partition("to look at it: ")[2])
    assert told[:2] == ["embedding-atlas", str(file)]
    columns = set(pq.read_schema(file).names)
    assert {name for flag, name in zip(told[2::2], told[3::2], strict=True)} <= columns
    assert "image" not in columns  # the pool has none
    found = last_object(cli("atlas", out, "core", "--at-most", "20", "--json")[1])
    assert (found["file"], found["samples"], set(found["columns"])) == (str(file), 20, columns)
    held = file.read_bytes()
    file.write_bytes(held[:-1] + bytes([held[-1] ^ 1]))
    assert cli("verify", out)[0] == 1
    assert cli("verify", out, "--repair")[0] == 0
    assert file.read_bytes() == held
    fewer = {"core": [{"far": {"to": "all", "keep": 90}}]}
    assert cli("run", str(write_plan(sets, splits=fewer)))[0] == 0
    code, said, _ = cli("verify", out)
    assert (code, "the atlas of core is not of the split as it is now; to write it again" in said) == (
        1,
        True,
    )
    again = said.partition("to write it again: nearfar ")[2].splitlines()[0]
    assert cli(*shlex.split(again))[0] == 0
    assert cli("verify", out)[0] == 0
    (sets / "gone.txt").write_text(pq.read_table(file).column("uid")[0].as_py())
    assert cli("purge", out, "--list", f"uid={sets / 'gone.txt'}")[0] == 0
    assert not file.exists()
    assert not list((sets / "out/internal").glob("picked/*/*"))


def test_advice_of_an_atlas_leads_out(sets: Path, cli: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(umap_layout, "places", flat)
    out = str(sets / "out")
    few = {"few": [{"random": {"keep": 4}}], "five": [{"random": {"keep": 5}}], "none": [{"where": "false"}]}
    assert cli("run", str(write_plan(sets, splits=few)))[0] == 0
    code, _, errors = cli("atlas", out, "few")
    assert (code, "name a split with more of them" in errors) == (2, True)
    code, _, errors = cli("atlas", out, "none")
    assert (code, "0 samples of none have an image embedding, and an atlas takes at least" in errors) == (
        2,
        True,
    )
    assert cli("atlas", out, "five")[0] == 0
    code, _, errors = cli("atlas", out, "fiv")
    assert (code, "few, five, none" in errors) == (2, True)
    monkeypatch.setattr(umap_layout, "PACKAGE", "no_such_package")
    code, _, errors = cli("atlas", out, "five")
    assert (code, "pip install '.[atlas]'" in errors) == (2, True)


def test_a_pool_without_embeddings_is_told_what_to_do(
    tmp_path: Path, small_world: Path, cli: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    import yaml
    from measured_world import TINY

    monkeypatch.setattr(umap_layout, "places", flat)
    plan: dict[str, Any] = {
        "name": "bare",
        "pool": {"path": str(small_world / "pool"), "format": "img2dataset"},
        "encoder": {"model": str(TINY), "pretrained": str(TINY / "open_clip_model.safetensors")},
        "splits": {"some": [{"random": {"keep": 20}}]},
        "output": str(tmp_path / "out"),
    }
    path = tmp_path / "plan.yaml"
    path.write_text(yaml.safe_dump(plan))
    assert cli("run", str(path))[0] == 0
    code, _, errors = cli("atlas", str(tmp_path / "out"), "some")
    assert (code, "measures: {clusters: {k: 16}}, run it, then draw the atlas" in errors) == (2, True), errors
    path.write_text(yaml.safe_dump(plan | {"measures": {"clusters": {"k": 4}}}))
    assert cli("run", str(path))[0] == 0
    assert cli("atlas", str(tmp_path / "out"), "some")[0] == 0
    rows = pq.read_table(tmp_path / "out/atlases/some.parquet")
    assert (len(rows), "clusters_cluster" in rows.column_names) == (20, True)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 40), st.integers(1, 6), st.integers(0, 2**32 - 1))
def test_nearest_samples_are_those_of_brute_force(samples: int, width: int, seed: int) -> None:
    drawn = np.random.default_rng(seed).integers(-2, 3, (samples, width)).astype(np.float32)
    drawn[(drawn == 0).all(axis=1), 0] = 1
    vectors = canonical(drawn).vectors
    k = min(samples, 5)
    rows, distances = nearest_samples(vectors, k)
    exact = 1 - vectors.astype(np.float64) @ vectors.astype(np.float64).T
    for row in range(samples):
        assert rows[row, 0] == row
        assert len(set(rows[row].tolist())) == k
        assert np.allclose(distances[row, 1:], np.clip(exact[row][rows[row, 1:]], 0, 2), atol=1e-5)
        others = np.sort(np.delete(exact[row], row))[: k - 1]
        assert np.allclose(np.sort(distances[row, 1:]), np.clip(others, 0, 2), atol=1e-5)


@pytest.mark.soak
def test_umap_puts_what_is_alike_together_and_gives_the_same_again() -> None:
    pytest.importorskip("umap", reason="umap-learn comes with the extra `atlas`")
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(3, 16))
    of = np.repeat(np.arange(3), 40)
    vectors = canonical((centres[of] + 0.2 * rng.normal(size=(120, 16))).astype(np.float32)).vectors
    rows, distances = nearest_samples(vectors, umap_layout.NEIGHBOURS)
    first = umap_layout.places(vectors, rows, distances)
    assert first.shape == (120, 2)
    assert np.isfinite(first).all()
    means = np.array([first[of == one].mean(axis=0) for one in range(3)])
    nearest = ((first[:, None] - means[None]) ** 2).sum(axis=2).argmin(axis=1)
    assert (nearest == of).all()
    assert (umap_layout.places(vectors, rows, distances) == first).all()
    few, apart = nearest_samples(vectors[:5], 5)
    assert np.isfinite(umap_layout.places(vectors[:5], few, apart)).all()


def test_what_is_not_installed_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(umap_layout, "PACKAGE", "no_such_package")
    with pytest.raises(BadInputError, match="umap-learn, which is not installed"):
        umap_layout.check_installed()


def test_columns_of_a_part_without_rows_are_of_their_type(tmp_path: Path) -> None:
    kinds = pa.schema([("uid", pa.string()), ("words", pa.int32())])
    pq.write_table(kinds.empty_table(), tmp_path / "part.parquet")
    measured = CarriedColumns("captions", ("words",), ("captions_words",))
    for uids in ([], ["0" * 32]):
        column = pa.chunked_array([pa.array(uids, pa.string())])
        ((name, found),) = looked_up(column, measured, tmp_path / "part.parquet")
        assert (name, found.type, found.to_pylist()) == ("captions_words", pa.int32(), [None] * len(uids))
