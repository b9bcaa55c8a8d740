"""The encoder: any CLIP that open_clip's factory builds, from its own names or from local files.

Nothing is ever downloaded. This is the only file of the pipeline that imports torch to embed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from indexes.device.choice import resolve_device
from indexes.device.watchdog import watched
from pipeline.embedding.batch_room import is_memory, no_room
from pipeline.embedding.encoder_fingerprint import fingerprint_of
from pipeline.embedding.framing import Framing, framing_of
from pipeline.embedding.tokens import Tokenizer, tokenizer_of
from pipeline.embedding.weights import EncoderSpec, Precision, build, find

if TYPE_CHECKING:
    import torch
    from PIL import Image

__all__ = ["Encoder", "EncoderSpec", "load_encoder", "single_threaded"]


@dataclass(frozen=True, eq=False)
class Encoder:
    """An encoder of images and captions, and everything that its vectors depend on.

    Attributes:
        fingerprint: `model` (a name for people), `architecture_sha256`, `weights_sha256` (of the tensors as
            computed with, not of the file), `preprocessing`, `tokenizer`, `dtype`, `decoder` where it is not
            Pillow, and `sha256` over all but the model's name. Vectors may be compared when `sha256` agrees.
        width: Numbers in one vector.
        device: Where it computes: `cpu`, `cuda` or `cuda:<number>`.
        framing: How an image file becomes the pixels that it looks at.
    """

    fingerprint: dict[str, str]
    width: int
    device: str
    framing: Framing
    _model: Any
    _transform: Callable[[Image.Image], torch.Tensor]
    _tokenizer: Tokenizer
    _scale: tuple[torch.Tensor, torch.Tensor, torch.Tensor]
    _precision: Precision

    def cropped(self, pixels: int) -> Encoder:
        """Give the same encoder for images of which `pixels` are cut off on every side before all else."""
        return replace(self, framing=replace(self.framing, crop=pixels)) if pixels else self

    def prepare(self, image: Image.Image) -> NDArray[np.float32]:
        """Apply open_clip's own evaluation transform, the reference for `embed_pixels`; returns `(3, tall, wide)`."""
        pixels: NDArray[np.float32] = self._transform(image).numpy()
        return pixels

    def embed(self, prepared: NDArray[np.float32]) -> NDArray[np.float32]:
        """Embed prepared images.

        Args:
            prepared: `(n, 3, tall, wide)`.

        Returns:
            `(n, width)` float32, not normalised.

        Raises:
            OutOfDeviceMemory: If the batch does not fit the accelerator.
        """
        return self._through("image", prepared)

    def embed_pixels(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Embed images as `framing` gives them, with the very numbers that open_clip's transform would make of them.

        Args:
            pixels: `(n, tall, wide, 3)` uint8.

        Returns:
            `(n, width)` float32, not normalised.

        Raises:
            OutOfDeviceMemory: If the batch does not fit the accelerator.
        """
        return self._through("image", pixels)

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
        what = "images" if tower == "image" else "captions"
        try:
            with torch.inference_mode(), watched(self.device, f"embedding {len(rows)} {what}"):
                given = self._numbers(_moved(torch.from_numpy(rows), self.device))
                vectors: NDArray[np.float32] = encode(given).float().cpu().numpy()
        except RuntimeError as error:
            if not is_memory(error):
                raise
            torch.cuda.empty_cache()
            raise no_room(
                self.device, f"{what} of {self.fingerprint['model']}, {len(rows)} at a time"
            ) from error
        return vectors

    def _numbers(self, rows: torch.Tensor) -> torch.Tensor:
        """Bring rows into the model's own numbers; tokens stay, and pixels are scaled as open_clip's transform does."""
        import torch

        if rows.dtype == torch.int64:
            return rows
        if rows.dtype == torch.uint8:
            # Divided by a tensor: by a plain number, CUDA would multiply with the reciprocal, which rounds otherwise.
            most, mean, std = self._scale
            planes = rows.permute(0, 3, 1, 2).to(torch.float32, memory_format=torch.contiguous_format)
            rows = planes.div_(most).sub_(mean).div_(std)
        return rows.to(getattr(torch, self._precision))

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
        OutOfDeviceMemory: If the model does not fit it.
    """
    chosen = _device(device)
    files = find(spec)
    model, transform, preprocessing = build(files, spec.precision)
    tokenizer = tokenizer_of(files.architecture)
    fingerprint = fingerprint_of(files, spec, model, preprocessing, tokenizer.settings)
    return Encoder(
        fingerprint,
        int(files.architecture["embed_dim"]),
        chosen,
        framing_of(preprocessing, spec.decoder),
        _placed(model, chosen, spec.precision),
        transform,
        tokenizer,
        _scale(preprocessing, chosen),
        spec.precision,
    )


def _placed(model: Any, device: str, precision: Precision) -> Any:
    """Bring a model to its device; a processor's bfloat16 unit gets the model's layers as suits it."""
    try:
        placed = model.to(device).eval()
    except RuntimeError as error:
        if not is_memory(error):
            raise
        raise no_room(device, "the encoder") from error
    if device == "cpu" and precision == "bfloat16":
        from pipeline.embedding.layers.first_token import read_first_token
        from pipeline.embedding.layers.packed_layers import pack, packs

        if packs():
            pack(placed)
            read_first_token(placed)
    return placed


def _scale(preprocessing: dict[str, Any], device: str) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The transform's largest value, mean and standard deviation, by channel, on the device."""
    import torch

    def planes(values: Any) -> torch.Tensor:
        return torch.tensor(values, dtype=torch.float32, device=device).reshape(1, 3, 1, 1)

    return planes([255.0] * 3), planes(preprocessing["mean"]), planes(preprocessing["std"])


def _moved(rows: torch.Tensor, device: str) -> torch.Tensor:
    """Bring rows to the device, through memory that its own hardware reads."""
    return rows if device == "cpu" else rows.pin_memory().to(device, non_blocking=True)


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
