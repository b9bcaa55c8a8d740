"""Train the quickstart's small CLIP: `python -m data_manifests.encoders.tiny.train_encoder --out DIR`.

The loss is CLIP's between images and captions, plus SimCLR's between two augmented views of each image (as in
SLIP, Mu et al. 2021), so that an image stays close to its own re-encoded, resized, cropped or relit copies.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import torch
import torch.nn.functional as F  # noqa: N812
from PIL import Image, ImageOps
from safetensors.torch import save
from torch.nn.attention import SDPBackend, sdpa_kernel

from pipeline.world.captions import describe
from pipeline.world.scene import LABELS, pick, sample_scene
from pipeline.world.styles import PAINTERS
from pipeline.world.views import augmented

STORED = 80  # side of the square training images; views of VIEW pixels are cut from them
VIEW = 64
STYLE_SHARES = {"photo": 0.5, "sketch": 0.25, "rendition": 0.25}
CAPTIONS = 3  # wordings of each image
QUICKSTART_SEED = 0
MODEL: dict[str, Any] = {
    "model_cfg": {
        "embed_dim": 128,
        "vision_cfg": {
            "image_size": VIEW,
            "patch_size": 8,
            "width": 128,
            "head_width": 32,
            "layers": 4,
            "pool_type": "avg",
        },
        "text_cfg": {"context_length": 24, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2},
    },
    "preprocess_cfg": {
        "mean": [0.5, 0.5, 0.5],
        "std": [0.25, 0.25, 0.25],
        "interpolation": "bicubic",
        "resize_mode": "shortest",
    },
}


@dataclass(frozen=True, slots=True)
class Recipe:
    """How long, on what and how fast to train."""

    seed: int = 1000
    images: int = 20_000
    steps: int = 1150
    batch: int = 256
    learning_rate: float = 1.5e-3
    view_weight: float = 1.0
    view_temperature: float = 0.1
    patch_dropout: float = 0.35


def render_images(recipe: Recipe) -> tuple[torch.Tensor, list[str]]:
    """Render the training set.

    Returns:
        `(n, 3, STORED, STORED)` uint8 images and `n * CAPTIONS` captions, those of an image side by side.
    """
    names, shares = list(STYLE_SHARES), list(STYLE_SHARES.values())
    images = np.empty((recipe.images, STORED, STORED, 3), dtype=np.uint8)
    captions = []
    for index in range(recipe.images):
        rng = np.random.default_rng([recipe.seed, index])
        style, scene = str(rng.choice(names, p=shares)), sample_scene(rng, pick(rng, LABELS))
        square = ImageOps.fit(PAINTERS[style](scene), (STORED, STORED), Image.Resampling.BICUBIC)
        images[index] = np.asarray(square)
        captions += [describe(rng, scene, style) for _ in range(CAPTIONS)]
    return torch.from_numpy(images).permute(0, 3, 1, 2).contiguous(), captions


def view_loss(first: torch.Tensor, second: torch.Tensor, temperature: float) -> torch.Tensor:
    """SimCLR's loss (Chen et al. 2020, eq. 1) between two `(n, d)` sets of unit vectors, pairs in step."""
    both = torch.cat([first, second])
    logits = both @ both.T / temperature
    logits.fill_diagonal_(-1e4)
    rows = len(first)
    return F.cross_entropy(logits, torch.arange(2 * rows).roll(rows))


