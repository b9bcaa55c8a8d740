"""Embedding a stream: order, quarantine, memory, and bits that depend on the image alone."""

from __future__ import annotations

import io
import os
import tarfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from indexes.errors import BadInputError
from pipeline.embedding.batch_room import OutOfDeviceMemory
from pipeline.embedding.batches import Embedded
from pipeline.embedding.encoder import Encoder, EncoderSpec, load_encoder
from pipeline.embedding.framing import Framing
from pipeline.embedding.image_batches import embed_stream

TINY = Path(__file__).parents[3] / "data_manifests" / "encoders" / "tiny"


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return load_encoder(EncoderSpec(str(TINY)), "cpu")


@pytest.fixture(scope="module")
def items(small_world: Path) -> list[tuple[str, bytes]]:
    """The 200 pool images of the small world."""
    found = []
    for path in sorted((small_world / "pool").glob("*.tar")):
        with tarfile.open(path) as tar:
            for member in tar:
                content = tar.extractfile(member)
                if member.name.endswith(".jpg") and content is not None:
                    found.append((member.name.removesuffix(".jpg"), content.read()))
    return found


def bits(found: Sequence[Embedded]) -> list[bytes | None]:
    return [None if one.vector is None else one.vector.tobytes() for one in found]


def test_order_type_and_norm(encoder: Encoder, items: list[tuple[str, bytes]]) -> None:
    found = list(embed_stream(encoder, items, 16, 2))
    assert [one.key for one in found] == [key for key, _ in items]
    assert all(one.reason is None for one in found)
    vectors = np.stack([one.vector for one in found if one.vector is not None])
    assert vectors.dtype == np.float16
    assert vectors.shape == (200, encoder.width)
    assert np.abs(np.linalg.norm(vectors.astype(np.float64), axis=1) - 1).max() < 1e-3


def test_vectors_are_the_encoders_normalised_in_float32(
    encoder: Encoder, items: list[tuple[str, bytes]]
) -> None:
    images = [Image.open(io.BytesIO(content)) for _, content in items[:8]]
    raw = encoder.embed_images(images).astype(np.float64)
    expected = raw / np.linalg.norm(raw, axis=1, keepdims=True)
    found = np.stack([one.vector for one in embed_stream(encoder, items[:8], 8, 1) if one.vector is not None])
    np.testing.assert_allclose(found.astype(np.float64), expected, atol=3e-4)


def test_bits_do_not_depend_on_threads(encoder: Encoder, items: list[tuple[str, bytes]]) -> None:
    first, *others = (bits(list(embed_stream(encoder, items, 16, threads))) for threads in (1, 2, 5))
    assert all(other == first for other in others)


def test_bits_do_not_depend_on_torchs_own_threads(encoder: Encoder, items: list[tuple[str, bytes]]) -> None:
    before, seen = torch.get_num_threads(), []
    for threads in (1, 3):
        torch.set_num_threads(threads)
        seen.append(bits(list(embed_stream(encoder, items[:40], 16, 2))))
        assert torch.get_num_threads() == threads
    torch.set_num_threads(before)
    assert seen[0] == seen[1]


def test_bits_do_not_depend_on_where_a_shard_begins_or_ends(
    encoder: Encoder, items: list[tuple[str, bytes]]
) -> None:
    whole = bits(list(embed_stream(encoder, items[:40], 16, 2)))
    in_parts = [
        one for cut in (items[:3], items[3:20], items[20:40]) for one in embed_stream(encoder, cut, 16, 2)
    ]
    backwards = bits(list(embed_stream(encoder, items[:40][::-1], 16, 2)))[::-1]
    assert bits(in_parts) == whole == backwards


def test_a_copy_has_the_very_vector_of_its_original(encoder: Encoder, items: list[tuple[str, bytes]]) -> None:
    found = bits(list(embed_stream(encoder, [*items[:21], ("again", items[4][1])], 8, 3)))
    assert found[-1] == found[4]


def test_bad_images_are_named_and_disturb_nobody(encoder: Encoder, items: list[tuple[str, bytes]]) -> None:
    bad = [("cut", items[0][1][:200]), ("none", b""), ("text", b"<svg/>")]
    mixed = [items[0], bad[0], items[1], bad[1], bad[2], *items[2:10]]
    found = list(embed_stream(encoder, iter(mixed), 4, 2))
    reasons = {one.key: one.reason for one in found if one.vector is None}
    assert reasons == {
        "cut": "damaged image",
        "none": "empty file",
        "text": "not a JPEG, PNG, WebP, GIF, BMP, TIFF or AVIF image",
    }
    assert bits([one for one in found if one.reason is None]) == bits(
        list(embed_stream(encoder, items[:10], 4, 1))
    )


def test_black_and_white_images_are_images(encoder: Encoder) -> None:
    plain = []
    for name, colour in (("black", 0), ("white", 255)):
        buffer = io.BytesIO()
        Image.new("L", (80, 80), colour).save(buffer, "PNG")
        plain.append((name, buffer.getvalue()))
    assert [one.reason for one in embed_stream(encoder, plain)] == [None, None]


def test_nothing_in_nothing_out(encoder: Encoder) -> None:
    assert list(embed_stream(encoder, [])) == []


@pytest.mark.parametrize(("batch_size", "threads"), [(0, 1), (4, 0)])
def test_nonsense_sizes_are_refused_at_once(encoder: Encoder, batch_size: int, threads: int) -> None:
    with pytest.raises(BadInputError, match="must be at least 1"):
        embed_stream(encoder, [], batch_size, threads)


