"""The training script: its losses have known values, and what it writes loads as any encoder does."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from data_manifests.encoders.tiny.train_encoder import Recipe, caption_loss, main, render_images, view_loss
from pipeline.embedding.encoder import EncoderSpec, load_encoder
from pipeline.world.views import augmented


def test_the_caption_loss_of_orthogonal_pairs_is_known() -> None:
    axes, scale = torch.eye(4), torch.tensor(2.0)
    expected = math.log(math.exp(2) + 3) - 2
    assert caption_loss(axes, axes, scale).item() == pytest.approx(expected, rel=1e-4)
    assert caption_loss(axes, axes.roll(1, 0), scale).item() == pytest.approx(expected + 2, rel=1e-4)


def test_the_view_loss_of_orthogonal_images_is_known() -> None:
    axes = torch.eye(4)
    # Each row sees its other view at 1 and six strangers at 0, all over a temperature of 0.5.
    assert view_loss(axes, axes, 0.5).item() == pytest.approx(math.log(math.exp(2) + 6) - 2, rel=1e-4)


def test_views_show_the_same_thing_with_small_changes() -> None:
    torch.manual_seed(0)
    images = torch.zeros(8, 3, 80, 80, dtype=torch.uint8)
    images[:, :, 20:60, 20:60] = 200
    views = augmented(images, 64)
    assert views.shape == (8, 3, 64, 64)
    assert views.min() >= 0
    assert views.max() <= 1
    assert (views[:, :, 28:36, 28:36].mean(dim=(1, 2, 3)) > 0.4).all()
    assert (views[:, :, :3, :3].mean(dim=(1, 2, 3)) < 0.2).all()
    assert len({view.numpy().tobytes() for view in views}) == 8


def test_training_images_are_seeded() -> None:
    first, said = render_images(Recipe(seed=7, images=3))
    again, _ = render_images(Recipe(seed=7, images=3))
    other, _ = render_images(Recipe(seed=8, images=3))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert len(said) == 9


def test_what_training_writes_loads_as_an_encoder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    threads = torch.get_num_threads()
    arguments = [
        "--out",
        str(tmp_path / "e"),
        "--images",
        "8",
        "--steps",
        "2",
        "--batch",
        "4",
        "--threads",
        "2",
    ]
    assert main(arguments) == 0
    torch.set_num_threads(threads)
    facts = json.loads((tmp_path / "e" / "training.json").read_text())
    assert facts["steps"] == 2
    assert facts["parameters"] <= 4_000_000
    assert math.isfinite(facts["caption_loss"] + facts["view_loss"])
    encoder = load_encoder(EncoderSpec(str(tmp_path / "e")), "cpu")
    assert np.isfinite(encoder.embed_images([Image.new("RGB", (64, 64))])).all()
    assert "rendered 8 images" in capsys.readouterr().out


def test_the_quickstarts_own_seed_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["--out", str(tmp_path), "--seed", "0"])
    assert stopped.value.code == 2
    assert "train on another" in capsys.readouterr().err
