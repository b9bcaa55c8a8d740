"""What a loader would unpickle stays behind; what it would not, comes along."""

from __future__ import annotations

import gzip
import io
import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from export_pool import grouped, write_export_plan, write_tar
from whole_runs import Run

from pipeline.webdataset.unpickled import is_unpickled

NUMBERS, OBJECTS = np.arange(6, dtype="<f2"), np.array([{"a": 1}, None], dtype=object)


class Canary:
    """Leaves a file where it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.path,))


def npy(array: Any, version: tuple[int, int] | None = None) -> bytes:
    held = io.BytesIO()
    np.lib.format.write_array(held, array, version)
    return held.getvalue()


def npz(**arrays: Any) -> bytes:
    held = io.BytesIO()
    np.savez_compressed(held, **arrays)
    return held.getvalue()


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        *[(kind, b"any") for kind in ("pkl", "pickle", "pyd", "pth", "pt", "joblib", "mask.pkl", "a.pickle.gz")],
        ("npy", npy(OBJECTS)),
        ("npy", npy(np.zeros(1, [("x", "O")]))),
        ("depth.npy", pickle.dumps([1, 2])),
        ("npy", npy(NUMBERS)[:20]),
        ("npy", b"\x93NUMPY\x09\x00" + npy(NUMBERS)[8:]),
        ("npy", b"\x93NUMPY\x01\x00\x0a\x00{'descr': \n"),
        ("npy.gz", gzip.compress(npy(NUMBERS), mtime=0)),
        ("npz", npz(one=NUMBERS, two=OBJECTS)),
        ("npz", npz(one=NUMBERS)[:-30]),
        ("npz", pickle.dumps([1, 2])),
        ("npz", b""),
    ],
    ids=lambda value: value if isinstance(value, str) else f"{len(value)} bytes",
)  # fmt: skip
def test_a_pickle_by_any_name_is_told(kind: str, content: bytes) -> None:
    assert is_unpickled(kind, content)


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        *[(kind, pickle.dumps([1])) for kind in ("jpg", "json", "txt", "cls", "npyx", "pklot", "pkl.txt", "ten")],
        ("npy", npy(NUMBERS)),
        ("npy", npy(NUMBERS, (2, 0))),
        ("npy", npy(np.zeros((0, 3), [("x", "<u8"), ("y", "S5")]))),
        ("emb.npy", npy(np.zeros((400, 400), order="F"))),
        ("npz", npz(one=NUMBERS, two=np.zeros(3, "M8[s]"))),
        ("npz", npz()),
    ],
    ids=lambda value: value if isinstance(value, str) else f"{len(value)} bytes",
)  # fmt: skip
def test_numbers_and_texts_come_along(kind: str, content: bytes) -> None:
    assert not is_unpickled(kind, memoryview(content))


def test_an_exported_pool_can_be_decoded_without_running_its_code(tmp_path: Path, cli: Run) -> None:
    canary = pickle.dumps(Canary(tmp_path / "canary"))
    numpys = npy(np.array([Canary(tmp_path / "canary")], dtype=object))
    kinds = {"jpg": b"image", "txt": b"text", "PKL": canary, "pickle": canary, "pyd": canary, "cls": b"7"}
    more = {"pyd.gz": gzip.compress(canary), "pth": canary, "emb.npy": numpys, "depth.npy": npy(NUMBERS)}
    (tmp_path / "pool").mkdir()
    members = [(f"{key}.{kind}", content) for key in "ab" for kind, content in (kinds | more).items()]
    write_tar(tmp_path / "pool/00000.tar", members)
    assert cli("run", str(write_export_plan(tmp_path)))[0] == 0
    code, said, errors = cli("export", str(tmp_path / "out"), "whole", "--json")
    assert code == 0, errors
    left = {"emb.npy": 2, "pickle": 2, "pkl": 2, "pth": 2, "pyd": 2, "pyd.gz": 2}
    assert json.loads(said.splitlines()[-1])["left_out"] == left
    samples = grouped(tmp_path / "out/shards/whole")
    assert [list(of) for *_, of in samples] == [["jpg", "txt", "cls", "depth.npy", "json"]] * 2
    code, said, _ = cli("export", str(tmp_path / "out"), "whole")
    assert "left out, since a loader would unpickle them" in said
    assert "2 .emb.npy, 2 .pickle, 2 .pkl" in said
    autodecode = pytest.importorskip(
        "webdataset.autodecode", reason="webdataset comes with the extra `train`"
    )
    decoder = autodecode.Decoder([])
    decoder({"pyd": canary})
    assert (tmp_path / "canary").exists()
    (tmp_path / "canary").unlink()
    assert [decoder(of)["depth.npy"].tolist() for *_, of in samples] == [NUMBERS.tolist()] * 2
    assert not (tmp_path / "canary").exists()
