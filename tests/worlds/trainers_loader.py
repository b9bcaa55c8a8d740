"""What open_clip's own loader gives of tars; needs the extra `train`.

Given as a script: tars and how many samples; prints the pixels' name and the caption of each as a line of JSON.
"""

from __future__ import annotations

import gc
import hashlib
import importlib
import json
import sys
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

from PIL import Image


def pixels(image: Image.Image) -> str:
    """Name what an image shows."""
    return hashlib.sha256(image.convert("RGB").tobytes()).hexdigest()


def loaded(tars: str, train: bool, samples: int | None = None) -> Iterator[tuple[str, str]]:
    """Load tars, named as open_clip is told of them, one sample a batch: pixels and caption."""
    data = importlib.import_module("open_clip_train.data")
    own: dict[str, Any] = {"train_data": tars, "train_num_samples": samples, "seed": 0}
    more: dict[str, Any] = {"val_data": tars, "val_num_samples": None, "world_size": 1}
    upsampling = {"train_data_upsampling_factors": None, "dataset_resampled": False}
    arguments = SimpleNamespace(**own, **more, **upsampling, workers=0, batch_size=1)
    loader = data.get_wds_dataset(arguments, pixels, is_train=train, tokenizer=lambda text: [text]).dataloader
    for images, texts in loader:
        yield from zip(images, texts, strict=True)
    del loader
    gc.collect()  # webdataset leaves it to this to close the tars


if __name__ == "__main__":
    for image, caption in loaded(sys.argv[1], train=True, samples=int(sys.argv[2])):
        print(json.dumps([image, caption]))
