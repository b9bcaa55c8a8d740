"""What `embed.py` compares with: the forward pass alone, a plain DataLoader loop, open_clip's own vectors."""

from __future__ import annotations

import io
import tarfile
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from os import sched_getaffinity
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import torch
from PIL import Image

from pipeline.embedding.encoder import Encoder, single_threaded
from pipeline.embedding.image_batches import BATCH_SIZE, DEVICE_BATCH
from pipeline.embedding.layers.packed_layers import PackedLinear


def forward_rate(encoder: Encoder, images: int) -> float:
    """Send batches that lie in memory through the model, as many side by side as there are cores, or one on a GPU."""
    on_cpu = encoder.device == "cpu"
    rows, side = BATCH_SIZE if on_cpu else DEVICE_BATCH, encoder.framing.tall
    pixels = np.random.default_rng(0).standard_normal((rows, 3, side, side)).astype(np.float32)
    batches = max(1, images // rows)
    with single_threaded() as settle:
        workers = len(sched_getaffinity(0)) if on_cpu else 1
        with ThreadPoolExecutor(workers, initializer=settle) as pool:
            encoder.embed(pixels[:8])
            started = time.perf_counter()
            list(pool.map(lambda _: encoder.embed(pixels), range(batches)))
            return batches * rows / (time.perf_counter() - started)


def products_rate(encoder: Encoder, images: int) -> float:
    """Do the matrix products of the image tower's packed layers and nothing else, on all cores; images per second."""
    seen: list[tuple[PackedLinear, torch.Tensor]] = []

    def look(layer: PackedLinear, given: tuple[torch.Tensor], _: torch.Tensor) -> None:
        seen.append((layer, given[0].clone()))

    layers = [layer for layer in encoder._model.visual.modules() if isinstance(layer, PackedLinear)]
    hooks = [layer.register_forward_hook(look) for layer in layers]
    side = encoder.framing.tall
    encoder.embed(np.zeros((BATCH_SIZE, 3, side, side), np.float32))
    for hook in hooks:
        hook.remove()

    def multiply(_: int) -> None:
        with torch.inference_mode():
            for layer, rows in seen:
                layer(rows)

    batches = max(1, images // BATCH_SIZE)
    with (
        single_threaded() as settle,
        ThreadPoolExecutor(len(sched_getaffinity(0)), initializer=settle) as pool,
    ):
        started = time.perf_counter()
        list(pool.map(multiply, range(batches)))
        return batches * BATCH_SIZE / (time.perf_counter() - started)


class Tars(torch.utils.data.IterableDataset[torch.Tensor]):
    """Images of tars through open_clip's transform, tars shared out among workers."""

    def __init__(self, files: list[Path], transform: Any) -> None:
        self.files, self.transform = files, transform

    def __iter__(self) -> Iterator[torch.Tensor]:
        info = torch.utils.data.get_worker_info()
        for path in self.files[info.id :: info.num_workers]:
            with tarfile.open(path) as tar:
                for member in tar:
                    content = tar.extractfile(member)
                    if member.name.endswith(".jpg") and content is not None:
                        yield self.transform(Image.open(io.BytesIO(content.read())))


def loop_rate(model: Path, tars: Path, workers: int, device: str) -> float:
    """Embed by the loop that open_clip's README shows, in float32 and with all of torch's threads."""
    clip, transform = open_clip.create_model_from_pretrained(f"local-dir:{model}", device=device)
    clip.eval()
    loader = torch.utils.data.DataLoader(
        Tars(sorted(tars.glob("*.tar")), transform),
        batch_size=64,
        num_workers=workers,
        pin_memory=device != "cpu",
    )
    with torch.inference_mode():
        clip.encode_image(torch.zeros(8, 3, 224, 224, device=device))
        started, done = time.perf_counter(), 0
        for batch in loader:
            done += len(clip.encode_image(batch.to(device)).float().cpu().numpy())
        return done / (time.perf_counter() - started)


def own_vectors(model: Path, images: Iterable[tuple[str, bytes]]) -> np.ndarray:
    """Embed by open_clip alone, in float32; returns `(n, d)` float64 unit vectors."""
    clip, transform = open_clip.create_model_from_pretrained(f"local-dir:{model}")
    prepared = torch.stack([transform(Image.open(io.BytesIO(content))) for _, content in images])
    with torch.inference_mode():
        found: np.ndarray = torch.cat([clip.eval().encode_image(part) for part in prepared.split(64)]).numpy()
    unit: np.ndarray = found.astype(np.float64)
    return unit / np.linalg.norm(unit, axis=1, keepdims=True)
