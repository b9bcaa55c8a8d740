"""`nearfar export --csv`: a split of image files as open_clip's trainer reads it."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from export_pool import write_export_plan, write_pool
from hypothesis import given
from hypothesis import strategies as st
from image_pools import write_image, write_images, write_images_plan
from last_objects import last_object
from whole_runs import Run

from pipeline.webdataset.placing.sample_places import named, spelled


@pytest.fixture
def files(tmp_path: Path, cli: Run) -> Path:
    """A finished run over image files; its folder."""
    write_images(tmp_path / "pool")
    code, _, errors = cli("run", str(write_images_plan(tmp_path)))
    assert code == 0, errors
    return tmp_path


def listed(path: Path) -> dict[str, str]:
    table = pd.read_csv(path, sep="\t")
    return dict(zip(table["filepath"].tolist(), map(str, table["title"].tolist()), strict=True))


def test_files_and_captions_are_listed(files: Path, cli: Run) -> None:
    code, said, errors = cli("export", str(files / "out"), "whole", "--csv")
    assert code == 0, errors
    table = files / "out/shards/whole/samples.csv"
    found = listed(table)
    pool = files / "pool"
    assert found == {
        str(pool / "cat/1.png"): "a cat",
        str(pool / "cat/2.png"): "NA ",
        str(pool / "dog/1.png"): 'a "dog"\twith\nlines',
        str(pool / "fish.png"): " =a fish",
    }
    assert f"4 samples listed: {table}" in said
    assert "left out, since they have no caption: 2 samples" in said
    assert f"--dataset-type csv --train-data {table}" in said
    code, said, _ = cli("export", str(files / "out"), "cats", "--csv", "--json")
    answer = last_object(said)
    assert (code, answer["samples"], answer["shards"], answer["without_caption"]) == (0, 2, 0, 0)
    assert sorted(listed(Path(answer["csv"]))) == [str(pool / f"cat/{one}.png") for one in (1, 2)]
    assert cli("verify", str(files / "out"))[0] == 0


def test_a_file_whose_name_is_no_utf8_stays_away_and_is_counted(tmp_path: Path, cli: Run) -> None:
    names = [
        "new\nline",
        "bidi\u202etxt",
        "k\u00e9",
        "ke\u0301",
        "👩\u200d👧",
        os.fsdecode(b"\xe9t\xe9"),
        'tab\t"',
    ]
    for number, name in enumerate(names):
        write_image(tmp_path / "pool" / f"{name}.png", 10 * number)
        (tmp_path / "pool" / f"{name}.txt").write_text(f"image {number}")
    assert cli("run", str(write_images_plan(tmp_path)))[0] == 0
    code, said, errors = cli("export", str(tmp_path / "out"), "whole", "--csv")
    assert code == 0, errors
    assert "left out, since no UTF-8 spells their file's name: 1 samples" in said
    table = tmp_path / "out/shards/whole/samples.csv"
    places = {
        str(tmp_path / "pool" / f"{name}.png"): f"image {at}" for at, name in enumerate(names) if at != 5
    }
    assert listed(table) == places
    assert cli("verify", str(tmp_path / "out"))[0] == 0
    keys = (tmp_path / "out/splits/whole/keys.txt").read_bytes().decode().split("\n")
    assert sorted(keys[:-1]) == sorted(
        f"{name}.png" for name in [*names[1:5], names[6], "new\\nline", "\ufffdt\ufffd"]
    )


@given(st.binary(min_size=1, max_size=9))
def test_names_of_files_are_spelled_so_that_they_can_be_read(name: bytes) -> None:
    text = os.fsdecode(name)
    assert named(pa.array([spelled(text)], pa.string())[0].as_py()) == text or b"\0" in name


def test_the_order_is_that_of_the_seed_and_verify_finds_what_changed(files: Path, cli: Run) -> None:
    out, table = str(files / "out"), files / "out/shards/whole/samples.csv"
    lines = []
    for options in ((), ("--samples-per-shard", "2"), ("--seed", "3")):
        assert cli("export", out, "whole", "--csv", *options)[0] == 0
        lines.append(table.read_text().splitlines()[1:])
    assert lines[0] == lines[1]
    assert sorted(lines[0]) == sorted(lines[2])
    assert lines[0] != lines[2]
    table.write_text(table.read_text().replace("a cat", "a cut"))
    code, said, _ = cli("verify", out)
    assert (code, "samples.csv is not what was committed" in said) == (1, True)
    code, said, errors = cli("verify", out, "--repair")
    assert code == 0, said + errors
    assert table.read_text().splitlines()[1:] == lines[2]


def test_samples_come_as_often_as_they_count_with_rewritten_captions(files: Path, cli: Run) -> None:
    split = [
        {"where": "label IS NOT NULL"},
        {"caption-detail": {"template": "a photo of a {class}", "name": "label"}},
        {"repeat": {"times": "2"}},
    ]
    plan = str(write_images_plan(files, often=split))
    code, _, errors = cli("run", plan)
    assert code == 0, errors
    assert cli("export", str(files / "out"), "often", "--csv")[0] == 0
    table = pd.read_csv(files / "out/shards/often/samples.csv", sep="\t")
    kept = pq.read_table(files / "out/splits/often/part-0000.parquet").to_pylist()
    assert sorted(table["title"]) == sorted(2 * [row["caption_rewritten"] for row in kept])
    assert set(table["filepath"].value_counts()) == {2}


def test_a_download_as_files_is_listed_as_its_tar_names_it(tmp_path: Path, cli: Run) -> None:
    keys = [f"00000{number:04d}" for number in range(4)]
    for number, key in enumerate(keys):
        write_image(tmp_path / f"pool/00000/{key}.jpg", 10 * number)
    columns = {
        "url": [f"http://x.test/{key}" for key in keys],
        "caption": [f"image {number}" for number in range(4)],
        "key": keys,
        "status": ["success"] * 4,
    }
    pq.write_table(pa.table(columns), tmp_path / "pool/00000.parquet")
    assert cli("run", str(write_images_plan(tmp_path, cats=[{"where": "caption <> 'image 2'"}])))[0] == 0
    code, _, errors = cli("export", str(tmp_path / "out"), "cats", "--csv")
    assert code == 0, errors
    assert listed(tmp_path / "out/shards/cats/samples.csv") == {
        str(tmp_path / f"pool/00000/00000{number:04d}.jpg"): f"image {number}" for number in (0, 1, 3)
    }


def test_a_pool_that_moved_is_listed_where_it_is(files: Path, cli: Run) -> None:
    out = str(files / "out")
    assert cli("export", out, "cats", "--csv")[0] == 0
    shutil.move(files / "pool", files / "moved")
    assert cli("run", str(files / "plan.yaml"), "--set", f"pool.path={files}/moved")[0] == 0
    assert cli("export", out, "cats", "--csv")[0] == 0
    assert sorted(listed(files / "out/shards/cats/samples.csv")) == [
        str(files / f"moved/cat/{one}.png") for one in (1, 2)
    ]


def test_what_has_no_files_is_refused_and_what_has_no_tars_told_of_files(
    tmp_path: Path, files: Path, cli: Run
) -> None:
    tars = tmp_path / "tars"
    write_pool(tars / "pool")
    assert cli("run", str(write_export_plan(tars)))[0] == 0
    code, _, errors = cli("export", str(tars / "out"), "whole", "--csv")
    assert (code, "in which images are no files of their own; export tars, without --csv" in errors) == (
        2,
        True,
    )
    assert cli("export", str(tars / "out"), "whole")[0] == 0
    code, _, errors = cli("export", str(files / "out"), "whole")
    assert (code, "add --csv" in errors) == (2, True)
    assert json.loads((tars / "out/shards/whole/sizes.json").read_text())
