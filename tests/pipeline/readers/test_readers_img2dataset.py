from __future__ import annotations

import contextlib
import hashlib
import json
import tarfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from reader_sets import (
    BUILDERS,
    HOSTILE,
    Sample,
    members,
    samples,
    write_parquet,
    write_stats,
    write_tar,
)

from indexes.errors import DataError
from pipeline.readers import Shard, ShardRows, detect, img2dataset
from pipeline.sets import uids
from pipeline.sets.source import Source

Entry = tuple[str | tarfile.TarInfo, bytes]


def read(root: Path) -> ShardRows:
    """Read a shard twice: in one pass with its images, and its metadata alone; both must come to the same."""
    source = Source(path=str(root), format="img2dataset")
    (shard,) = img2dataset.shards(source)
    whole, alone = (outcome(source, shard, wants_images) for wants_images in (True, False))
    if isinstance(whole, DataError):
        assert isinstance(alone, DataError)
        assert str(whole) == str(alone)
        raise whole
    assert isinstance(alone, ShardRows)
    assert (whole.table, whole.lost, whole.notes) == (alone.table, alone.lost, alone.notes)
    return whole


def outcome(source: Source, shard: Shard, wants_images: bool) -> ShardRows | DataError:
    reading = img2dataset.read(source, shard, wants_images)
    try:
        keys = [key for key, _ in reading.images()]
        found = reading.rows()
    except DataError as error:
        return error
    assert keys == (found.table["key"].to_pylist() if wants_images else [])
    beside = shard.files if wants_images else shard.files[1:]
    hashes = {file: hashlib.sha256(Path(file).read_bytes()).hexdigest() for file in beside}
    assert reading.digests() == hashes
    assert keys == [key for key, _ in img2dataset.images(source, shard)] or not wants_images
    return found


def sidecar(root: Path, keys: list[str], status: list[str | None], **more: list[Any]) -> None:
    columns = {
        "url": pa.array([f"http://{key}" for key in keys]),
        "caption": pa.array([f"caption {key}" for key in keys]),
        "key": pa.array(keys),
        "status": pa.array(status, pa.string()),
        "error_message": pa.array([None if one == "success" else "HTTP 404" for one in status], pa.string()),
    }
    write_parquet(root / "00000.parquet", columns | {name: pa.array(values) for name, values in more.items()})


def tar(root: Path, entries: list[Entry]) -> Path:
    write_tar(root / "00000.tar", entries)
    return root / "00000.tar"


def image(key: str, kind: str = "jpg") -> Entry:
    return f"{key}.{kind}", b"image of " + key.encode()


def linked(name: str, kind: bytes, target: str = "/etc/passwd") -> Entry:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info, b""


def test_failures_are_lost_rows_with_their_reason(tmp_path: Path) -> None:
    # The sidecar is in order of completion, the tar in another one: the tar's counts.
    tar(tmp_path, [image("2"), image("0")])
    sidecar(
        tmp_path,
        ["0", "1", "2", "3", "4"],
        ["success", "failed_to_download", "success", "failed_to_resize", None],
        width=[10, None, 12, None, None],
    )
    write_stats(tmp_path / "00000_stats.json", 5, 2)
    found = read(tmp_path)
    assert found.table.select(["row", "key", "url", "caption", "width"]).to_pylist() == [
        {"row": 0, "key": "2", "url": "http://2", "caption": "caption 2", "width": 12},
        {"row": 1, "key": "0", "url": "http://0", "caption": "caption 0", "width": 10},
    ]
    assert found.lost.select(["key", "caption", "outcome", "reason"]).to_pylist() == [
        {"key": "1", "caption": "caption 1", "outcome": "failed", "reason": "failed_to_download: HTTP 404"},
        {"key": "3", "caption": "caption 3", "outcome": "failed", "reason": "failed_to_resize: HTTP 404"},
        {"key": "4", "caption": "caption 4", "outcome": "failed", "reason": "no status: HTTP 404"},
    ]
    expected = uids.derive(*(found.lost[name] for name in ("url", "caption", "key")))
    assert found.lost["uid"].to_pylist() == uids.as_hex(expected).to_pylist()
    assert found.notes == ()


def test_the_pools_own_uid_also_names_what_failed(tmp_path: Path) -> None:
    own = ["0" * 31 + "a", "0" * 31 + "B"]
    tar(tmp_path, [image("0")])
    sidecar(tmp_path, ["0", "1"], ["success", "failed_to_download"], uid=own)
    found = read(tmp_path)
    assert found.table["uid"].to_pylist() == [own[0]]
    assert found.lost["uid"].to_pylist() == [own[1].lower()]


