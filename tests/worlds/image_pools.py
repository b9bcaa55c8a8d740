"""Pools of single image files with captions beside them, and a plan over one."""

from __future__ import annotations

from pathlib import Path

import yaml
from PIL import Image

CAPTIONS = {
    "cat/1": "a cat",
    "cat/2": "NA",
    "dog/1": 'a "dog"\twith\nlines',
    "dog/2": None,
    "fish": "=a fish",
}


def write_image(path: Path, shade: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 8), (shade, 2 * shade, 0)).save(path)


def write_images(folder: Path) -> None:
    """Image files with captions beside them, but for two."""
    for number, (key, caption) in enumerate(CAPTIONS.items()):
        write_image(folder / f"{key}.png", 20 * number)
        if caption is not None:
            (folder / f"{key}.txt").write_text(caption, encoding="utf-8")
    (folder / "dog/0.png").write_bytes(b"no image")


def write_images_plan(folder: Path, **splits: object) -> Path:
    path = folder / "plan.yaml"
    plan = {
        "name": "files",
        "pool": {"path": str(folder / "pool"), "format": "image-folder"},
        "output": str(folder / "out"),
        "splits": {"whole": [{"where": "true"}], "cats": [{"where": "label = 'cat'"}], **splits},
    }
    path.write_text(yaml.safe_dump(plan))
    return path
