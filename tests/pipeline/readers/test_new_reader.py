"""A reader is one file: README's is put beside the others, and is found, reads and names its keys."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from readme_examples import example_files

from indexes.errors import DataError
from pipeline import readers
from pipeline.plan.reader_keys import key_problems
from pipeline.plan.schema import schema_text
from pipeline.readers import Shard
from pipeline.sets import uids
from pipeline.sets.source import Source

NAME = "pipeline/readers/tsv.py"
OPTIONS = """

from pydantic import Field
from pipeline.sets.source import ReaderOptions


class Options(ReaderOptions):
    delimiter: str = Field(default="\\t", description="Character between two columns.")
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of further readers; README's is in it, with a key of its own beside."""
    (tmp_path / "readers").mkdir()
    (tmp_path / "readers" / "tsv.py").write_text(example_files()[NAME] + OPTIONS)
    monkeypatch.setattr(readers, "__path__", [*readers.__path__, str(tmp_path / "readers")])
    yield tmp_path
    sys.modules.pop("pipeline.readers.tsv", None)
    vars(readers).pop("tsv", None)


@pytest.fixture
def source(folder: Path) -> Source:
    pool = folder / "pool"
    pool.mkdir()
    for number, captions in ((10, "c"), (2, "ab")):
        lines = [f"http://host/{caption}\ta {caption}\t0.3" for caption in captions]
        (pool / f"part{number}.tsv").write_text("\n".join(["URL\tTEXT\tsimilarity", *lines]) + "\n")
    return Source(path=str(pool))


def test_it_is_found_and_named_with_the_others(source: Source) -> None:
    assert "tsv" in readers.names()
    assert readers.detect(source.path) == ("tsv",)
    assert readers.describe(source.path) == "2 .tsv: looks like tsv"
    assert readers.format_of(source) == "tsv"
    with pytest.raises(DataError, match=r"formats: .*laion, tsv"):
        readers.format_of(Source(path=str(Path(source.path).parent)))


def test_it_reads(source: Source) -> None:
    reader = readers.open_reader(source)
    found = []
    for shard in reader.shards(source):
        assert Shard.from_json(shard.to_json()) == shard
        reading = reader.read(source, shard, False)
        assert list(reading.images()) == []
        table = uids.resolve(reading.rows().table, "pool")
        assert reading.digests() == {
            file: hashlib.sha256(Path(file).read_bytes()).hexdigest() for file in shard.files
        }
        found += table.select(["uid", "row", "key", "caption", "similarity"]).to_pylist()
    expected = [("c", "part10-0", 0), ("a", "part2-0", 0), ("b", "part2-1", 1)]
    assert found == [
        {"uid": hashlib.md5(f"http://host/{name}\na {name}".encode()).hexdigest(), "row": row, "key": key,
         "caption": f"a {name}", "similarity": 0.3}
        for name, key, row in expected
    ]  # fmt: skip


def test_it_reads_vectors_beside_it(source: Source) -> None:
    np.save(Path(source.path, "part2.npy"), np.ones((2, 5), np.float16))
    reader = readers.open_reader(source)
    found = {shard.name: shard for shard in reader.shards(source)}
    assert {name: list(shard.vectors) for name, shard in found.items()} == {"part2": ["image"], "part10": []}
    reading = reader.read(source, found["part2"], True)
    assert len(reading.rows().table) == found["part2"].vectors["image"].rows == 2
    # The pass over the vectors hashes these.
    assert list(reading.digests()) == [str(Path(source.path, "part2.tsv"))]


def test_its_keys_are_its_own(source: Source) -> None:
    written = {"path": source.path, "format": "tsv"}
    assert list(key_problems(("pool",), written | {"delimiter": ","})) == []
    ((_, said),) = key_problems(("pool",), written | {"embedding": "b32_img"})
    assert "a set of format tsv has the keys: dataset, delimiter, " in said
    ((_, said),) = key_problems(("pool",), {"path": "p", "format": "laion", "delimiter": ","})
    assert "'delimiter' is a key of: tsv" in said
    assert '"delimiter"' in schema_text()


def test_the_example_fits_into_a_readme() -> None:
    assert 20 <= len(example_files()[NAME].splitlines()) <= 45
