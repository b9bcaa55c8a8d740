"""Framing gives the very pixels of open_clip's own transform, and so the model gets the very numbers."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image

from pipeline.embedding.encoder import EncoderSpec, load_encoder
from pipeline.embedding.framing import framing_of

TINY = Path(__file__).parents[3] / "data_manifests" / "encoders" / "tiny"
MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
SHAPES = [(64, 64), (65, 64), (64, 65), (200, 133), (133, 200), (61, 47), (3, 5), (1, 1), (640, 9), (30, 31)]
SIZES = [64, (64, 64), (48, 80), (80, 48)]
MODES = ["shortest", "longest", "squash"]


def noise(wide: int, tall: int) -> Image.Image:
    rng = np.random.default_rng(wide * 1000 + tall)
    return Image.fromarray(rng.integers(0, 256, (tall, wide, 3), dtype=np.uint8))


def planes(pixels: np.ndarray) -> torch.Tensor:
    """What `ToTensor` and `Normalize` make of pixels, as torchvision writes it."""
    tensor = torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1))).to(torch.float32).div(255)
    return tensor.sub_(torch.tensor(MEAN).view(-1, 1, 1)).div_(torch.tensor(STD).view(-1, 1, 1))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("resampling", ["bicubic", "bilinear"])
def test_every_mode_size_and_shape_is_open_clips(mode: str, resampling: str) -> None:
    for size, shape in itertools.product(SIZES, SHAPES):
        settings: dict[str, Any] = {
            "size": size, "resize_mode": mode, "interpolation": resampling, "mean": MEAN, "std": STD,
            "fill_color": 7,
        }  # fmt: skip
        transform = image_transform_v2(PreprocessCfg(**settings), is_train=False)
        image = noise(*shape)
        try:
            expected = transform(image)
        except ValueError:  # a side would have no pixel
            with pytest.raises(ValueError, match="must be > 0"):
                framing_of(settings).frame(image)
            continue
        found = framing_of(settings).frame(image)
        assert found.shape == (*expected.shape[1:], 3)
        assert torch.equal(planes(found), expected), (size, shape)


def test_the_models_numbers_are_the_transforms_bit_for_bit() -> None:
    encoder = load_encoder(EncoderSpec(str(TINY)), "cpu")
    # Every value that a pixel can have, in every channel.
    ramp = np.arange(64 * 64 * 3, dtype=np.int64).reshape(64, 64, 3)
    pixels = (ramp // 3 + 85 * (ramp % 3)).astype(np.uint8)
    expected = encoder.prepare(Image.fromarray(pixels))
    found = encoder._numbers(torch.from_numpy(pixels[None]))
    assert found.is_contiguous()
    assert np.array_equal(found[0].numpy(), expected)
    assert np.array_equal(encoder.embed_pixels(pixels[None]), encoder.embed(expected[None]))


def test_a_colour_for_each_channel_fills_up() -> None:
    settings = {"size": 10, "resize_mode": "longest", "interpolation": "bicubic", "fill_color": (1, 2, 3)}
    assert framing_of(settings).frame(Image.new("RGB", (20, 10)))[0, 0].tolist() == [1, 2, 3]
