"""Models of the Hugging Face hub that open_clip can build, from this machine's cache of it; nothing is downloaded."""

from __future__ import annotations

import difflib
import re
from pathlib import Path

from indexes.errors import DataError
from pipeline.embedding.model_files import CONFIG_NAME, ModelFiles, read_config

HUB_NAME = re.compile(r"hf-hub:([\w.-]+/[\w.-]+)(?:@([\w.-]+))?")
"""`hf-hub:OWNER/NAME`, with `@REVISION` where it is not the newest that the cache has."""
_WEIGHTS = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")


def from_hub(name: str, checkpoint: Path | None) -> ModelFiles:
    """Find a model's config and weights in the cache; safetensors first.

    Args:
        name: As `HUB_NAME` has it.
        checkpoint: Other weights than the repository's.

    Raises:
        DataError: If the cache lacks them, or the config is none.
    """
    found = HUB_NAME.fullmatch(name)
    assert found is not None  # noqa: S101 - the caller has looked
    repository, revision = found.groups()
    config = _cached(repository, CONFIG_NAME, revision)
    weights = checkpoint or next(
        filter(None, (_cached(repository, file, revision) for file in _WEIGHTS)), None
    )
    if config is None or weights is None:
        raise DataError(_not_there(repository, revision, CONFIG_NAME if config is None else _WEIGHTS[0]))
    architecture, preprocess = read_config(config)
    return ModelFiles(name, architecture, weights, preprocess)


def _cached(repository: str, file: str, revision: str | None) -> Path | None:
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(repository, file, cache_dir=_cache(), revision=revision)
    return Path(found) if isinstance(found, str) else None


def _cache() -> Path:
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE)


def _not_there(repository: str, revision: str | None, file: str) -> str:
    here = sorted(
        folder.name.removeprefix("models--").replace("--", "/") for folder in _cache().glob("models--*")
    )
    near = difflib.get_close_matches(repository, here, n=3, cutoff=0.6) or here[:3]
    nearest = f" The nearest that is there: {', '.join(near)}." if near and repository not in here else ""
    at = f" --revision {revision}" if revision else ""
    return (
        f"{file} of the Hugging Face model {repository}{f' at {revision}' if revision else ''} is not on this machine "
        f"(looked in {_cache()}).{nearest} nearfar never downloads; on a machine with a network run: hf download "
        f"{repository} {CONFIG_NAME} {_WEIGHTS[0]}{at}, copy the cache here, or give a folder with these two files "
        "as encoder.model"
    )
