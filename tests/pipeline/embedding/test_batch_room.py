"""Batches that do not fit are halved, later ones grow again, and no vector knows of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from pipeline.embedding.batch_room import GROWS_AFTER, BatchRoom, OutOfDeviceMemory
from pipeline.embedding.encoder import EncoderSpec, load_encoder

TINY = Path(__file__).parents[3] / "data_manifests" / "encoders" / "tiny"


class Device:
    """Doubles numbers, as many at a time as its memory holds just now."""

    def __init__(self, holds: int) -> None:
        self.holds, self.sizes = holds, list[int]()

    def __call__(self, rows: NDArray[Any]) -> NDArray[np.float32]:
        self.sizes.append(len(rows))
        if len(rows) > self.holds or -1 in rows:
            raise OutOfDeviceMemory("full")
        return rows.astype(np.float32) * 2


def column(count: int) -> NDArray[np.int64]:
    return np.arange(count)[:, None]


def test_it_halves_stays_small_for_a_while_and_grows_again() -> None:
    room, device = BatchRoom(16), Device(5)
    for _ in range(3):
        assert np.array_equal(room.forward(device, column(16), 1), column(16) * 2)
    assert device.sizes == [16, 8, 4, 4, 4, 4] + [4] * 8  # no attempt at 8 before `GROWS_AFTER` passes
    device.holds = 100
    sizes = []
    for _ in range(3 * GROWS_AFTER):
        device.sizes.clear()
        room.forward(device, column(16), 1)
        sizes.append(max(device.sizes))
    assert sorted(set(sizes)) == [4, 8, 16]
    assert sizes == sorted(sizes)


def test_where_not_even_one_row_fits_nothing_is_lost_in_silence() -> None:
    rows = column(6)
    rows[3] = -1
    device = Device(100)
    with pytest.raises(OutOfDeviceMemory):
        BatchRoom(6).forward(device, rows, 1)
    assert device.sizes == [6, 3, 3, 1]


def test_a_real_encoder_gives_the_same_bits_when_memory_runs_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Out of memory by injection: torch's own error, for more than so many images."""
    encoder = load_encoder(EncoderSpec(str(TINY)), "cpu")
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 64, 3), dtype=np.uint8)
    whole = BatchRoom(64).forward(encoder.embed_pixels, pixels, encoder.width)
    really, refused = encoder._model.encode_image, list[int]()

    def small(images: torch.Tensor) -> torch.Tensor:
        if len(images) > 20:
            refused.append(len(images))
            raise torch.OutOfMemoryError("CUDA out of memory")
        return really(images)

    monkeypatch.setattr(encoder._model, "encode_image", small)
    halved = BatchRoom(64).forward(encoder.embed_pixels, pixels, encoder.width)
    assert refused == [64, 32]
    # What is kept is float16 of unit norm.
    assert np.array_equal(_kept(halved), _kept(whole))


def _kept(vectors: NDArray[np.float32]) -> NDArray[np.float16]:
    return (vectors / np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)).astype(np.float16)


def test_what_drivers_and_libraries_say_of_memory_counts_and_other_errors_do_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    encoder = replace(load_encoder(EncoderSpec(str(TINY)), "cpu"))
    pixels = np.zeros((2, 64, 64, 3), dtype=np.uint8)
    for words, kind in (
        ("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory", OutOfDeviceMemory),
        ("CUDA error: out of memory\nCompile with `TORCH_USE_CUDA_DSA`", OutOfDeviceMemory),
        ("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`", OutOfDeviceMemory),
        ("cuDNN error: CUDNN_STATUS_ALLOC_FAILED", OutOfDeviceMemory),
        ("CUDA error: an illegal memory access was encountered", RuntimeError),
        ("expected scalar type Float", RuntimeError),
    ):

        def fails(_: torch.Tensor, words: str = words) -> torch.Tensor:
            raise RuntimeError(words)

        monkeypatch.setattr(encoder._model, "encode_image", fails)
        with pytest.raises(kind) as raised:
            encoder.embed_pixels(pixels)
        assert type(raised.value) is kind