def caption_loss(images: torch.Tensor, texts: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    """CLIP's symmetric loss (Radford et al. 2021, fig. 3) between unit vectors whose rows are in step."""
    logits = scale * images @ texts.T
    matching = torch.arange(len(images))
    return (F.cross_entropy(logits, matching) + F.cross_entropy(logits.T, matching)) / 2


def train(recipe: Recipe, out: Path) -> dict[str, float]:
    """Train, and write the config, the weights (safetensors) and `training.json` into `out`."""
    began = time.monotonic()
    out.mkdir(parents=True, exist_ok=True)
    (out / "open_clip_config.json").write_text(json.dumps(MODEL, indent=2) + "\n")
    torch.manual_seed(recipe.seed)
    model = open_clip.create_model(
        f"local-dir:{out}", load_weights=False, force_patch_dropout=recipe.patch_dropout
    )
    tokenizer = open_clip.get_tokenizer(f"local-dir:{out}")
    images, captions = render_images(recipe)
    tokens = tokenizer(captions).reshape(recipe.images, CAPTIONS, -1)
    print(f"rendered {recipe.images} images in {time.monotonic() - began:.0f} s", flush=True)
    losses = _fit(model, images, tokens, recipe)
    weights = {name: tensor.half().contiguous() for name, tensor in model.state_dict().items()}
    (out / "open_clip_model.safetensors").write_bytes(save(weights))
    facts = {
        **losses,
        "seconds": round(time.monotonic() - began),
        "parameters": sum(map(torch.numel, weights.values())),
    }
    (out / "training.json").write_text(json.dumps({**asdict(recipe), **facts}, indent=2) + "\n")
    return facts


def _fit(
    model: torch.nn.Module, images: torch.Tensor, tokens: torch.Tensor, recipe: Recipe
) -> dict[str, float]:
    optimiser = torch.optim.AdamW(
        model.parameters(), lr=recipe.learning_rate, betas=(0.9, 0.98), weight_decay=0.05
    )
    model.train()
    latest: dict[str, float] = {}
    for step in range(recipe.steps):
        for group in optimiser.param_groups:
            group["lr"] = recipe.learning_rate * _schedule(step, recipe.steps)
        rows = torch.randint(len(images), (recipe.batch,))
        words = tokens[rows, torch.randint(CAPTIONS, (recipe.batch,))]
        by_caption, by_view = _losses(model, images[rows], words, recipe)
        optimiser.zero_grad()
        (by_caption + recipe.view_weight * by_view).backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        if step % 50 == 0 or step == recipe.steps - 1:
            latest = {"caption_loss": round(by_caption.item(), 4), "view_loss": round(by_view.item(), 4)}
            print(f"step {step} {latest}", flush=True)
    return latest


def _losses(
    model: Any, images: torch.Tensor, words: torch.Tensor, recipe: Recipe
) -> tuple[torch.Tensor, torch.Tensor]:
    mean, std = (torch.tensor(MODEL["preprocess_cfg"][key]).view(1, 3, 1, 1) for key in ("mean", "std"))
    views = torch.cat([augmented(images, VIEW), augmented(images, VIEW)])
    # The fused attention's backward pass on CPU is slower than the plain one at this size.
    with torch.autocast("cpu", dtype=torch.bfloat16), sdpa_kernel(SDPBackend.MATH):
        shown = model.encode_image((views - mean) / std)
        said = model.encode_text(words)
    first, second = F.normalize(shown.float(), dim=-1).chunk(2)
    texts = F.normalize(said.float(), dim=-1)
    scale = model.logit_scale.exp().clamp(max=100.0)
    return caption_loss(first, texts, scale), view_loss(first, second, recipe.view_temperature)


def _schedule(step: int, steps: int) -> float:
    """Warm up over 5% of the steps, then a half cosine down to 0."""
    warm = max(1, steps // 20)
    return min((step + 1) / warm, 0.5 * (1 + math.cos(math.pi * max(0, step - warm) / max(1, steps - warm))))


def main(arguments: Sequence[str] | None = None) -> int:
    """Train from the command line; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m data_manifests.encoders.tiny.train_encoder", description=__doc__
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=2)
    for name, default in asdict(Recipe()).items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=type(default), default=default)
    chosen = vars(parser.parse_args(arguments))
    out, threads = chosen.pop("out"), chosen.pop("threads")
    if chosen["seed"] == QUICKSTART_SEED:
        parser.error("seed 0 is the quickstart's own world; train on another")
    torch.set_num_threads(threads)
    print(json.dumps(train(Recipe(**chosen), out)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
