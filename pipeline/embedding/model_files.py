"""The files of a model, and what its config says."""

from __future__ import annotations

import json
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from indexes.errors import DataError

CONFIG_NAME = "open_clip_config.json"
NEEDED = ("embed_dim", "vision_cfg", "text_cfg")
TRANSFORM_SETTINGS = ("mean", "std", "interpolation", "resize_mode", "fill_color")
_POINTER = b"version https://git-lfs"


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """A model that can be built from this machine's files alone.

    Attributes:
        label: What people call it.
        architecture: open_clip's model config.
        checkpoint: The weights.
        preprocess: Settings of the image transform that differ from open_clip's defaults.
    """

    label: str
    architecture: dict[str, Any]
    checkpoint: Path
    preprocess: dict[str, Any] = field(default_factory=dict)


def read_config(file: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Read a model's config: a bare `model_cfg` as open_clip ships them, or one beside its `preprocess_cfg`.

    Returns:
        The architecture, and settings of the image transform that differ from open_clip's defaults.

    Raises:
        DataError: If the file is not there, is no config, or lacks a part of one.
    """
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
        architecture = config.get("model_cfg", config)
        missing = [name for name in NEEDED if not architecture.get(name)]
    except (OSError, ValueError, AttributeError, RecursionError) as error:
        raise DataError(
            f"cannot read a model config at '{file}': {error}; give an open_clip model name, a folder that has "
            f"{CONFIG_NAME}, or a JSON file"
        ) from error
    if missing:
        raise DataError(f"the model config '{file}' lacks {', '.join(missing)}; it needs {', '.join(NEEDED)}")
    given = config.get("preprocess_cfg") or {}
    return architecture, {name: given[name] for name in TRANSFORM_SETTINGS if name in given}


def fault_of_checkpoint(path: Path) -> str | None:
    """Say what a file is in place of tensors, as far as its outside shows; None where it may be a checkpoint.

    Raises:
        DataError: If it cannot be read.
    """
    try:
        with path.open("rb") as file:
            if file.read(len(_POINTER)) == _POINTER:
                return "a pointer of Git LFS, and not the weights: run `git lfs pull` where it was cloned"
        if not zipfile.is_zipfile(path):
            return None
        with zipfile.ZipFile(path) as archive:
            programs = any(name.rpartition("/")[2] == "constants.pkl" for name in archive.namelist())
    except zipfile.BadZipFile:
        return None
    except OSError as error:
        raise DataError(f"cannot read the checkpoint '{path}': {error.strerror}. Make it readable") from error
    return (
        "a TorchScript archive, which is a program: nearfar runs none; give the same weights in safetensors"
        if programs
        else None
    )
