"""Decode images from strangers: few formats, sizes checked in the header before any pixel is decoded."""

from __future__ import annotations

import io
import logging
import struct
import zlib
from collections.abc import Container

import numpy as np
from PIL import (
    AvifImagePlugin,
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    ImageFile,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

MAX_BYTES = 64 << 20
MAX_PIXELS = 1 << 26
MAX_SCANS = 100
"""A JPEG may go over its pixels again and again, for some bytes each time; encoders make ten scans, or twenty."""
_SCAN, _PAIRS = 0xDAFF, 1 << 15
MAX_ASPECT = 200
"""A 1 x 60,000 image is small, but resizing its short side to 224 would take 3 billion pixels."""

# Its lines would say on a terminal that something is damaged, and not what; `ImageRejected` says it of the sample.
logging.getLogger("PIL").setLevel(logging.CRITICAL)

# What Pillow's parsers raise on damaged files.
_DAMAGE = (
    OSError, ValueError, SyntaxError, EOFError, IndexError, KeyError, TypeError, AttributeError, OverflowError,
    MemoryError, RuntimeError, UserWarning, struct.error, zlib.error,
    Image.DecompressionBombError, Image.DecompressionBombWarning,
)  # fmt: skip


class ImageRejected(Exception):  # noqa: N818 - it is an outcome that is counted, not a failure of the program
    """This file is no image that nearfar embeds; `reason` is the word that quarantine records."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def decode(content: bytes) -> Image.Image:
    """Decode the first frame of a JPEG, PNG, WebP, GIF, BMP, TIFF or AVIF file.

    EXIF is not read, so images stay as they are stored. Transparency is dropped and not blended, as
    open_clip's own transform does; 16-bit greys keep their upper eight bits.

    Args:
        content: The whole file.

    Returns:
        An RGB image.

    Raises:
        ImageRejected: If the file is empty, larger than `MAX_BYTES`, of another format, larger than
            `MAX_PIXELS` or longer than `MAX_ASPECT` to 1 by its header, or damaged.
    """
    return decoded(content)[1]


def decoded(
    content: bytes, pixels: int = MAX_PIXELS, formats: Container[str] | None = None
) -> tuple[str, Image.Image]:
    """Decode as `decode` does, and say which format the file has, as Pillow calls it (`JPEG`, `PNG`, ...).

    Args:
        content: The whole file.
        pixels: Pixels that an image may have, by its header; at most `MAX_PIXELS`.
        formats: Those that are wanted; of others no parser is let near the file. None means all.

    Raises:
        ImageRejected: As `decode`; or if the format is not wanted.
    """
    if not content:
        raise ImageRejected("empty file")
    if len(content) > MAX_BYTES:
        raise ImageRejected(f"file larger than {MAX_BYTES >> 20} MiB")
    parser = _parser(content)
    if formats is not None and parser.format not in formats:
        raise ImageRejected(f"{parser.format} is no format of pools")
    most = min(pixels, MAX_PIXELS)
    try:
        if parser is WebPImagePlugin.WebPImageFile:
            # Pillow's parser allocates the canvas when it opens the file.
            check_size(*_webp_size(content), most)
        with parser(io.BytesIO(content)) as image:
            check_size(*image.size, most)
            if parser is JpegImagePlugin.JpegImageFile:
                check_scans(content)
            return str(image.format), _rgb(image)
    except _DAMAGE as error:
        raise ImageRejected("damaged image") from error


def _parser(content: bytes) -> type[ImageFile.ImageFile]:
    """The parser for the file's magic bytes; Pillow's other formats are never tried."""
    if content.startswith(b"\xff\xd8\xff"):
        return JpegImagePlugin.JpegImageFile
    if content.startswith(b"\x89PNG\r\n\x1a\n"):
        return PngImagePlugin.PngImageFile
    if content.startswith(b"RIFF") and content[8:12] == b"WEBP":
        return WebPImagePlugin.WebPImageFile
    if content.startswith((b"GIF87a", b"GIF89a")):
        return GifImagePlugin.GifImageFile
    if content.startswith(b"BM"):
        return BmpImagePlugin.BmpImageFile
    if content.startswith((b"II*\0", b"MM\0*")):
        return TiffImagePlugin.TiffImageFile
    if content[4:8] == b"ftyp" and {b"avif", b"avis"} & _brands(content):
        return AvifImagePlugin.AvifImageFile
    raise ImageRejected("not a JPEG, PNG, WebP, GIF, BMP, TIFF or AVIF image")


def _brands(content: bytes) -> set[bytes]:
    """List the brands of an ISO media file (ISO/IEC 14496-12, section 4.3): HEIC and AVIF differ by them alone."""
    box = content[8 : min(int.from_bytes(content[:4], "big"), 256)]
    return {box[start : start + 4] for start in range(0, len(box), 4)}


def check_size(wide: int, tall: int, most: int) -> None:
    """Look at the sides that a header tells of; `most` is how many pixels there may be.

    Raises:
        ImageRejected: If there are more, or the one side is `MAX_ASPECT` times the other, or one is missing.
    """
    if min(wide, tall) < 1:
        raise ImageRejected("damaged image")
    if wide * tall > most:
        raise ImageRejected(f"more than {most} pixels")
    if max(wide, tall) > MAX_ASPECT * min(wide, tall):
        raise ImageRejected(f"sides differ more than {MAX_ASPECT} to 1")


def check_scans(content: bytes) -> None:
    """Count the scans of a JPEG: a marker, and a length whose first byte is 0 (ITU-T T.81, B.2.3); no pixels hold that.

    Raises:
        ImageRejected: If there are more than `MAX_SCANS`.
    """
    # Pairs of bytes, from each parity, and few at a time: that stays in the caches, and asks for no new memory.
    marked = 0
    for odd in (0, 1):
        pairs = np.frombuffer(content, "<u2", (len(content) - odd) // 2, odd)
        for first in range(0, len(pairs), _PAIRS):
            marked += int(np.count_nonzero(pairs[first : first + _PAIRS] == _SCAN))
    if marked > MAX_SCANS and content.count(b"\xff\xda\x00") > MAX_SCANS:
        raise ImageRejected(f"more than {MAX_SCANS} scans")


def _webp_size(content: bytes) -> tuple[int, int]:
    """Width and height in a WebP file's first chunk (RFC 9649, sections 2.5 to 2.7)."""
    kind, body = content[12:16], content[20:30]
    if len(body) < 10:
        raise ImageRejected("damaged image")
    if kind == b"VP8X":
        return 1 + int.from_bytes(body[4:7], "little"), 1 + int.from_bytes(body[7:10], "little")
    if kind == b"VP8L":
        bits = int.from_bytes(body[1:5], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if kind == b"VP8 ":
        wide, tall = struct.unpack("<HH", body[6:10])
        return wide & 0x3FFF, tall & 0x3FFF
    raise ImageRejected("damaged image")


def _rgb(image: ImageFile.ImageFile) -> Image.Image:
    if image.mode.startswith("I"):
        upper = np.asarray(image).astype(np.int64) >> 8
        return Image.fromarray(np.clip(upper, 0, 255).astype(np.uint8)).convert("RGB")
    if image.mode == "P" and "transparency" in image.info:
        return image.convert("RGBA").convert("RGB")  # straight to RGB gives the same pixels and a warning
    if isinstance(image, JpegImagePlugin.JpegImageFile) and image.mode == "RGB":
        image.load()
        return image  # to convert it would copy it
    return image.convert("RGB")
