"""The rendered world: same seed same bytes, img2dataset's shape, and a truth that holds."""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from indexes.errors import BadInputError, OutputError
from pipeline.world.__main__ import main
from pipeline.world.captions import PLAIN, WEB, alt_text
from pipeline.world.plants import KINDS
from pipeline.world.render import render_world
from pipeline.world.scene import BENCHMARK_LABELS, LABELS, STYLES, sample_scene
from pipeline.world.styles import PAINTERS


def digests(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def sidecar(world: Path) -> list[dict[str, Any]]:
    files = sorted((world / "pool").glob("*.parquet"))
    rows: list[dict[str, Any]] = pa.concat_tables([pq.read_table(path) for path in files]).to_pylist()
    return rows


def members(world: Path) -> dict[str, bytes]:
    found = {}
    for path in sorted((world / "pool").glob("*.tar")):
        with tarfile.open(path) as tar:
            for member in tar:
                content = tar.extractfile(member)
                assert content is not None
                found[member.name] = content.read()
    return found


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(tmp_path: Path) -> None:
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        render_world(tmp_path / name, seed, 50)
    first, second, other = (digests(tmp_path / name) for name in "abc")
    assert first == second
    assert len(first) == len(other)
    assert not {first[name] for name in first if not name.endswith(".json")} & set(other.values())


def test_a_smaller_world_does_not_change_what_an_image_shows(tmp_path: Path, small_world: Path) -> None:
    render_world(tmp_path / "w", 0, 100)
    mine, theirs = digests(tmp_path / "w" / "reference"), digests(small_world / "reference")
    shared = set(mine) & set(theirs)
    assert len(shared) >= 32
    assert all(mine[name] == theirs[name] for name in shared)


def test_the_pool_has_five_shards_whose_numbers_add_up(small_world: Path) -> None:
    pool = small_world / "pool"
    stems = [f"{shard:05d}" for shard in range(5)]
    expected = {f"{stem}{end}" for stem in stems for end in (".tar", ".parquet", "_stats.json")}
    assert {path.name for path in pool.iterdir()} == expected
    for stem in stems:
        stats, table = (
            json.loads((pool / f"{stem}_stats.json").read_text()),
            pq.read_table(pool / f"{stem}.parquet"),
        )
        counts = Counter(table["status"].to_pylist())
        assert stats["count"] == table.num_rows == sum(stats["status_dict"].values())
        assert stats["successes"] == counts["success"]
        assert stats["failed_to_download"] == counts["failed_to_download"]
    statuses = Counter(row["status"] for row in sidecar(small_world))
    assert statuses["success"] == 200
    assert sum(statuses.values()) == 202


def test_each_success_is_in_the_tar_with_its_row_caption_and_hash(small_world: Path) -> None:
    rows, files = sidecar(small_world), members(small_world)
    for row in rows:
        if row["status"] != "success":
            assert (row["sha256"], row["width"], row["exif"]) == (None, None, None)
            assert row["error_message"]
            continue
        image, caption, record = (files.pop(f"{row['key']}.{end}") for end in ("jpg", "txt", "json"))
        assert caption.decode() == row["caption"]
        assert json.loads(record) == row
        assert hashlib.sha256(image).hexdigest() == row["sha256"]
        assert Image.open(io.BytesIO(image)).size == (row["width"], row["height"])
    assert not files


def test_rows_arrive_out_of_order_and_keys_are_numbered_by_shard(small_world: Path) -> None:
    keys = pq.read_table(small_world / "pool" / "00003.parquet")["key"].to_pylist()
    assert keys != sorted(keys)
    assert sorted(keys) == [f"00003{row:02d}" for row in range(len(keys))]


def test_captions_are_as_wild_as_the_webs(small_world: Path) -> None:
    text = "\n".join(row["caption"] for row in sidecar(small_world))
    assert not text.isascii()
    assert all(mark in text for mark in ('"', "<b>", "&amp;", "'s", "☕"))


def test_every_plant_is_what_the_truth_says(small_world: Path) -> None:
    rows = {row["key"]: row for row in sidecar(small_world)}
    files, truth = members(small_world), pq.read_table(small_world / "truth.parquet").to_pylist()
    assert Counter(row["benchmark"] for row in truth) == dict.fromkeys(STYLES, 5)
    assert Counter(row["kind"] for row in truth) == dict.fromkeys(KINDS, 3)
    for plant in truth:
        row = rows[plant["key"]]
        assert plant["uid"] == hashlib.md5(f"{row['url']}\n{row['caption']}".encode()).hexdigest()
        query = (small_world / "benchmarks" / plant["benchmark"] / plant["query_key"]).read_bytes()
        copied = files[f"{plant['key']}.jpg"]
        assert (copied == query) == (plant["kind"] == "exact")
        small, large = (Image.open(io.BytesIO(content)).resize((16, 16)) for content in (copied, query))
        apart = np.abs(np.asarray(small, dtype=float) - np.asarray(large, dtype=float)).mean()
        assert apart < (60 if plant["kind"] == "brightness" else 30)


def test_uids_are_unique(small_world: Path) -> None:
    pairs = [(row["url"], row["caption"]) for row in sidecar(small_world)]
    assert len(set(pairs)) == len(pairs)


def test_folders_hold_the_benchmark_classes(small_world: Path) -> None:
    for folder in (small_world / "reference", *((small_world / "benchmarks" / style) for style in STYLES)):
        assert {path.name for path in folder.iterdir()} == set(BENCHMARK_LABELS)
        assert all(path.read_bytes().startswith(b"\xff\xd8\xff") for path in folder.rglob("*.jpg"))


@pytest.mark.parametrize("style", STYLES)
def test_every_class_can_be_painted_and_no_two_look_the_same(style: str) -> None:
    seen = set()
    for label in LABELS:
        image = PAINTERS[style](sample_scene(np.random.default_rng([9, 9]), label))
        assert image.mode == "RGB"
        assert 64 <= min(image.size) <= max(image.size) <= 128
        seen.add(image.tobytes())
    assert len(seen) == len(LABELS)


def test_a_sketch_is_black_on_white_and_a_rendition_uses_few_colours() -> None:
    scene = sample_scene(np.random.default_rng(5), "house")
    drawn = np.asarray(PAINTERS["sketch"](scene))
    assert np.ptp(drawn, axis=2).max() == 0
    assert np.median(drawn) > 235
    colours = {style: len(PAINTERS[style](scene).getcolors(1 << 20) or ()) for style in STYLES}
    assert colours["rendition"] * 4 < colours["photo"]


@pytest.mark.parametrize("style", STYLES)
def test_every_caption_template_can_be_filled(style: str) -> None:
    rng = np.random.default_rng(0)
    texts = {alt_text(rng, sample_scene(rng, "cat"), style) for _ in range(400)}
    assert len(texts) > 150
    assert all(text and "{" not in text for text in texts)
    assert len(PLAIN) + len(WEB) == 18


def test_rendering_again_leaves_the_world_as_it_is(small_world: Path) -> None:
    before = (small_world / "truth.parquet").stat().st_mtime_ns
    assert main([str(small_world), "--samples", "200"]) == 0
    assert (small_world / "truth.parquet").stat().st_mtime_ns == before


def test_another_world_or_other_files_are_not_overwritten(small_world: Path, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="'seed': 0"):
        render_world(small_world, 1, 200)
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(OutputError, match="remove it or choose another"):
        render_world(tmp_path, 0, 200)
    assert (tmp_path / "mine.txt").read_text() == "mine"


@pytest.mark.parametrize(("seed", "samples"), [(0, 10), (-1, 200)])
def test_a_world_that_cannot_be_is_refused(seed: int, samples: int, tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="at least 50 samples"):
        render_world(tmp_path / "w", seed, samples)
    assert not list(tmp_path.iterdir())


def test_bad_input_ends_with_exit_2_and_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    assert main([str(tmp_path / "file" / "w"), "--samples", "50"]) == 2
    assert main([str(tmp_path / "w"), "--samples", "1"]) == 2
    said = capsys.readouterr().err
    assert said.count("error: ") == 2
    assert "Traceback" not in said


@pytest.mark.real_data
def test_the_pool_has_the_shape_of_a_real_img2dataset_run(small_world: Path) -> None:
    root = os.environ.get("NEARFAR_REAL_DATA")
    if not root:
        pytest.skip("set NEARFAR_REAL_DATA to compare with a real img2dataset run")
    real, ours = Path(root) / "flickr8k", small_world / "pool"
    schemas = [pq.read_schema(folder / "00000.parquet") for folder in (real, ours)]
    own, others = (list(schema)[1:] for schema in schemas)  # the first column is the pool's own
    assert own == others
    stats = [json.loads((folder / "00000_stats.json").read_text()) for folder in (real, ours)]
    assert [(key, type(value)) for key, value in stats[0].items()] == [
        (k, type(v)) for k, v in stats[1].items()
    ]
    first = []
    for folder in (real, ours):
        with tarfile.open(folder / "00000.tar") as tar:
            head = [member for member, _ in zip(tar, range(3), strict=False)]
            first.append([(Path(m.name).suffix, m.mode, m.uname, m.type) for m in head])
    assert first[0] == first[1]
