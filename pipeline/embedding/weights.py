"""Find a CLIP's config and weights on this machine, and build it through open_clip's own factory."""

from __future__ import annotations

import difflib
import json
import os
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from pickle import UnpicklingError  # the error's name; nothing is unpickled
from types import ModuleType
from typing import Any, Literal

from indexes.errors import DataError, UnknownNameError
from pipeline.embedding.fast_jpeg import check_installed
from pipeline.embedding.framing import Decoder
from pipeline.embedding.hub_models import HUB_NAME, from_hub
from pipeline.embedding.model_files import (
    CONFIG_NAME,
    TRANSFORM_SETTINGS,
    ModelFiles,
    fault_of_checkpoint,
    read_config,
)

# The name under which open_clip's factory finds a checkpoint beside its config. It reads all but safetensors
# with torch.load(weights_only=True), which unpickles no objects.
_LINKS = {
    ".safetensors": "open_clip_model.safetensors",
    ".bin": "open_clip_pytorch_model.bin",
    ".pt": "open_clip_pytorch_model.bin",
    ".pth": "open_clip_pytorch_model.bin",
}


Precision = Literal["float32", "bfloat16", "float16"]
_OPEN_CLIPS: dict[Precision, str] = {"float32": "fp32", "bfloat16": "bf16", "float16": "fp16"}


@dataclass(frozen=True, slots=True)
class EncoderSpec:
    """Which encoder.

    Attributes:
        model: open_clip's name, `hf-hub:OWNER/NAME`, or the path of a model config (folder or JSON file).
        pretrained: open_clip's name of weights, or the path of a checkpoint.
        precision: In which numbers it multiplies; norms are float32 in all of them.
        decoder: What decodes JPEGs.
    """

    model: str
    pretrained: str | None = None
    precision: Precision = "float32"
    decoder: Decoder = "pillow"


def find(spec: EncoderSpec) -> ModelFiles:
    """Resolve `spec` to files of this machine.

    Raises:
        UnknownNameError: If open_clip has no such model or pretrained tag.
        DataError: If a file is missing, or is of a kind that nearfar does not read, or its decoder is not installed.
    """
    if spec.decoder != "pillow":
        check_installed()
    if HUB_NAME.fullmatch(spec.model):
        return from_hub(spec.model, _checked(Path(spec.pretrained)) if spec.pretrained else None)
    path = Path(spec.model)
    if path.is_dir() or spec.model.endswith(".json"):
        return _from_path(path, spec.pretrained)
    if os.sep not in spec.model:
        return _from_names(spec)
    if path.exists() or not HUB_NAME.fullmatch(f"hf-hub:{spec.model}"):
        return _from_path(path, spec.pretrained)
    # Names of open_clip had a slash once, and it still takes `ViT-B/32`.
    named = spec.model.replace("/", "-")
    if named in _open_clip().list_models():
        return _from_names(replace(spec, model=named))
    raise DataError(
        f"there is no model config at '{spec.model}'; if it is a model of the Hugging Face hub, write "
        f"hf-hub:{spec.model}"
    )


def build(
    files: ModelFiles, precision: Precision = "float32"
) -> tuple[Any, Callable[[Any], Any], dict[str, Any]]:
    """Build a model on the CPU and load its weights, with open_clip's factory.

    Returns:
        The model, its evaluation transform, and that transform's settings.

    Raises:
        DataError: If the weights are damaged or belong to another architecture.
    """
    open_clip = _open_clip()
    from safetensors import SafetensorError

    with tempfile.TemporaryDirectory() as folder:
        config = {"model_cfg": files.architecture, "preprocess_cfg": files.preprocess}
        (Path(folder) / CONFIG_NAME).write_text(json.dumps(config))
        (Path(folder) / _LINKS[files.checkpoint.suffix]).symlink_to(files.checkpoint.resolve())
        try:
            model, transform = open_clip.create_model_from_pretrained(
                f"local-dir:{folder}", precision=_OPEN_CLIPS[precision]
            )
        except (RuntimeError, OSError, ValueError, TypeError, KeyError, AssertionError, AttributeError,
                EOFError, StopIteration, SafetensorError, UnpicklingError) as error:  # fmt: skip
            said = _said(error).replace(folder, str(files.checkpoint.parent))
            raise DataError(
                f"'{files.checkpoint}' does not load as the weights of {files.label}: {said}; "
                "give a safetensors file, or one of plain tensors, that was saved from this architecture"
            ) from error
    settings = dict(open_clip.get_model_preprocess_cfg(model))
    return model, transform, settings


def _said(error: Exception) -> str:
    """Say what is wrong with weights; torch's own words ask to switch off what keeps code in them from running."""
    if isinstance(error, UnpicklingError) or "weights_only" in str(error):
        return "it is no file of plain tensors, and nothing else is unpickled"
    return " ".join(str(error).splitlines()[:3]) or "it holds none"


