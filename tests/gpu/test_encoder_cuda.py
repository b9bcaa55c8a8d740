"""The encoder on CUDA agrees with the CPU's vectors."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pipeline.embedding.encoder import EncoderSpec, load_encoder
from pipeline.embedding.image_batches import embed_stream

TINY = Path(__file__).parents[2] / "data_manifests" / "encoders" / "tiny"


@pytest.mark.gpu
def test_cuda_gives_nearly_the_cpus_vectors_under_the_same_fingerprint() -> None:
    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")
    pixels = np.random.default_rng(0).integers(0, 256, size=(4, 70, 90, 3), dtype=np.uint8)
    images = [Image.fromarray(image) for image in pixels]
    on_cpu, on_cuda = (load_encoder(EncoderSpec(str(TINY)), device) for device in ("cpu", "cuda"))
    assert on_cpu.fingerprint == on_cuda.fingerprint
    np.testing.assert_allclose(
        on_cpu.embed_images(images), on_cuda.embed_images(images), rtol=1e-3, atol=1e-3
    )


@pytest.mark.gpu
@pytest.mark.parametrize(
    ("precision", "least"), [("float32", 0.9999), ("bfloat16", 0.999), ("float16", 0.999)]
)
def test_streams_on_cuda_have_the_cpus_directions(precision: str, least: float) -> None:
    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")
    items = []
    for row in range(40):
        pixels = np.random.default_rng(row).integers(0, 256, size=(70, 90, 3), dtype=np.uint8)
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "PNG")
        items.append((str(row), buffer.getvalue()))
    exact = load_encoder(EncoderSpec(str(TINY)), "cpu")
    quick = load_encoder(EncoderSpec(str(TINY), precision=precision), "cuda")  # type: ignore[arg-type]
    expected, found = (
        np.stack([one.vector for one in embed_stream(by, items, 16) if one.vector is not None])
        for by in (exact, quick)
    )
    assert len(found) == len(items)
    assert (found.astype(np.float64) * expected).sum(axis=1).min() >= least
