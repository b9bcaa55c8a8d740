"""Which output folders are refused because they are, hold or lie in what somebody else needs."""

from __future__ import annotations

import os
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from indexes.errors import OutputError
from pipeline import layout
from pipeline.plan import check_output_apart
from pipeline.sets.source import Source
from pipeline.stores.brought_sets import root_of
from pipeline.stores.set_states import FILES, note
from pipeline.stores.store_addresses import parse_address
from pipeline.stores.working_copies import make_copy


def check(out: Path, path: Path | str, **keys: Any) -> None:
    check_output_apart(out, {"pool": Source(path="elsewhere"), "val": Source(path=str(path), **keys)})


def test_the_set_itself_however_it_is_spelled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "set").mkdir()
    (tmp_path / "link").symlink_to("set")
    monkeypatch.chdir(tmp_path)
    for spelled in ("set", "./set", "set/../set", "link", str(tmp_path / "set")):
        for out in (Path("set"), tmp_path / "set", Path("link")):
            expected = f"the output is {tmp_path / 'set'}, which is val itself ({spelled}); name a folder of"
            with pytest.raises(OutputError, match=re.escape(expected)):
                check(out, spelled)


def test_a_set_that_is_one_file(tmp_path: Path) -> None:
    (tmp_path / "pool.parquet").write_bytes(b"PAR1")
    with pytest.raises(OutputError, match="which is val itself"):
        check(tmp_path / "pool.parquet", tmp_path / "pool.parquet")
    check(tmp_path / "out", tmp_path / "pool.parquet")


@pytest.mark.parametrize("owned", [*layout.FOLDERS, *layout.FILES])
def test_a_set_among_what_nearfar_writes(tmp_path: Path, owned: str) -> None:
    for path in (tmp_path / "out" / owned, tmp_path / "out" / owned / "pool" / "clip"):
        expected = f"val ({path}) lies in {tmp_path / 'out' / owned}, which this run writes to; name another"
        with pytest.raises(OutputError, match=re.escape(expected)):
            check(tmp_path / "out", path)


def test_another_name_of_a_folder_on_disk_is_found_too(tmp_path: Path) -> None:
    """Where the file system folds case, or a link leads in, the path says nothing and the disk all."""
    (tmp_path / "out" / "embeddings" / "pool").mkdir(parents=True)
    (tmp_path / "elsewhere").symlink_to(tmp_path / "out" / "embeddings")
    with pytest.raises(OutputError, match=r"lies in .*out/embeddings, which this run writes to"):
        check(tmp_path / "out", tmp_path / "elsewhere" / "pool")


def test_folders_that_readers_are_told_of_are_inputs_too(tmp_path: Path) -> None:
    made = tmp_path / "out" / "embeddings" / "pool" / "clip" / "img_emb"
    made.mkdir(parents=True)
    with pytest.raises(OutputError, match=r"val\.embeddings \(.*img_emb\) lies in .*out/embeddings"):
        check(tmp_path / "out", tmp_path / "web", format="laion", embeddings=str(made))
    (tmp_path / "web" / "meta").mkdir(parents=True)
    with pytest.raises(OutputError, match=r"val\.metadata itself"):
        check(tmp_path / "web" / "meta", tmp_path / "web", format="clip-retrieval", metadata="meta")
    check(tmp_path / "other", tmp_path / "web", format="laion", embeddings=str(made))


def test_beside_one_another_or_in_one_another_is_well(tmp_path: Path) -> None:
    for path in ("set", "out/data", "out/samples_of_mine", "samples", "."):
        check(tmp_path / "out", tmp_path / path)
    check(tmp_path / "data" / "runs" / "a", tmp_path / "data")


def test_in_the_files_of_another_run(tmp_path: Path) -> None:
    other = tmp_path / "a"
    for name in ("embeddings", "mine"):
        (other / name).mkdir(parents=True)
    check(other / "embeddings" / "b", tmp_path / "set")  # no run yet: a folder of the user's like any other
    (other / layout.LOCK_FILE).write_text("plan: {}\n")
    with pytest.raises(OutputError, match=f"lies among the files of the run in {re.escape(str(other))}"):
        check(other / "embeddings" / "b", tmp_path / "set")
    check(other / "mine" / "b", tmp_path / "set")
    check(other, tmp_path / "set")


def test_the_root_is_no_output() -> None:
    with pytest.raises(OutputError, match="the root of the file system; name a folder of its own"):
        check(Path(os.sep), "set")


def test_on_a_store_the_same_holds_for_addresses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Told by the addresses: what is here of a set, and of an output, lies in folders of other names."""
    monkeypatch.setenv("NEARFAR_COPIES", str(tmp_path / "copies"))
    runs = {"s3://bucket/a"}
    looks = SimpleNamespace(seen=lambda name: True), SimpleNamespace(seen=lambda name: None)
    monkeypatch.setattr("pipeline.plan.apart.connected", lambda text: looks[text not in runs])
    out, pool = make_copy("s3://bucket/run"), {}
    for address in ("run", "run/measures/pool", "run/pool", "run1", "pool", "run/shards"):
        root = root_of(parse_address(f"s3://bucket/{address}"))
        (root / FILES / "meta").mkdir(parents=True)
        note(root, f"s3://bucket/{address}", f"s3://bucket/{address}", ())
        pool[address] = root / FILES
    with pytest.raises(
        OutputError, match=r"the output is s3://bucket/run, which is val itself \(s3://bucket/run"
    ):
        check(out, pool["run"])
    for within in ("run/measures/pool", "run/shards"):
        lies = rf"val \(s3://bucket/{within}\) lies in s3://bucket/run/\w+, which this run writes to"
        with pytest.raises(OutputError, match=lies):
            check(out, pool[within])
    for address in ("run/pool", "run1", "pool"):
        check(out, pool[address])
        check(make_copy(f"s3://bucket/{address}/out"), pool[address])
    with pytest.raises(OutputError, match=r"val\.metadata itself \(s3://bucket/pool/meta\)"):
        check(make_copy("s3://bucket/pool/meta"), pool["pool"], format="clip-retrieval", metadata="meta")
    with pytest.raises(
        OutputError, match="lies among the files of the run in s3://bucket/a: they may be removed"
    ):
        check(make_copy("s3://bucket/a/splits/b"), pool["pool"])
    check(make_copy("s3://bucket/a/mine/b"), pool["pool"])
    check(make_copy("s3://bucket/b/splits/b"), pool["pool"])
