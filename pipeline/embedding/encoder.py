"""The encoder: any CLIP that open_clip's factory builds, from its own names or from local files.

Nothing is ever downloaded. This is the only file of the pipeline that imports torch to embed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from indexes.device.choice import resolve_device
from indexes.errors import RunFailedError
from pipeline.embedding.tokens import Tokenizer, tokenizer_of
from pipeline.embedding.weights import EncoderSpec, ModelFiles, build, find

if TYPE_CHECKING:
    import torch

DTYPE = "float32"
__all__ = ["Encoder", "EncoderSpec", "OutOfDeviceMemory", "load_encoder", "single_threaded"]


class OutOfDeviceMemory(RunFailedError):  # noqa: N818 - callers answer it with a smaller batch
    """The batch does not fit the accelerator's memory."""


@dataclass(frozen=True, eq=False)
class Encoder:
    """An encoder of images and captions in float32, and everything that its vectors depend on.

    Attributes:
        fingerprint: `model` (a name for people), `architecture_sha256`, `weights_sha256` (of the tensors as
            computed with, not of the file), `preprocessing`, `tokenizer`, `dtype`, and `sha256` over the last
            five. Vectors may be compared when `sha256` agrees.
        width: Numbers in one vector.
        device: Where it computes: `cpu`, `cuda` or `cuda:<number>`.
    """

    fingerprint: dict[str, str]
    width: int
    device: str
    _model: Any
    _transform: Callable[[Image.Image], torch.Tensor]
    _tokenizer: Tokenizer

    @property
    def image_size(self) -> int:
        """Side of the square that images are brought to."""
        size = self._model.visual.image_size
        return int(size[0] if isinstance(size, tuple | list) else size)

    def prepare(self, image: Image.Image) -> NDArray[np.float32]:
        """Apply open_clip's own evaluation transform; returns `(3, s, s)`."""
        pixels: NDArray[np.float32] = self._transform(image).numpy()
        return pixels

    def embed(self, prepared: NDArray[np.float32]) -> NDArray[np.float32]:
        """Embed prepared images.

        Args:
            prepared: `(n, 3, s, s)`.

        Returns:
            `(n, width)` float32, not normalised.

        Raises:
            OutOfDeviceMemory: If the batch does not fit the accelerator.
        """
        return self._through("image", prepared)

    def tokenize(self, captions: Sequence[str]) -> NDArray[np.int64]:
        """Tokenize captions as open_clip does for this model; those that are too long are cut.

        Args:
            captions: `n` captions; an empty one is the empty text.

        Returns:
            `(n, context)` int64.

        Raises:
            DataError: If the model's tokenizer is not on this machine.
        """
        return self._tokenizer.tokenize(captions)

    def embed_tokens(self, tokens: NDArray[np.int64]) -> NDArray[np.float32]:
        """Embed tokenized captions by the text tower.

        Args:
            tokens: `(n, context)` int64.

        Returns:
            `(n, width)` float32, not normalised.

        Raises:
            OutOfDeviceMemory: If the batch does not fit the accelerator.
        """
        return self._through("text", tokens)

    def _through(self, tower: Literal["image", "text"], rows: NDArray[Any]) -> NDArray[np.float32]:
        """Send rows through one of the two towers; returns `(n, width)` float32."""
        import torch

        encode = self._model.encode_image if tower == "image" else self._model.encode_text
        try:
            with torch.inference_mode():
                vectors: NDArray[np.float32] = (
                    encode(torch.from_numpy(rows).to(self.device)).float().cpu().numpy()
                )
        except torch.OutOfMemoryError as error:
            torch.cuda.empty_cache()
            what = "images" if tower == "image" else "captions"
            raise OutOfDeviceMemory(f"{len(rows)} {what} do not fit the device's memory") from error
        return vectors

    def embed_images(self, images: Sequence[Image.Image]) -> NDArray[np.float32]:
        """Prepare and embed RGB images; returns `(n, width)` float32, not normalised."""
        return self.embed(np.stack([self.prepare(image) for image in images]))


def load_encoder(spec: EncoderSpec, device: str = "auto") -> Encoder:
    """Build the model of `spec` and load its weights, without any network.

    Args:
        spec: open_clip's names (`ViT-B-16-plus-240`, `laion400m_e32`), or paths: a folder or JSON file with
            the model's config, and a checkpoint.
        device: `auto` (CUDA where there is one), `cpu`, `cuda` or `cuda:<number>`.

    Raises:
        UnknownNameError: If open_clip has no such model or pretrained tag.
        DataError: If the weights are not on this machine, are damaged, or are of another architecture.
        BadInputError: If this machine has no such device.
    """
    chosen = _device(device)
    files = find(spec)
    model, transform, preprocessing = build(files)
    tokenizer = tokenizer_of(files.architecture)
    fingerprint = _fingerprint(files, model, preprocessing, tokenizer.settings)
    width = int(files.architecture["embed_dim"])
    return Encoder(fingerprint, width, chosen, model.to(chosen).eval(), transform, tokenizer)


@contextmanager
def single_threaded() -> Iterator[Callable[[], None]]:
    """Let torch use one thread for each operation, so that no sum depends on how many cores there are.

    Yields:
        What each new thread must call before its first operation.
    """
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield lambda: torch.set_num_threads(1)
    finally:
        torch.set_num_threads(before)


def _device(asked: str) -> str:
    """Find the device, and let float32 mean float32 there as on every other."""
    chosen = resolve_device(asked)
    if chosen != "cpu":
        import torch

        torch.backends.cudnn.allow_tf32 = False
        torch.backends.cuda.matmul.allow_tf32 = False
    return chosen


def _fingerprint(
    files: ModelFiles, model: Any, preprocessing: dict[str, Any], tokenizer: dict[str, Any]
) -> dict[str, str]:
    parts = {
        "architecture_sha256": hashlib.sha256(_canonical(files.architecture)).hexdigest(),
        "weights_sha256": _weights_digest(model),
        "preprocessing": _canonical(preprocessing).decode(),
        "tokenizer": _canonical(tokenizer).decode(),
        "dtype": DTYPE,
    }
    return {"model": files.label, **parts, "sha256": hashlib.sha256(_canonical(parts)).hexdigest()}


def _canonical(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def _weights_digest(model: Any) -> str:
    """The sha256 of all tensors by name; the kind of file and the precision they were stored in make no difference."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        values = np.ascontiguousarray(tensor.detach().cpu().numpy())
        digest.update(f"{name} {values.dtype} {values.shape}\n".encode())
        digest.update(values.tobytes())
    return digest.hexdigest()
