"""The encoder on CUDA agrees with the CPU's vectors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pipeline.embedding.encoder import EncoderSpec, load_encoder

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
