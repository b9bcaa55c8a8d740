"""What is kept of an image that was fetched: its own bytes, or a smaller JPEG; runs in a process that may die of it."""

from __future__ import annotations

import io
from typing import Any

from PIL import Image

from pipeline.files.images import ImageRejected, decoded

# What a pool's tars hold; the first frame of a GIF becomes a PNG, which keeps every pixel.
_KEPT = {"JPEG": "jpg", "PNG": "png", "WEBP": "webp"}
_FETCHED = (*_KEPT, "GIF")
_QUALITY = 95

Json = dict[str, Any]


def prepared(request: Json, content: bytes) -> tuple[Json, bytes]:
    """Decode an image, and make of it what is kept.

    Args:
        request: `pixels`: the most that its header may say. `side`: None keeps the file as it came; else an image whose
            larger side is longer becomes a JPEG of that larger side, in its own shape (`keep_ratio_largest` with
            `only_if_bigger`, as DataComp was made).
        content: The file.

    Returns:
        Either `reason` why it is not kept, or `kind` (the suffix), `width`, `height`, `original_width` and
        `original_height` in pixels; and the bytes. EXIF is never read, and what is made here has neither that nor any
        other words of the file's.
    """
    try:
        form, image = decoded(content, int(request["pixels"]), _FETCHED)
    except ImageRejected as rejected:
        return {"reason": rejected.reason}, b""
    facts: Json = {"original_width": image.width, "original_height": image.height}
    side = request["side"]
    if side is not None and max(image.size) > int(side):
        image, content, kind = _smaller(image, int(side))
    elif form == "GIF":
        content, kind = _written(image, "PNG"), "png"
    else:
        kind = _KEPT[form]
    return facts | {"kind": kind, "width": image.width, "height": image.height}, content


def _smaller(image: Image.Image, side: int) -> tuple[Image.Image, bytes, str]:
    share = side / max(image.size)
    wide, tall = (max(1, round(length * share)) for length in image.size)
    made = image.resize((wide, tall), Image.Resampling.BICUBIC, reducing_gap=3.0)
    return made, _written(made, "JPEG"), "jpg"


def _written(image: Image.Image, form: str) -> bytes:
    stream = io.BytesIO()
    image.info.clear()  # Pillow would write a comment of the file's again
    image.save(stream, form, **({"quality": _QUALITY} if form == "JPEG" else {}))
    return stream.getvalue()
