"""Processes that decode: one that dies of an image takes nothing else with it, and what is wrong has a name."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import deadly_decoder
import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml
from PIL import Image
from whole_runs import Run

from pipeline.embedding import decoders, image_batches
from pipeline.embedding.encoder import Encoder, EncoderSpec, load_encoder
from pipeline.embedding.image_batches import embed_by_several, embed_stream, slots_for
from pipeline.files.children import ChildFailedError

TINY = Path(__file__).parents[3] / "data_manifests" / "encoders" / "tiny"


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return load_encoder(EncoderSpec(str(TINY)), "cpu")


@pytest.fixture
def deadly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoders, "FUNCTION", "deadly_decoder:framed")


def picture(seed: int, kind: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(buffer, kind)
    return buffer.getvalue()


def pictures(count: int) -> list[tuple[str, bytes]]:
    return [(f"{number:02d}", picture(number)) for number in range(count)]


def test_a_decoder_that_dies_costs_its_image_alone(deadly: None, encoder: Encoder) -> None:
    items = pictures(40)
    whole = list(embed_stream(encoder, items, 16, 2))
    for number in (5, 6, 33):
        items[number] = (items[number][0], items[number][1] + deadly_decoder.MARK)
    found = list(embed_stream(encoder, items, 16, 2))
    reasons = {one.key: one.reason for one in found if one.reason}
    assert reasons == dict.fromkeys(("05", "06", "33"), "the decoder crashed")
    for one, undisturbed in zip(found, whole, strict=True):
        assert one.reason or np.array_equal(one.vector, undisturbed.vector)  # type: ignore[arg-type]


class Slow:
    """Stands for processes of which one image takes too long, in whatever company."""

    def __init__(self, slow: bytes) -> None:
        self.slow, self.calls = slow, list[int]()

    def call(self, request: dict[str, Any], *content: bytes) -> tuple[dict[str, Any], bytes]:
        self.calls.append(len(request["sizes"]))
        if self.slow in content:
            raise ChildFailedError("took too long")
        return {"reasons": [None for _ in request["sizes"]]}, b""

    def close(self) -> None:
        pass


def test_an_image_that_takes_too_long_is_found_by_trying_each_alone() -> None:
    one = decoders.Decoders(1, decoders.FUNCTION)
    one._children.close()
    one._children = slow = Slow(b"slow")  # type: ignore[assignment]
    found = one.decode([b"a", b"slow", b"c"], [], (0, 0), [[], [], []])
    assert found == [None, "the decoder took too long", None]
    assert slow.calls == [3, 1, 1, 1]
    one.close()


def test_a_run_counts_what_its_decoder_died_of(
    deadly: None, tmp_path: Path, cli: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("pool", "one"):
        (tmp_path / name).mkdir()
        for key, content in pictures(6):
            (tmp_path / name / f"{key}.png").write_bytes(content)
    deadly_one = tmp_path / "pool" / "03.png"
    deadly_one.write_bytes(deadly_one.read_bytes() + deadly_decoder.MARK)
    plan = {
        "name": "deadly",
        "pool": {"path": str(tmp_path / "pool"), "format": "image-folder"},
        "encoder": {"model": str(TINY)},
        "benchmarks": {"one": {"path": str(tmp_path / "one"), "format": "image-folder"}},
        "splits": {"whole": []},
        "output": str(tmp_path / "out"),
    }
    (tmp_path / "plan.yaml").write_text(yaml.safe_dump(plan))
    code, _, errors = cli("run", str(tmp_path / "plan.yaml"))
    assert code == 0, errors
    lost = pq.read_table(tmp_path / "out/lost/read/pool/part-0000.parquet").to_pylist()
    assert [(row["key"], row["outcome"], row["reason"]) for row in lost] == [
        ("03.png", "quarantined", "the decoder crashed")
    ]
    kept = pq.read_table(tmp_path / "out/samples/pool/part-0000.parquet")
    assert len(kept) == 5


def test_several_encoders_in_one_pass_have_the_vectors_that_each_has_alone(encoder: Encoder) -> None:
    reduced = load_encoder(EncoderSpec(str(TINY), precision="bfloat16"), "cpu")
    items = [*pictures(9), ("bad", b"no image")]
    together = list(embed_by_several([encoder, reduced, encoder], iter(items), 4, 2))
    assert [found[0].key for found in together] == [key for key, _ in items]
    for which, one in enumerate((encoder, reduced, encoder)):
        alone = list(embed_stream(one, items, 4, 1))
        for found, expected in zip(together, alone, strict=True):
            assert found[which].reason == expected.reason
            assert expected.vector is None or np.array_equal(found[which].vector, expected.vector)  # type: ignore[arg-type]


def test_large_files_are_handed_over_few_at_a_time(encoder: Encoder, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    really = decoders.Decoders.decode

    def watched(self: Any, files: Sequence[bytes], *more: Any) -> Any:
        sizes.append(len(files))
        return really(self, files, *more)

    monkeypatch.setattr(decoders.Decoders, "decode", watched)
    monkeypatch.setattr(image_batches, "GROUP_BYTES", len(picture(0)) + 1)
    assert all(one.reason is None for one in embed_stream(encoder, pictures(10), 10, 2))
    assert sizes == [2] * 5


def test_batches_lie_apart_from_page_to_page(encoder: Encoder) -> None:
    slots = slots_for(3, (encoder.framing,), 2, 2)
    memory = np.zeros(slots.count * slots.size, dtype=np.uint8)
    for slot in range(slots.count):
        slots.pixels(memory, slot, encoder.framing)[:] += 1
    assert slots.size % 4096 == 0
    assert memory.max() == 1
    assert int(memory.sum()) == slots.count * 3 * encoder.framing.bytes


def test_a_framing_that_leaves_no_pixel_is_a_reason(encoder: Encoder, tmp_path: Path) -> None:
    import json
    import shutil

    copy = Path(shutil.copytree(TINY, tmp_path / "longest"))
    config = json.loads((copy / "open_clip_config.json").read_text())
    config["preprocess_cfg"] = config.get("preprocess_cfg", {}) | {"resize_mode": "longest"}
    (copy / "open_clip_config.json").write_text(json.dumps(config))
    buffer = io.BytesIO()
    Image.new("RGB", (199, 1)).save(buffer, "PNG")
    (found,) = embed_stream(load_encoder(EncoderSpec(str(copy)), "cpu"), [("thin", buffer.getvalue())])
    assert found.reason == "a side would have no pixel left"
