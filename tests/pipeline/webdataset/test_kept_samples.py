"""The samples of a split in the pool's own tars: as often as they count, and never fewer in silence."""

from __future__ import annotations

import subprocess
import sys
import tarfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from export_pool import grouped, write_export_plan, write_pool, write_tar
from whole_runs import Run

from indexes.errors import DataError, OutputError, UnknownNameError
from pipeline.webdataset.kept_samples import KeptSamples

SPLITS: dict[str, Any] = {
    "often": [{"random": {"keep": 30}}, {"repeat": {"times": 2}}],
    "whole": [{"where": "true"}],
    "shouted": [{"compose": {"of": ["caption", "url"]}}],
}


@pytest.fixture
def out(tmp_path: Path, cli: Run) -> Path:
    """A finished run over the pool of every kind, which also has a key twice and a member to unpickle."""
    write_pool(tmp_path / "pool")
    same = [(f"same.{kind}", b'{"url": "http://x.test/%d"}' % n) for n in (1, 2) for kind in ("jpg", "json")]
    write_tar(tmp_path / "pool/00003.tar", [*same, ("last.jpg", b"3"), ("last.pkl", b"4")])
    code, _, errors = cli("run", str(write_export_plan(tmp_path, **SPLITS)))
    assert code == 0, errors
    return tmp_path / "out"


def told(pool: Path, tars: list[str] | None = None) -> Iterator[dict[str, Any]]:
    """Samples as open_clip's loader groups them: a new one where the key changes, or a suffix repeats."""
    for path in sorted(pool.glob("*.tar")) if tars is None else tars:
        sample: dict[str, Any] = {}
        with tarfile.open(path) as tar:
            for member in tar:
                key, _, kind = member.name.lower().partition(".")
                if member.isreg():
                    if sample and (sample["__key__"] != key or kind in sample):
                        yield sample
                        sample = {}
                    sample |= {"__key__": key, "__url__": str(path)}
                    sample[kind] = tar.extractfile(member).read()  # type: ignore[union-attr]
        yield sample


def seen(samples: Iterator[dict[str, Any]]) -> Counter[bytes]:
    return Counter(next(of[kind] for kind in ("jpg", "png", "webp") if kind in of) for of in samples)


@pytest.mark.parametrize(("split", "times"), [("often", 2), ("whole", 1)])
def test_samples_come_as_often_as_they_count(out: Path, cli: Run, split: str, times: int) -> None:
    kept = KeptSamples(out, split)
    found = list(kept(told(out.parent / "pool")))
    code, _, errors = cli("export", str(out), split)
    assert code == 0, errors
    exported = [of for *_, of in grouped(out / "shards" / split)]
    assert seen(iter(found)) == seen(iter(exported))
    assert set(seen(iter(found)).values()) == {times}
    assert (
        len(found)
        == len(kept)
        == pq.read_metadata(out / f"splits/{split}/part-0000.parquet").num_rows * times
    )
    assert not any("pkl" in of for of in found)


def test_a_tar_that_is_drawn_twice_in_a_row_is_read_twice(out: Path) -> None:
    """As open_clip's `--dataset-resampled` may draw it; with one tar a worker, it always does."""
    pool, kept = out.parent / "pool", KeptSamples(out, "whole")
    once = seen(kept(told(pool)))
    for tar in sorted(pool.glob("*.tar")):
        of_tar = [sample for sample in told(pool) if sample["__url__"] == str(tar)]
        assert seen(kept(of_tar * 3)) == Counter({image: 3 * n for image, n in seen(kept(of_tar)).items()})
    one_by_one = KeptSamples(out, "whole", reading=lambda tars: told(pool, [tar["url"] for tar in tars]))
    assert seen(one_by_one({"url": str(tar)} for tar in sorted(pool.glob("*.tar")) * 2)) == once + once


def test_what_did_not_come_is_an_error(out: Path, cli: Run) -> None:
    kept = KeptSamples(out, "whole")
    short = [one for one in told(out.parent / "pool") if one["__key__"] != "masked"]
    with pytest.raises(
        DataError, match=r"1 samples that whole has of '.*00002.tar'.* export the split instead"
    ):
        list(kept(iter(short)))
    # open_clip's loader goes on after a tar that it cannot read.
    unread = KeptSamples(out, "whole", reading=lambda _: iter(()))
    with pytest.raises(DataError, match=r"samples that whole has of '.*00000.tar' did not come"):
        list(unread([{"url": str(out.parent / "pool" / "00000.tar")}]))
    assert cli("export", str(out), "whole")[0] == 0


def test_what_tars_alone_cannot_give_is_refused(out: Path, cli: Run) -> None:
    with pytest.raises(UnknownNameError, match="often, shouted, whole"):
        KeptSamples(out, "hole")
    with pytest.raises(DataError, match="other captions than its tars; export it instead"):
        KeptSamples(out, "shouted")
    assert cli("export", str(out), "shouted")[0] == 0
    names = out / "splits/often/uids.npy"
    names.write_bytes(names.read_bytes()[:-16])
    with pytest.raises(OutputError, match="is not what was committed"):
        KeptSamples(out, "often")


def test_it_needs_neither_torch_nor_webdataset() -> None:
    script = "import sys, pipeline.webdataset.kept_samples; sys.exit(bool({'torch', 'webdataset'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