def test_an_abandoned_stream_reads_no_further_and_gives_torch_its_threads_back(
    encoder: Encoder, items: list[tuple[str, bytes]]
) -> None:
    taken: list[str] = []

    def watched() -> Iterator[tuple[str, bytes]]:
        for key, content in items:
            taken.append(key)
            yield key, content

    before = torch.get_num_threads()
    stream = embed_stream(encoder, watched(), 4, 2)
    assert next(stream).key == items[0][0]
    cast("Iterator[Embedded]", stream).close()  # type: ignore[attr-defined]
    assert len(taken) <= 4 * 9
    assert torch.get_num_threads() == before


@dataclass
class Stub:
    """An encoder whose vector is the mean colour and whose memory holds `room` images."""

    room: int = 1000
    bad: dict[int, float] = field(default_factory=dict)
    device: str = "cuda"
    width: int = 3
    framing: Framing = field(default_factory=lambda: Framing(8, 8, "squash"))
    batches: list[int] = field(default_factory=list)

    def embed_pixels(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        self.batches.append(len(pixels))
        if len(pixels) > self.room:
            raise OutOfDeviceMemory("full")
        vectors = pixels.mean(axis=(1, 2), dtype=np.float32)
        for row, value in self.bad.items():
            vectors[row] = value
        return vectors


def flat(*greys: int) -> list[tuple[str, bytes]]:
    content = []
    for grey in greys:
        buffer = io.BytesIO()
        Image.new("L", (8, 8), grey).save(buffer, "PNG")
        content.append((f"grey{grey}", buffer.getvalue()))
    return content


def test_the_batch_is_halved_until_it_fits() -> None:
    stub = Stub(room=3)
    found = list(embed_stream(cast(Encoder, stub), flat(10, 20, 30, 40, 50, 60, 70, 80), 8, 1))
    assert stub.batches == [8, 4, 2, 2, 2, 2]
    assert [one.key for one in found] == [f"grey{value}" for value in range(10, 90, 10)]
    expected = np.full(3, 3**-0.5, dtype=np.float16)
    assert all(one.vector is not None and np.array_equal(one.vector, expected) for one in found)


def test_batches_take_turns_at_a_device() -> None:
    """Two at once would need twice the memory."""
    at_work, together = threading.Lock(), list[bool]()

    class Busy(Stub):
        def embed_pixels(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
            together.append(not at_work.acquire(blocking=False))
            time.sleep(0.2)
            if not together[-1]:
                at_work.release()
            return super().embed_pixels(pixels)

    assert len(list(embed_stream(cast(Encoder, Busy()), flat(*range(8)), 2, 2))) == 8
    assert together == [False] * 4


def test_where_not_even_one_image_fits_the_unit_fails_and_no_image_is_lost() -> None:
    stub = Stub(room=0)
    with pytest.raises(OutOfDeviceMemory):
        list(embed_stream(cast(Encoder, stub), flat(10, 77, 30), 4, 1))
    assert stub.batches == [4, 2, 1]


def test_vectors_without_a_direction_are_quarantined_by_name() -> None:
    stub = Stub(bad={0: np.nan, 1: np.inf, 2: 0.0, 3: 1e-9})
    found = list(embed_stream(cast(Encoder, stub), flat(10, 20, 30, 40, 50), 8, 1))
    assert [one.reason for one in found] == ["nan", "infinite", "zero", "zero", None]
    assert [one.vector is None for one in found] == [True, True, True, True, False]


def test_a_vector_near_unit_norm_is_normalised_like_any_other() -> None:
    """The encoder's own norms mean nothing, so none of them may pass as normalised already."""
    stub = Stub(bad={0: 3**-0.5 * 1.0015})
    (found,) = embed_stream(cast(Encoder, stub), flat(10), 1, 1)
    assert found.vector is not None
    assert np.array_equal(found.vector, np.full(3, 3**-0.5, dtype=np.float16))


def test_what_a_device_is_asked_for_is_watched(encoder: Encoder, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[str, str]] = []

    def watched(device: str, doing: str) -> nullcontext[None]:
        seen.append((device, doing))
        return nullcontext()

    monkeypatch.setattr("pipeline.embedding.encoder.watched", watched)
    encoder.embed(np.zeros((2, 3, 64, 64), dtype=np.float32))
    encoder.embed_tokens(np.zeros((3, encoder.tokenize([""]).shape[1]), dtype=np.int64))
    assert seen == [("cpu", "embedding 2 images"), ("cpu", "embedding 3 captions")]


def test_cuda_memory_errors_reach_the_caller_as_such(
    encoder: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: torch.Tensor) -> torch.Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(encoder._model, "encode_image", full)
    with pytest.raises(
        OutOfDeviceMemory, match="the memory of cpu has no room for images of tiny, 2 at a time"
    ):
        encoder.embed(np.zeros((2, 3, 64, 64), dtype=np.float32))


@pytest.mark.real_data
def test_real_photographs_are_embedded(encoder: Encoder) -> None:
    root = os.environ.get("NEARFAR_REAL_DATA")
    if not root:
        pytest.skip("set NEARFAR_REAL_DATA to embed the real photographs of flickr8k")
    with tarfile.open(Path(root) / "flickr8k" / "00004.tar") as tar:
        files = [(m.name, f.read()) for m in tar if m.name.endswith(".jpg") and (f := tar.extractfile(m))]
    found = list(embed_stream(encoder, files))
    assert len(found) == 6
    assert all(one.vector is not None for one in found)
    assert len(set(bits(found))) == 6