def _open_clip() -> ModuleType:
    """Import open_clip with the Hugging Face hub switched off: nearfar never downloads weights."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    import open_clip

    return open_clip  # type: ignore[no-any-return]


def _from_path(path: Path, pretrained: str | None) -> ModelFiles:
    file = path / CONFIG_NAME if path.is_dir() else path
    architecture, preprocess = read_config(file)
    label = path.name if path.is_dir() else path.stem
    return ModelFiles(label, architecture, _local_checkpoint(file.parent, pretrained), preprocess)


def _local_checkpoint(folder: Path, pretrained: str | None) -> Path:
    if pretrained is not None:
        return _checked(Path(pretrained))
    found = sorted(folder.glob("*.safetensors"))
    if len(found) != 1:
        names = ", ".join(path.name for path in found) or "none"
        raise DataError(
            f"'{folder}' holds {len(found)} safetensors files ({names}); name one under encoder.pretrained"
        )
    return found[0]


def _checked(path: Path) -> Path:
    if not path.is_file():
        raise DataError(f"there is no checkpoint at '{path}'; give the path of a file, best in safetensors")
    if path.suffix not in _LINKS:
        raise DataError(
            f"checkpoint '{path}' is of a kind nearfar does not read; it reads {', '.join(_LINKS)}"
        )
    fault = fault_of_checkpoint(path)
    if fault is not None:
        raise DataError(f"checkpoint '{path}' is {fault}")
    return path


def _from_names(spec: EncoderSpec) -> ModelFiles:
    open_clip = _open_clip()
    architecture = open_clip.get_model_config(spec.model) if ":" not in spec.model else None
    if architecture is None:
        near = difflib.get_close_matches(spec.model, open_clip.list_models(), n=8, cutoff=0.3)
        raise UnknownNameError(
            "open_clip model", spec.model, near, "These are the nearest names; a path works too"
        )
    tags = open_clip.list_pretrained_tags_by_model(spec.model)
    if spec.pretrained is None:
        raise DataError(
            f"encoder.pretrained is missing for {spec.model}; give a checkpoint or one of {', '.join(tags)}"
        )
    if Path(spec.pretrained).suffix in _LINKS:
        return ModelFiles(spec.model, architecture, _checked(Path(spec.pretrained)))
    tag = open_clip.get_pretrained_cfg(spec.model, spec.pretrained)
    if not tag:
        raise UnknownNameError(
            f"pretrained tag of {spec.model}", spec.pretrained, tags, "A checkpoint's path works too"
        )
    label = f"{spec.model}/{spec.pretrained}"
    if tag.get("quick_gelu"):
        architecture["quick_gelu"] = True  # the activation that these weights were trained with
    preprocess = {name: tag[name] for name in TRANSFORM_SETTINGS if name in tag}
    if _is_anothers(spec, tag, tags):
        tag = {key: value for key, value in tag.items() if key != "hf_hub"}
    return ModelFiles(label, architecture, _cached(spec, tag), preprocess)


def _is_anothers(spec: EncoderSpec, tag: dict[str, Any], tags: list[str]) -> bool:
    """Tell whether a tag's hub repository holds the weights of another tag.

    open_clip 3.3 lists the repository of epoch 31 for `laion400m_e32` too. Whose it is, its name says.
    """
    repository = str(tag.get("hf_hub", "")).rpartition("/")[0]
    listed = (_open_clip().get_pretrained_cfg(spec.model, other) for other in tags)
    addresses = {one.get("url") for one in listed if one.get("hf_hub") == tag.get("hf_hub")}
    own = str(spec.pretrained).lower().replace("-", "_")  # as open_clip looks tags up
    return len(addresses) > 1 and not repository.endswith(own)


def _cached(spec: EncoderSpec, tag: dict[str, Any]) -> Path:
    """Find the tag's weights in open_clip's own cache or in the Hugging Face hub's."""
    for path in _places(tag):
        # OpenAI's own files are programs; open_clip has the same weights as tensors on the hub.
        if path is not None and path.is_file() and fault_of_checkpoint(path) is None:
            return path
    searched = Path(os.environ.get("HF_HOME") or Path.home() / ".cache" / "huggingface")
    get = f"run: python -c \"import open_clip; open_clip.create_model('{spec.model}', '{spec.pretrained}')\""
    if not tag.get("hf_hub"):
        get = f"fetch {tag.get('url')} into {_clip_cache()} there"
    raise DataError(
        f"the weights of {spec.model}/{spec.pretrained} are not on this machine (looked in {searched} and in "
        f"{_clip_cache()}). nearfar never downloads; on a machine with a network {get}, copy the cache here, or give a "
        "checkpoint's path as encoder.pretrained"
    )


def _clip_cache() -> Path:
    return Path.home() / ".cache" / "clip"


def _places(tag: dict[str, Any]) -> Iterator[Path | None]:
    from huggingface_hub import try_to_load_from_cache
    from open_clip.constants import HF_SAFE_WEIGHTS_NAME, HF_WEIGHTS_NAME

    if tag.get("file"):
        yield Path(tag["file"])
    if tag.get("url"):
        yield _clip_cache() / tag["url"].rsplit("/", 1)[-1]
    if tag.get("hf_hub"):
        repository, name = tag["hf_hub"].rsplit("/", 1)
        stem = name.rsplit(".", 1)[0]
        for wanted in (f"{stem}.safetensors", name) if name else (HF_SAFE_WEIGHTS_NAME, HF_WEIGHTS_NAME):
            found = try_to_load_from_cache(repository, wanted)
            yield Path(found) if isinstance(found, str) else None
