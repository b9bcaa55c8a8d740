"""Small pictures for the report: pixels only, encoded again, never the bytes of a pool."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass

from PIL import Image, ImageFile

from pipeline.files.images import ImageRejected, decode

# Enough for screens of high density, and for a look at it enlarged.
EDGE = 256
# The same for the small pictures of a row; above `SMALL`, since JPEG is smaller for photographs.
ROW_EDGE = 112
# Up to this size PNG is both smaller than JPEG and free of its ringing.
SMALL = 96
QUALITY = 82
NO_IMAGE = "no image"
# Pillow gives an optimised JPEG a byte for each pixel and no more room than this; noise takes more than that.
ImageFile.MAXBLOCK = max(ImageFile.MAXBLOCK, 4 * EDGE * EDGE)


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """A picture as a `data:` address, or the reason why there is none."""

    address: str = ""
    width: int = 0
    height: int = 0
    reason: str = ""


def thumbnail(content: bytes | None, edge: int = EDGE) -> Thumbnail:
    """Decode a file, shrink it to at most `edge` pixels and encode it as PNG or JPEG.

    Decoding drops all else that the file holds (EXIF, comments, profiles, appended archives).
    """
    if content is None:
        return Thumbnail(reason=NO_IMAGE)
    try:
        bare = _shrunk(content, edge)
    except ImageRejected as rejected:
        return Thumbnail(reason=str(rejected))
    kind, encoded = _encode(bare)
    address = f"data:image/{kind};base64,{base64.b64encode(encoded).decode('ascii')}"
    return Thumbnail(address, bare.width, bare.height)


def picture(content: bytes, edge: int) -> bytes | None:
    """Make the same as a file; None of what is no image."""
    try:
        return _encode(_shrunk(content, edge))[1]
    except ImageRejected:
        return None


def kind_of(made: bytes) -> str:
    """Say what `picture` made: `png` or `jpg`."""
    return "png" if made.startswith(b"\x89PNG") else "jpg"


def _shrunk(content: bytes, edge: int) -> Image.Image:
    image = decode(content)
    image.thumbnail((edge, edge), Image.Resampling.LANCZOS)
    # A copy of the pixels alone: Pillow writes a picture's comments and profiles back when it saves it.
    return Image.frombytes("RGB", image.size, image.convert("RGB").tobytes())


def _encode(image: Image.Image) -> tuple[str, bytes]:
    target = io.BytesIO()
    if max(image.size) <= SMALL:
        image.save(target, "PNG", optimize=True)
        return "png", target.getvalue()
    image.save(target, "JPEG", quality=QUALITY, subsampling=0, optimize=True)
    return "jpeg", target.getvalue()