def test_all_failed_and_none_tried(tmp_path: Path) -> None:
    tar(tmp_path, [])
    sidecar(tmp_path, ["0", "1"], ["failed_to_download"] * 2)
    write_stats(tmp_path / "00000_stats.json", 2, 0)
    found = read(tmp_path)
    assert (len(found.table), len(found.lost)) == (0, 2)
    assert found.table["caption"].type == pa.string()


@pytest.mark.parametrize("with_sidecar", [True, False])
def test_every_cut_at_a_block_is_noticed(tmp_path: Path, with_sidecar: bool) -> None:
    (shard,) = samples((4,))
    path = tar(
        tmp_path, [entry for sample in shard[:4] for entry in members(Sample(sample.key, "u", "c", "l"))]
    )
    if with_sidecar:
        keys = [sample.key for sample in shard]
        sidecar(tmp_path, keys, ["success"] * 4)
    assert len(read(tmp_path).table) == 4
    content = path.read_bytes()
    end = len(content.rstrip(b"\0"))
    whole = -(-end // 512) * 512 + 1024
    for length in [*range(0, whole, 512), *range(100, whole, 701), whole - 1]:
        path.write_bytes(content[:length])
        with pytest.raises(DataError, match=r"00000\.tar"):
            read(tmp_path)
    path.write_bytes(content[:whole])
    assert len(read(tmp_path).table) == 4


def test_a_cut_that_was_mended_is_noticed_by_the_counts(tmp_path: Path) -> None:
    tar(tmp_path, [image("0"), image("1")])
    sidecar(tmp_path, ["0", "1", "2"], ["success"] * 3)
    lacking = r"00000\.tar' is truncated .* lists 1 successes that it lacks"
    with pytest.raises(DataError, match=rf"{lacking} \('2'\)"):
        read(tmp_path)
    sidecar(tmp_path, ["0", "1", "1"], ["success"] * 3)
    with pytest.raises(DataError, match=rf"{lacking} \('1'\)"):
        read(tmp_path)
    (tmp_path / "00000.parquet").unlink()
    write_stats(tmp_path / "00000_stats.json", 3, 3)
    with pytest.raises(DataError, match="says successes 3, the files hold 2"):
        read(tmp_path)


def test_a_sidecar_of_another_tar_is_refused(tmp_path: Path) -> None:
    tar(tmp_path, [image("0"), image("7"), image("8")])
    sidecar(tmp_path, ["0", "8"], ["success", "failed_to_download"])
    with pytest.raises(DataError, match=r"holds 2 samples that .* does not list as a success \('7', '8'\)"):
        read(tmp_path)


def test_counts_that_disagree(tmp_path: Path) -> None:
    tar(tmp_path, [image("0")])
    sidecar(tmp_path, ["0", "1"], ["success", "failed_to_download"])
    write_stats(tmp_path / "00000_stats.json", 3, 1)
    assert (
        read(tmp_path)
        .notes[0]
        .startswith("shard 00000: its _stats.json says count 3, tar and sidecar agree on 2")
    )
    write_stats(tmp_path / "00000_stats.json", 1, 1)
    with pytest.raises(DataError, match="says count 1, the files hold 2"):
        read(tmp_path)
    for content in ("", "[1]", "{", '{"count": null}', "[" * 100_000):
        (tmp_path / "00000_stats.json").write_text(content)
        with pytest.raises(DataError, match=r"00000_stats\.json' is not img2dataset's counts"):
            read(tmp_path)


def test_damage_inside_a_tar(tmp_path: Path) -> None:
    path = tar(tmp_path, [image("0"), image("1")])
    content = path.read_bytes()
    path.write_bytes(content[:1024] + b"\1" * 512 + content[1536:])
    with pytest.raises(DataError, match="has a damaged header at byte 1,024"):
        read(tmp_path)
    path.write_bytes(content + content)
    with pytest.raises(DataError, match="goes on after its end marker"):
        read(tmp_path)
    path.write_bytes(b"GIF89a" * 1000)
    with pytest.raises(DataError, match="truncated or damaged"):
        read(tmp_path)


@pytest.mark.parametrize("size", ["-512", "-1024", "99999999999999999999"])
def test_a_member_of_impossible_size_does_not_hang(tmp_path: Path, size: str) -> None:
    info = tarfile.TarInfo("0.jpg")
    info.pax_headers = {"size": size}
    tar(tmp_path, [image("1"), (info, b"x"), image("2")])
    with pytest.raises(DataError, match=r"00000\.tar"):
        read(tmp_path)


@pytest.mark.parametrize(("compression", "program"), [("gz", "gzip"), ("xz", "xz"), ("bz2", "bzip2")])
def test_a_compressed_tar_is_refused(tmp_path: Path, compression: Any, program: str) -> None:
    with tarfile.open(tmp_path / "00000.tar", f"w:{compression}"):
        pass
    with pytest.raises(DataError, match=rf"00000\.tar' is compressed by {program}"):
        read(tmp_path)


def test_hostile_members_are_never_followed(tmp_path: Path) -> None:
    sparse = tarfile.TarInfo("sparse.jpg")
    sparse.pax_headers = {
        "GNU.sparse.major": "0",
        "GNU.sparse.minor": "1",
        "GNU.sparse.size": "1000000000000",
    }
    sparse.pax_headers |= {"GNU.sparse.map": "0,1,999999999999,1"}
    entries: list[Entry] = [
        image("good"),
        image("../../escape"),
        image("/absolute"),
        image("k" * 129),
        image("new\nline"),
        image("sp ace"),
        linked("link.jpg", tarfile.SYMTYPE),
        linked("hard.jpg", tarfile.LNKTYPE, "good.jpg"),
        linked("device.jpg", tarfile.CHRTYPE),
        linked("folder.jpg", tarfile.DIRTYPE),
        (sparse, b"ab"),
        ("text.txt", b"no image"),
        (".hidden.jpg", b"x"),
        ("README", b"x"),
        ("./dotted.PNG", b"image of dotted"),
    ]
    tar(tmp_path, entries)
    found = read(tmp_path)
    assert found.table["key"].to_pylist() == ["good", "k" * 129, "sp ace", "dotted"]
    assert set(found.lost["outcome"].to_pylist()) == {"quarantined"}
    reasons = dict(zip(found.lost["key"].to_pylist(), found.lost["reason"].to_pylist(), strict=True))
    assert reasons == {
        "../../escape": "key that leads out of its folder",
        "/absolute": "key that leads out of its folder",
        "new\nline": "key with a control character",
        "link": "its .jpg is a link, not a regular file",
        "hard": "its .jpg is a link, not a regular file",
        "device": "its .jpg is a device, not a regular file",
        "sparse": "its .jpg is of a special type, not a regular file",
        "text": "no image (jpg, png, jpeg, webp, gif, jfif, bmp, tif, tiff, avif) among its members: txt",
    }
    assert sorted(path.name for path in tmp_path.iterdir()) == ["00000.tar"]


def test_an_unreadable_sample_keeps_its_place_in_the_sidecar(tmp_path: Path) -> None:
    tar(tmp_path, [image("0"), ("1.heic", b"x"), image("2"), image("../bad key")])
    sidecar(tmp_path, ["0", "1", "2"], ["success"] * 3, uid=["a" * 32, "b" * 32, "c" * 32])
    found = read(tmp_path)
    assert found.table["uid"].to_pylist() == ["a" * 32, "c" * 32]
    lost = found.lost.select(["key", "url", "outcome"]).to_pylist()
    assert lost == [
        {"key": "1", "url": "http://1", "outcome": "quarantined"},
        {"key": "../bad key", "url": None, "outcome": "quarantined"},
    ]
    assert found.lost["uid"].to_pylist() == ["b" * 32, None]


def test_an_image_too_large_to_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pipeline.readers import _contract
    from pipeline.readers._tars import tar_samples

    for module in (_contract, tar_samples):
        monkeypatch.setattr(module, "MAX_IMAGE_BYTES", 20)
    tar(tmp_path, [image("0"), ("1.jpg", b"x" * 21)])
    found = read(tmp_path)
    assert found.table["key"].to_pylist() == ["0"]
    assert found.lost["reason"].to_pylist() == ["image of 21 bytes, more than 20"]


def test_a_repeated_suffix_begins_a_new_sample(tmp_path: Path) -> None:
    entries = [image("7"), ("7.txt", b"first"), image("7"), ("7.txt", b"second"), image("8")]
    tar(tmp_path, entries)
    found = read(tmp_path)
    assert found.table["key"].to_pylist() == ["7", "7", "8"]
    assert found.table["caption"].to_pylist() == ["first", "second", None]
    sidecar(tmp_path, ["7", "8"], ["success"] * 2)
    assert read(tmp_path).table["caption"].to_pylist() == ["caption 7", "caption 7", "caption 8"]
    sidecar(tmp_path, ["7", "8", "7"], ["success"] * 3, order=[1, 2, 3])
    assert read(tmp_path).table["order"].to_pylist() == [1, 3, 2]


def test_keys_in_folders_with_dots_spaces_and_long_names_are_taken(tmp_path: Path) -> None:
    keys = ["cats/1", "v1.0/deep er/2", "www.host.com_1", "www.host.com_2", "photo 3", "é" * 1000]
    entries: list[Entry] = [entry for key in keys for entry in (image(key), (f"{key}.txt", key.encode()))]
    masked: list[Entry] = [("7.jpg", b"seven"), ("7.mask.png", b"mask"), ("7.txt", b"7")]
    tar(tmp_path, [*entries, *masked])
    found = read(tmp_path)
    assert found.table.select(["key", "caption"]).to_pylist() == [
        {"key": key, "caption": key} for key in (*keys, "7")
    ]
    assert len(found.lost) == 0
    source = Source(path=str(tmp_path))
    images = dict(img2dataset.images(source, img2dataset.shards(source)[0]))
    assert images == {key: b"image of " + key.encode() for key in keys} | {"7": b"seven"}


def test_a_mask_before_its_image_is_no_sample(tmp_path: Path) -> None:
    tar(tmp_path, [("0.depth.png", b"d"), ("0.jpg", b"image"), ("1.depth.png", b"d"), ("1.jpg", b"image")])
    assert read(tmp_path).table["key"].to_pylist() == ["0", "1"]


@pytest.mark.parametrize("key", ["a/../b", "a/./b", "a\\..\\b", "x" * 4097, "tab\t"])
def test_keys_that_would_be_unsafe_as_paths_are_lost(tmp_path: Path, key: str) -> None:
    tar(tmp_path, [image(f"in/{key}"), image("good")])
    found = read(tmp_path)
    assert found.table["key"].to_pylist() == ["good"]
    assert [reason[:4] for reason in found.lost["reason"].to_pylist()] == ["key "]


def test_keys_that_start_again_in_every_shard_are_other_samples(tmp_path: Path) -> None:
    for number in range(2):
        write_tar(tmp_path / f"{number}.tar", [image("0"), image("1"), ("2.txt", b"no image")])
    source = Source(path=str(tmp_path))
    found = [img2dataset.rows(source, shard) for shard in img2dataset.shards(source)]
    got = [one.table["uid"].to_pylist() + one.lost["uid"].to_pylist() for one in found]
    assert got == [
        [hashlib.md5(f"{shard}/{key}".encode()).hexdigest() for key in (0, 1, 2)] for shard in (0, 1)
    ]
    assert [one.table["key"].to_pylist() for one in found] == [["0", "1"]] * 2


def test_a_url_names_a_sample_in_whatever_shard(tmp_path: Path) -> None:
    described = json.dumps({"url": "http://x", "caption": "c"}).encode()
    tar(tmp_path, [image("0"), ("0.json", described), image("1")])
    got = read(tmp_path).table["uid"].to_pylist()
    assert got == [hashlib.md5(text).hexdigest() for text in (b"http://x\nc", b"00000/1")]


def test_a_key_in_two_places_is_an_error(tmp_path: Path) -> None:
    tar(tmp_path, [image("7"), image("8"), ("7.txt", b"whose?")])
    with pytest.raises(DataError, match=r"1 keys in more than one place \('7'\)"):
        read(tmp_path)


@pytest.mark.parametrize(
    "kind", ["jpg", "jpeg", "png", "webp", "gif", "JPG", "jfif", "bmp", "tif", "tiff", "avif"]
)
def test_kinds_of_images(tmp_path: Path, kind: str) -> None:
    tar(tmp_path, [("0.json", b"{}"), image("0", kind), ("0.txt", b"c")])
    assert read(tmp_path).table["caption"].to_pylist() == ["c"]


def test_of_several_images_the_one_that_open_clip_takes(tmp_path: Path) -> None:
    tar(tmp_path, [("0.gif", b"gif"), ("0.png", b"png"), ("0.seg.jpg", b"mask")])
    source = Source(path=str(tmp_path))
    assert img2dataset.image(source, img2dataset.shards(source)[0], ["0"]) == {"0": b"png"}


@pytest.mark.parametrize(
    ("content", "caption"),
    [
        (b'{"caption": "a \\ud800 b", "url": "http://x"}', "a \ufffd b"),
        (b'{"caption": "\\ud83d\\ude00"}', "\U0001f600"),
        (b'{"TEXT": "upper"}', "upper"),
        (b'\xef\xbb\xbf{"caption": "marked"}', "marked"),
        (b'{"caption": 5}', "from txt \xff"),
        (b'{"caption": ', "from txt \xff"),
        (b"[" * 100_000, "from txt \xff"),
        (b"[1]", "from txt \xff"),
        (b"\xff\xfe", "from txt \xff"),
    ],
)
def test_captions_of_tars_alone(tmp_path: Path, content: bytes, caption: str) -> None:
    tar(tmp_path, [image("0"), ("0.json", content), ("0.txt", b"from txt \xff")])
    assert read(tmp_path).table["caption"].to_pylist() == [caption]


def test_texts_of_other_encodings_are_read_and_counted(tmp_path: Path) -> None:
    texts = {
        "0": "plain é".encode(),
        "1": "\ufeffmarked é".encode(),
        "2": "wide é \U0001f600".encode("utf-16"),
        "3": b"\xfe\xff" + "big é".encode("utf-16-be"),
        "4": "old é".encode("latin-1"),
        "5": b"\xff\xfea",
        "6": b"",
    }
    tar(tmp_path, [entry for key, text in texts.items() for entry in (image(key), (f"{key}.txt", text))])
    wanted = ["plain é", "marked é", "wide é \U0001f600", "big é", "old é", "\ufffd", ""]
    odd = {
        "texts in UTF-16": 3,
        "texts in UTF-8 with a byte order mark": 1,
        "texts that are not UTF-8 and were read as Latin-1": 1,
    }
    found = read(tmp_path)
    assert (found.table["caption"].to_pylist(), found.odd) == (wanted, odd)
    write_parquet(tmp_path / "00000.parquet", {"key": pa.array(list(texts))})
    found = read(tmp_path)
    assert (found.table["caption"].to_pylist(), found.odd) == (wanted, odd)


@pytest.mark.parametrize(
    ("content", "caption", "note"),
    [
        (
            '{"caption": ["first", "second"]}',
            "first",
            "1 captions that are lists, of which the first text is taken",
        ),
        ('{"caption": [1, null]}', None, "1 captions that are lists, of which the first text is taken"),
        ('{"caption": 7}', "7", "1 captions that are numbers, taken as text"),
        ('{"caption": true}', None, None),
        ('{"caption": {"en": "x"}}', None, None),
        ('{"caption": ', None, "1 json that cannot be read"),
    ],
)
def test_captions_that_are_not_one_text(
    tmp_path: Path, content: str, caption: str | None, note: str | None
) -> None:
    tar(tmp_path, [image("0"), ("0.json", content.encode())])
    found = read(tmp_path)
    assert found.table["caption"].to_pylist() == [caption]
    assert [f"{count} {what}" for what, count in found.odd.items()] == ([note] if note else [])


def test_tars_alone_bring_their_uid(tmp_path: Path) -> None:
    tar(tmp_path, [image("0"), ("0.json", json.dumps({"uid": "A" * 32, "url": "u"}).encode())])
    assert read(tmp_path).table["uid"].to_pylist() == ["a" * 32]
    tar(tmp_path, [image("0"), ("0.json", json.dumps({"uid": "A" * 32}).encode()), image("1")])
    with pytest.raises(DataError, match="row 1: null"):
        read(tmp_path)


def test_captions_from_txt_where_the_sidecar_has_none(tmp_path: Path) -> None:
    tar(tmp_path, [image("0"), ("0.txt", b"own")])
    write_parquet(tmp_path / "00000.parquet", {"key": pa.array(["0"]), "url": pa.array(["u"])})
    assert read(tmp_path).table.select(["url", "caption"]).to_pylist() == [{"url": "u", "caption": "own"}]


def test_a_sidecar_without_keys_or_with_a_torn_end(tmp_path: Path) -> None:
    tar(tmp_path, [image("0")])
    write_parquet(tmp_path / "00000.parquet", {"url": pa.array(["u"])})
    with pytest.raises(DataError, match="has no column 'key', only 'url'"):
        read(tmp_path)
    content = (tmp_path / "00000.parquet").read_bytes()
    for length in (0, 10, len(content) - 1):
        (tmp_path / "00000.parquet").write_bytes(content[:length])
        with pytest.raises(DataError, match=r"00000\.parquet"):
            read(tmp_path)


def test_missing_partners_are_named(tmp_path: Path) -> None:
    source = BUILDERS["img2dataset"](tmp_path / "set", samples((1, 1, 1))).source
    (tmp_path / "set" / "00001.parquet").unlink()
    with pytest.raises(DataError, match=r"have a \.tar and no \.parquet \(00001\)"):
        img2dataset.shards(source)
    (tmp_path / "set" / "00001.tar").unlink()
    (tmp_path / "set" / "00002.tar").unlink()
    with pytest.raises(DataError, match=r"have a \.parquet and no \.tar \(00002\)"):
        img2dataset.shards(source)


def test_keys_that_are_numbers_find_the_names_with_zeros(tmp_path: Path) -> None:
    tar(tmp_path, [image("000000010"), image("000000002")])
    columns = {"key": [2, 7, 10], "url": ["two", "seven", "ten"]}
    status = ["success", "failed_to_download", "success"]
    made = {name: pa.array(values) for name, values in {**columns, "status": status}.items()}
    write_parquet(tmp_path / "00000.parquet", made)
    found = read(tmp_path)
    assert found.table.select(["key", "url"]).to_pylist() == [
        {"key": "000000010", "url": "ten"},
        {"key": "000000002", "url": "two"},
    ]
    assert found.lost.select(["key", "url"]).to_pylist() == [{"key": "000000007", "url": "seven"}]


def test_the_path_may_be_one_tar(tmp_path: Path) -> None:
    BUILDERS["img2dataset"](tmp_path, samples((2, 3)))
    source = Source(path=str(tmp_path / "00001.tar"))
    assert detect(source.path) == ("img2dataset",)
    (shard,) = img2dataset.shards(source)
    assert [Path(file).name for file in shard.files] == ["00001.tar", "00001.parquet", "00001_stats.json"]
    assert img2dataset.rows(source, shard).table["key"].to_pylist() == ["000000002", "000000003", "000000004"]
    (tmp_path / "00001.parquet").unlink()
    (tmp_path / "00001_stats.json").unlink()
    assert [len(one.files) for one in img2dataset.shards(source)] == [1]


def test_shards_that_left_a_trace_are_named(tmp_path: Path) -> None:
    source = BUILDERS["img2dataset"](tmp_path / "set", samples((1, 1, 1, 1))).source
    assert all(shard.notes == () for shard in img2dataset.shards(source))
    (tmp_path / "set" / "00001.parquet").unlink()
    (tmp_path / "set" / "00001.tar").unlink()
    first, *others = img2dataset.shards(source)
    assert [shard.name for shard in (first, *others)] == ["00000", "00002", "00003"]
    assert first.notes == (
        "gap in the numbers of the tars: number 1 is missing (1 between 0 and 3); "
        "if they belong to this set, fetch them and run again",
        "1 shards have a _stats.json and no .tar (00001): their samples are missing; fetch the tars and run again",
    )
    assert Shard.from_json(json.loads(json.dumps(first.to_json()))) == first


def test_a_tar_that_shrinks_while_it_is_read(tmp_path: Path) -> None:
    path = tar(tmp_path, [image("0"), ("1.jpg", b"x" * 2_000_000)])
    source = Source(path=str(tmp_path))
    stream = img2dataset.images(source, img2dataset.shards(source)[0])
    next(stream)
    path.write_bytes(path.read_bytes()[:2048])
    with pytest.raises(DataError, match="has become shorter"):
        list(stream)
    shard = img2dataset.shards(source)[0]
    path.unlink()
    with pytest.raises(DataError, match="cannot read the tar"):
        img2dataset.rows(source, shard)


def test_hostile_captions_come_through_the_members_too(tmp_path: Path) -> None:
    (shard,) = samples((len(HOSTILE) + 1,))
    tar(tmp_path, [entry for sample in shard for entry in members(sample)])
    assert read(tmp_path).table["caption"].to_pylist() == [sample.caption or "" for sample in shard]


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(flips=st.lists(st.tuples(st.integers(0, 7_000), st.integers(1, 255)), min_size=1, max_size=8))
def test_a_damaged_tar_is_read_or_named_but_never_crashes(
    tmp_path: Path, flips: list[tuple[int, int]]
) -> None:
    (shard,) = samples((3,))
    path = tar(tmp_path, [entry for sample in shard for entry in members(sample)])
    content = bytearray(path.read_bytes())
    for place, change in flips:
        content[place] ^= change
    path.write_bytes(content)
    with contextlib.suppress(DataError):
        read(tmp_path).table.validate(full=True)
