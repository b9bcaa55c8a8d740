"""clip-retrieval, DataComp and LAION: metadata Parquet, and vectors that must stay in step with it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from reader_sets import BUILDERS, ODD_FOLDER, Written, samples, vectors, write_parquet

from indexes.errors import DataError, ShapeError, UnknownNameError
from pipeline import readers
from pipeline.readers import _files, clip_retrieval, datacomp, laion, reader_of
from pipeline.sets import uids
from pipeline.sets.source import Source


def keys_of(reader: ModuleType, source: Source) -> list[list[str]]:
    return [reader.rows(source, shard).table["key"].to_pylist() for shard in reader.shards(source)]


def rename(folder: Path, pattern: str, change: Any) -> None:
    for path in sorted(folder.iterdir()):
        match = re.fullmatch(pattern, path.name)
        if match:
            path.rename(folder / change(match))


def test_pairs_by_number_whatever_the_padding(tmp_path: Path) -> None:
    shards = samples((1, 2, 3, 1, 1, 1, 1, 1, 1, 1, 1, 2))
    source = BUILDERS["clip-retrieval"](tmp_path, shards).source
    rename(tmp_path / "metadata", r"metadata_(\d+)\.parquet", lambda m: f"metadata_{int(m[1]):04d}.parquet")
    rename(tmp_path / "img_emb", r"img_emb_(\d)\.npy", lambda m: f"img_emb_{int(m[1]):03d}.npy")
    assert keys_of(clip_retrieval, source) == [[sample.key for sample in shard] for shard in shards]
    for shard, expected in zip(clip_retrieval.shards(source), shards, strict=True):
        assert np.load(shard.vectors["image"].path).tolist() == vectors(expected).tolist()


def test_metadata_of_another_name_inside_the_set_or_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = BUILDERS["clip-retrieval"](tmp_path / ODD_FOLDER, samples((2,)))
    root = tmp_path / ODD_FOLDER
    (root / "metadata").rename(root / "laion2B-en-metadata")
    with pytest.raises(DataError, match="no folder 'metadata'; its folders: img_emb, laion2B-en-metadata"):
        clip_retrieval.shards(written.source)
    inside = written.source.model_copy(update={"metadata": "laion2B-en-metadata"})
    assert len(clip_retrieval.shards(inside)) == 1
    (root / "laion2B-en-metadata").rename(tmp_path / "elsewhere")
    monkeypatch.chdir(tmp_path)
    outside = written.source.model_copy(update={"metadata": "elsewhere"})
    (shard,) = clip_retrieval.shards(outside)
    assert shard.files[0] == str(tmp_path / "elsewhere" / "metadata_0.parquet")


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("img_emb/img_emb_1.npy", "'metadata_1.parquet'.*a shard is a pair"),
        ("metadata/metadata_1.parquet", "'img_emb_1.npy'.*a shard is a pair"),
    ],
)
def test_a_missing_partner_is_named(tmp_path: Path, file: str, message: str) -> None:
    source = BUILDERS["clip-retrieval"](tmp_path, samples((1, 1, 1))).source
    (tmp_path / file).unlink()
    with pytest.raises(DataError, match=message):
        clip_retrieval.shards(source)


def test_two_files_of_one_number(tmp_path: Path) -> None:
    source = BUILDERS["clip-retrieval"](tmp_path, samples((1, 1))).source
    np.save(tmp_path / "img_emb" / "img_emb_01.npy", vectors(samples((1,))[0]))
    with pytest.raises(DataError, match=r"img_emb_01.npy' and .*img_emb_1.npy' have the same number 1"):
        clip_retrieval.shards(source)
    (tmp_path / "img_emb" / "img_emb_01.npy").rename(tmp_path / "img_emb" / "notes.npy")
    with pytest.raises(DataError, match=r"notes.npy' has no number"):
        clip_retrieval.shards(source)


@pytest.mark.parametrize("name", ["clip-retrieval", "datacomp"])
def test_rows_out_of_step_and_widths_that_differ(tmp_path: Path, name: str) -> None:
    written = BUILDERS[name](tmp_path, samples((2, 3)))
    path = tmp_path / ("img_emb/img_emb_1.npy" if name == "clip-retrieval" else f"{1:032x}.npz")

    def save(rows: Any) -> None:
        if path.suffix == ".npz":
            np.savez(path, b32_img=rows, l14_img=rows)
        else:
            np.save(path, rows)

    save(np.ones((4, 4), np.float16))
    reader = readers.open_reader(written.source)
    with pytest.raises(ShapeError, match=r"holds 4 vectors and its metadata '.*' 3 rows") as caught:
        reader.shards(written.source)
    assert path.name in str(caught.value)
    save(np.ones((3, 5), np.float16))
    with pytest.raises(
        ShapeError, match=r"vectors of width 5, .* of width 4; one set comes from one encoder"
    ):
        reader.shards(written.source)


@pytest.mark.parametrize("name", ["clip-retrieval", "datacomp", "laion"])
def test_torn_metadata_is_named(tmp_path: Path, name: str) -> None:
    written = BUILDERS[name](tmp_path, samples((2, 3)))
    reader = readers.open_reader(written.source)
    shard = reader.shards(written.source)[1]
    path = Path(shard.files[0])
    content = path.read_bytes()
    for torn in (b"", content[:-1], content[: len(content) // 2]):
        path.write_bytes(torn)
        with pytest.raises(DataError, match=re.escape(path.name)):
            readers.open_reader(written.source).shards(written.source)
        with pytest.raises(DataError, match=re.escape(path.name)):
            reader.rows(written.source, shard)


def test_metadata_that_grows_during_the_run(tmp_path: Path) -> None:
    source = BUILDERS["laion"](tmp_path, samples((2,))).source
    (shard,) = laion.shards(source)
    write_parquet(Path(shard.files[0]), {"url": pa.array(["a"] * 3)})
    with pytest.raises(DataError, match="has changed during the run: it had 2 rows, now 3"):
        laion.rows(source, shard)


def test_datacomp_arrays_by_name(tmp_path: Path) -> None:
    source = BUILDERS["datacomp"](tmp_path, samples((2, 1))).source
    assert [shard.vectors["image"].dtype for shard in datacomp.shards(source)] == ["<f2", "<f2"]
    large = source.model_copy(update={"embedding": "l14_img"})
    assert [shard.vectors["image"].dtype for shard in datacomp.shards(large)] == ["<f4", "<f4"]
    with pytest.raises(UnknownNameError, match="unknown array 'dedup'; available: b32_img, l14_img"):
        datacomp.shards(source.model_copy(update={"embedding": "dedup"}))


def test_datacomp_parts_are_one_set_in_the_order_of_stems(tmp_path: Path) -> None:
    shards = samples((1, 2, 3, 1))
    source = BUILDERS["datacomp"](tmp_path, shards).source
    for part, stems in {"part_0": ("0" * 31 + "2",), "part_1": ("0" * 31 + "0", "0" * 31 + "1")}.items():
        (tmp_path / part).mkdir()
        for stem in stems:
            for ending in (".npz", ".parquet"):
                (tmp_path / f"{stem}{ending}").rename(tmp_path / part / f"{stem}{ending}")
    assert readers.detect(tmp_path) == ("datacomp",)
    assert keys_of(datacomp, source) == [[sample.key for sample in shard] for shard in shards]
    twin = tmp_path / "part_0" / f"{3:032x}.npz"
    twin.write_bytes((tmp_path / f"{3:032x}.npz").read_bytes())
    with pytest.raises(DataError, match="have the same name; keep one of the two"):
        datacomp.shards(source)


def test_a_damaged_npz_and_a_missing_partner(tmp_path: Path) -> None:
    source = BUILDERS["datacomp"](tmp_path, samples((2, 1))).source
    path = tmp_path / f"{1:032x}.npz"
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(DataError, match=f"{path.name}' is not a whole npz archive"):
        datacomp.shards(source)
    path.unlink()
    with pytest.raises(DataError, match=rf"have no vector file in .*'{path.stem}\.parquet'"):
        datacomp.shards(source)


@pytest.mark.parametrize(
    "columns",
    [
        # DataComp as published, and as dataset2metadata writes it by its own names.
        {"uid": pa.string(), "url": pa.string(), "text": pa.string(), "original_width": pa.int64(),
         "original_height": pa.int64(), "clip_b32_similarity_score": pa.float32(),
         "clip_l14_similarity_score": pa.float64(), "face_bboxes": pa.list_(pa.list_(pa.float64())),
         "sha256": pa.string()},
        {"uid": pa.string(), "url": pa.string(), "caption": pa.string(), "oai-clip-vit-b32-score":
         pa.float64(), "nsfw-detoxify-score": pa.float32(), "face-boxes": pa.list_(pa.list_(pa.float32())),
         "dedup-isc-ft-v107-score": pa.float32()},
    ],
)  # fmt: skip
def test_columns_of_both_producers_of_datacomp(tmp_path: Path, columns: dict[str, pa.DataType]) -> None:
    ids = [f"{number:032x}" for number in range(2)]
    values = {name: pa.nulls(2, kind) for name, kind in columns.items()}
    caption = "text" if "text" in columns else "caption"
    values |= {"uid": pa.array(ids), "url": pa.array(["a", "b"]), caption: pa.array(["c", "d"])}
    write_parquet(tmp_path / "0.parquet", values)
    np.savez(tmp_path / "0.npz", b32_img=np.ones((2, 3), np.float32))
    source = Source(path=str(tmp_path))
    table = datacomp.rows(source, datacomp.shards(source)[0]).table
    assert table["uid"].to_pylist() == table["key"].to_pylist() == ids
    assert table["caption"].to_pylist() == ["c", "d"]
    own = {name: kind for name, kind in columns.items() if name not in ("uid", "url", caption)}
    assert {name: table.schema.field(name).type for name in table.column_names[6:]} == own


RAW = {
    "SAMPLE_ID": pa.array([2**62, None], pa.int64()),
    "URL": pa.array(["http://a", None], pa.string()),
    "TEXT": pa.array(["x" * 61_192, None], pa.string()),
    "HEIGHT": pa.array([39580, None], pa.int32()),
    "WIDTH": pa.array([0, None], pa.int32()),
    "LICENSE": pa.array(["?", ""], pa.string()),
    "NSFW": pa.array(["UNLIKELY", None], pa.string()),
    "similarity": pa.array([6016.0, None], pa.float64()),
}
JOINED = {
    "URL": pa.array(["http://a", "http://b"]),
    "TEXT": pa.array(["a", "b"]),
    "WIDTH": pa.array([1.0, 2.0]),
    "HEIGHT": pa.array([3.0, 4.0]),
    "similarity": pa.array([0.3, float("nan")]),
    "hash": pa.array([-(2**63), 2**63 - 1]),
    "punsafe": pa.array([0.1, None], pa.float32()),
    "pwatermark": pa.array([0.1, None], pa.float32()),
    "__index_level_0__": pa.array([0, 1]),
}


def laion_rows(path: Path, columns: dict[str, Any]) -> readers.ShardRows:
    write_parquet(path, columns)
    source = Source(path=str(path))
    assert readers.open_reader(source) is laion
    (shard,) = laion.shards(source)
    return laion.rows(source, shard)


def test_dirty_values_of_laion_survive(tmp_path: Path) -> None:
    found = laion_rows(tmp_path / "part-00007-x-c000.snappy.parquet", RAW)
    first, second = found.table.to_pylist()
    assert (first["key"], first["url"], first["caption"]) == (str(2**62), "http://a", "x" * 61_192)
    assert (first["SAMPLE_ID"], first["similarity"], first["HEIGHT"]) == (2**62, 6016.0, 39580)
    assert (second["key"], second["url"], second["LICENSE"]) == ("part-00007-x-c000.snappy-1", None, "")
    assert "TEXT" not in found.table.column_names
    assert len(uids.resolve(found.table, "pool")) == 2


@pytest.mark.parametrize(
    ("name", "columns", "note"),
    [
        ("part-00007-x.parquet", RAW, "of LAION-400M or LAION-5B: .* are swapped if it is LAION-5B"),
        ("part-00032-x.parquet", RAW, r"of LAION-5B \(part 00032\): WIDTH and HEIGHT are swapped,"),
        ("x.parquet", RAW | {"LANGUAGE": pa.array(["en", None])}, r"of LAION-5B \(it has LANGUAGE\)"),
        ("part-00099-x.parquet", JOINED, None),
    ],
)
def test_swapped_sizes_are_noted_and_left_as_they_are(
    tmp_path: Path, name: str, columns: dict[str, Any], note: str | None
) -> None:
    found = laion_rows(tmp_path / name, columns)
    assert found.table["WIDTH"].to_pylist() == columns["WIDTH"].to_pylist()
    if note is None:
        assert found.notes == ()
    else:
        assert re.search(note, found.notes[0])


def test_joined_and_released_again(tmp_path: Path) -> None:
    joined = laion_rows(tmp_path / "joined.parquet", JOINED).table
    assert joined["caption"].to_pylist() == ["a", "b"]
    assert joined.column_names[5:] == [name for name in JOINED if name not in ("URL", "TEXT")]
    lower = {"url": pa.array(["u"]), "caption": pa.array(["c"]), "key": pa.array(["7"])}
    table = laion_rows(tmp_path / "lower.parquet", lower).table
    assert table.select(["key", "caption"]).to_pylist() == [{"key": "7", "caption": "c"}]


@pytest.mark.parametrize("arrays", ["img_emb_{}", "embeddings {}"])
def test_laion_metadata_with_embeddings(tmp_path: Path, arrays: str) -> None:
    shards = samples((1, 2, 3))
    source = BUILDERS["laion"](tmp_path / "meta", shards).source
    folder = tmp_path / "meta" / "vectors"
    folder.mkdir()
    for number, shard in enumerate(shards):
        np.save(folder / f"{arrays.format(number)}.npy", vectors(shard))
    paired = source.model_copy(update={"embeddings": "vectors"})
    assert [shard.vectors["image"].rows for shard in laion.shards(paired)] == [1, 2, 3]
    rename(tmp_path / "meta", r"part-(\d+).*", lambda m: f"{'abc'[int(m[1])]}.parquet")
    assert [shard.vectors["image"].rows for shard in laion.shards(paired)] == [1, 2, 3]
    with pytest.raises(DataError, match="has no folder 'img_emb'"):
        laion.shards(source.model_copy(update={"embeddings": "img_emb"}))


def test_vectors_beside_a_pool_are_the_same_in_both_layouts(tmp_path: Path) -> None:
    """The same samples as clip-retrieval and as DataComp: same uids, same vectors."""
    shards = samples((3, 4))
    found = []
    for name in ("clip-retrieval", "datacomp"):
        written: Written = BUILDERS[name](tmp_path / name, shards)
        reader = readers.open_reader(written.source)
        tables = [reader.rows(written.source, shard).table for shard in reader.shards(written.source)]
        found.append([uids.resolve(table, name)["uid"].to_pylist() for table in tables])
    assert found[0] == found[1]


def test_recognising_never_raises(tmp_path: Path) -> None:
    (tmp_path / "broken.parquet").write_bytes(b"PAR1")
    (tmp_path / "plain.txt").write_bytes(b"")
    write_parquet(tmp_path / "other" / "numbers.parquet", {"a": pa.array([1])})
    assert readers.detect(tmp_path / "broken.parquet") == ("laion",)
    assert readers.detect(tmp_path / "plain.txt") == ()
    assert readers.detect(tmp_path / "none") == ()
    assert readers.detect(tmp_path / "other") == ()


@pytest.mark.parametrize(
    ("numbers", "told"),
    [
        ([0, 1, 2], None),
        ([5], None),
        ([0, 2], "number 1 is missing (1 between 0 and 2)"),
        ([0, 1, 5, 9], "numbers 2-4, 6-8 are missing (6 between 0 and 9)"),
        (range(0, 20, 2), "numbers 1, 3, 5, 7, 9 … are missing (9 between 0 and 18)"),
    ],
)
def test_gaps_in_the_numbers_are_named(numbers: Sequence[int], told: str | None) -> None:
    notes = _files.gaps(reversed(numbers), "the tars")
    assert [note.partition(": ")[2].partition(";")[0] for note in notes] == ([told] if told else [])


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (["a-00000-of-00003", "a-00001-of-00003", "a-00002-of-00003"], None),
        (["a-1-of-2", "a-2-of-2"], None),
        (
            ["a-00001-of-00003", "a-00002-of-00003"],
            "number 0 is missing (1 of the 3 that 'a-…-of-3' tells of)",
        ),
        (
            ["a-00000-of-00003", "a-00002-of-00003"],
            "number 1 is missing (1 of the 3 that 'a-…-of-3' tells of)",
        ),
        (
            ["a-00000-of-00003", "a-00001-of-00003"],
            "number 2 is missing (1 of the 3 that 'a-…-of-3' tells of)",
        ),
        (["a-2-of-3", "a-3-of-3"], "number 1 is missing (1 of the 3 that 'a-…-of-3' tells of)"),
        (
            ["b-0-of-2", "b-1-of-2", "7-of-9"],
            "numbers 0-6, 8 are missing (8 of the 9 that '…-of-9' tells of)",
        ),
        (["a-5-of-3", "a"], None),
        ([f"a-3-of-{10**30}"], f"numbers 0-2, 4-{10**30 - 1} are missing"),
        (["\udcff-0-of-2"], "number 1 is missing (1 of the 2 that '\ufffd-…-of-2' tells of)"),
    ],
)
def test_files_that_say_how_many_they_are_name_those_that_are_gone(
    names: list[str], told: str | None
) -> None:
    notes = _files.short_of([Path(f"{name}.tar") for name in reversed(names)], "the tars")
    assert [note.startswith(f"gap in the numbers of the tars: {told}") for note in notes] == [True] * bool(
        told
    )


@pytest.mark.parametrize("name", ["clip-retrieval", "laion", "img2dataset", "image-parquet"])
def test_the_last_of_so_many_is_missed(tmp_path: Path, name: str) -> None:
    source = BUILDERS[name](tmp_path, samples((1, 1, 1))).source
    for file in [file for file in tmp_path.rglob("*") if file.is_file()]:
        stem, number, kind = re.match(
            r"(.*?)0*([0-2])(?=[-_.]).*?(_stats.json|[.][a-z]+)$", file.name
        ).groups()
        kept = int(number) < 2
        file.rename(file.with_name(f"{stem or 'a-'}{number}-of-3{kind}")) if kept else file.unlink()
    first, other = reader_of(name).shards(source)
    assert "number 2 is missing (1 of the 3 that" in first.notes[0]
    assert other.notes == ()


@pytest.mark.parametrize("name", ["clip-retrieval", "laion"])
def test_a_missing_pair_is_a_note_on_the_set(tmp_path: Path, name: str) -> None:
    source = BUILDERS[name](tmp_path, samples((1, 1, 1))).source
    for file in [
        file for file in tmp_path.rglob("*") if file.is_file() and re.search(r"[_-]0*1[.-]", file.name)
    ]:
        file.unlink()
    first, *others = reader_of(name).shards(source)
    assert "number 1 is missing" in first.notes[0]
    assert all(shard.notes == () for shard in others)


def test_a_lone_pair_in_one_folder_is_a_set(tmp_path: Path) -> None:
    vectors = np.eye(3, 4, dtype=np.float32)
    np.save(tmp_path / "vectors.npy", vectors)
    write_parquet(tmp_path / "rows.parquet", {"url": pa.array(["a", "b", "c"])})
    with pytest.raises(
        DataError,
        match=f"that holds it '{tmp_path.name}' looks like laion: name '{tmp_path}' as",
    ):
        readers.open_reader(Source(path=str(tmp_path / "vectors.npy")))
    source = Source(path=str(tmp_path), embeddings=str(tmp_path))
    assert readers.detect(tmp_path) == ("laion",)
    (shard,) = laion.shards(source)
    assert (shard.rows, shard.notes, shard.vectors["image"].width) == (3, (), 4)
    assert np.array_equal(np.load(shard.vectors["image"].path), vectors)
    assert laion.rows(source, shard).table["url"].to_pylist() == ["a", "b", "c"]
