"""JPEGs decoded by libjpeg-turbo at a fraction of their size, which its inverse cosine transform gives for less.

Which files are images, and why one is none, stays Pillow's word: what is unusual here is left to Pillow.
"""

from __future__ import annotations

import math
from importlib.util import find_spec
from typing import TYPE_CHECKING

from indexes.errors import DataError
from pipeline.embedding.framing import Framing

if TYPE_CHECKING:
    from PIL import Image

OVERSAMPLED = 2.0
"""Pixels that are decoded for each that is left after resizing, along each side: fewer blur what the filter sees."""
PACKAGE = "simplejpeg"
_PLAIN = ("YCbCr", "Gray", "RGB")


def check_installed() -> None:
    """Look whether the package is there.

    Raises:
        DataError: If not.
    """
    if find_spec(PACKAGE) is None:
        raise DataError(
            f"decoder: {PACKAGE} needs the package of that name: pip install '.[fast]' in nearfar's folder installs "
            "it, or take decoder out of the encoder, which is Pillow's then"
        )


def reduced(content: bytes, framing: Framing) -> tuple[Image.Image, tuple[int, int]] | None:
    """Decode a plain JPEG, at the least size that serves a framing; EXIF is not read.

    Args:
        content: The file.
        framing: What is made of it.

    Returns:
        The RGB image, maybe reduced, and its true width and height; None where Pillow is to decide.

    Raises:
        ImageRejected: If its header says that it is too large, or it has too many scans.
    """
    import simplejpeg
    from PIL import Image

    from pipeline.files.images import MAX_BYTES, MAX_PIXELS, check_scans, check_size

    if not content.startswith(b"\xff\xd8\xff") or len(content) > MAX_BYTES:
        return None
    try:
        tall, wide, colours, _ = simplejpeg.decode_jpeg_header(content)
    except ValueError:
        return None
    check_size(wide, tall, MAX_PIXELS)
    check_scans(content)
    if colours not in _PLAIN:
        return None
    across, down = (math.ceil(OVERSAMPLED * side) for side in framing.resized(wide, tall))
    try:
        pixels = simplejpeg.decode_jpeg(
            content, "RGB", min_height=min(down, tall), min_width=min(across, wide)
        )
    except ValueError:
        return None
    return Image.fromarray(pixels), (wide, tall)
