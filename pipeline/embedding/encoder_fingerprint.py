"""What an encoder's vectors depend on, by content: architecture, weights, transform, tokenizer, precision, decoder."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import numpy as np

from pipeline.embedding.model_files import ModelFiles
from pipeline.embedding.weights import EncoderSpec


def fingerprint_of(
    files: ModelFiles, spec: EncoderSpec, model: Any, preprocessing: dict[str, Any], tokenizer: dict[str, Any]
) -> dict[str, str]:
    """Say what an encoder's vectors depend on, and the sha256 of all of it but the model's name.

    Args:
        files: Its config, and its name for people.
        spec: Its precision and decoder.
        model: The model, its weights loaded.
        preprocessing: Settings of its image transform.
        tokenizer: Settings of its tokenizer.
    """
    parts = {
        "architecture_sha256": hashlib.sha256(_canonical(files.architecture)).hexdigest(),
        "weights_sha256": _weights_digest(model),
        "preprocessing": _canonical(preprocessing).decode(),
        "tokenizer": _canonical(tokenizer).decode(),
        "dtype": spec.precision,
    }
    if spec.decoder != "pillow":
        parts["decoder"] = spec.decoder
    return {"model": files.label, **parts, "sha256": hashlib.sha256(_canonical(parts)).hexdigest()}


def _canonical(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def _weights_digest(model: Any) -> str:
    """The sha256 of all tensors by name; the kind of file and the precision they were stored in make no difference."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        stored = tensor.detach().cpu()
        # numpy has no bfloat16, of which float32 holds every number.
        values = np.ascontiguousarray((stored.float() if stored.is_floating_point() else stored).numpy())
        digest.update(f"{name} {values.dtype} {values.shape}\n".encode())
        digest.update(values.tobytes())
    return digest.hexdigest()
