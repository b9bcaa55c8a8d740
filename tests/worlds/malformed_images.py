"""Images that people's files hold, sound and malformed, by seed."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable

import numpy as np
from PIL import Image

Rng = np.random.Generator
KINDS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")


def pixels(rng: Rng) -> Image.Image:
    """A small picture."""
    sides = (int(rng.integers(1, 40)), int(rng.integers(1, 40)), 3)
    return Image.fromarray(rng.integers(0, 256, sides, dtype=np.uint8))


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def plain(rng: Rng) -> bytes:
    return saved(pixels(rng), KINDS[int(rng.integers(len(KINDS)))])


def _cut(rng: Rng) -> bytes:
    whole = plain(rng)
    return whole[: int(rng.integers(len(whole)))]


def _flipped(rng: Rng) -> bytes:
    whole = bytearray(plain(rng))
    for place in rng.integers(len(whole), size=int(rng.integers(1, 12))):
        whole[int(place)] ^= 1 << int(rng.integers(8))
    return bytes(whole)


def _other_mode(rng: Rng) -> bytes:
    modes = {"CMYK": ("JPEG", "TIFF"), "YCbCr": ("JPEG", "TIFF"), "LAB": ("TIFF",), "L": ("JPEG", "BMP")}
    mode = ("L", "LA", "RGBA", "P", "1", "CMYK", "YCbCr", "LAB")[int(rng.integers(8))]
    kinds = modes.get(mode, ("PNG", "TIFF"))
    image = pixels(rng) if mode != "LAB" else pixels(rng).convert("YCbCr")
    image = Image.frombytes("LAB", image.size, image.tobytes()) if mode == "LAB" else image.convert(mode)
    return saved(image, kinds[int(rng.integers(len(kinds)))])


def _deep(rng: Rng) -> bytes:
    """Sixteen and thirty-two bits a pixel, and floating point."""
    kind = (np.uint16, np.int32, np.float32)[int(rng.integers(3))]
    values = (rng.random((9, 7)) * 70_000 - 2_000).astype(kind)
    if kind is np.float32 and rng.integers(2):
        values[0, :] = (np.nan, np.inf, -np.inf, 1e30, -1, 0, 255)
    return saved(Image.fromarray(values), "TIFF")


def _palette(rng: Rng) -> bytes:
    """A palette with one transparent entry, or several."""
    image = pixels(rng).convert("P")
    return saved(
        image, "PNG", transparency=(0, bytes(rng.integers(0, 256, 16).tolist()))[int(rng.integers(2))]
    )


def _animated(rng: Rng) -> bytes:
    size = (int(rng.integers(1, 20)), 9)
    frames = [Image.new("RGB", size, tuple(rng.integers(0, 256, 3).tolist())) for _ in range(3)]
    kind = ("GIF", "WEBP", "PNG", "TIFF")[int(rng.integers(4))]
    return saved(frames[0], kind, save_all=True, append_images=frames[1:])


def _turned(rng: Rng) -> bytes:
    """An EXIF orientation, of the eight and beyond, and a block of EXIF that is none."""
    exif = Image.Exif()
    exif[0x0112] = int(rng.integers(0, 12))
    raw = exif.tobytes() if rng.integers(2) else b"Exif\0\0" + rng.bytes(60)
    return saved(pixels(rng), "JPEG", exif=raw)


def _header(rng: Rng) -> bytes:
    """A header that asks for far more than there is, or for nothing."""
    sides = [(20_000, 20_000), (2**31 - 1, 2**31 - 1), (0, 9), (1, 60_000), (65_000, 2)]
    wide, tall = sides[int(rng.integers(len(sides)))]
    if rng.integers(2):
        image = bytearray(saved(pixels(rng), "BMP"))
        image[18:26] = struct.pack("<ii", wide, (-tall, tall)[int(rng.integers(2))])
        return bytes(image)
    chunks = (
        (b"IHDR", struct.pack(">IIBBBBB", wide, tall, 8, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(bytes(9))),
    )
    body = [struct.pack(">I", len(c)) + n + c + struct.pack(">I", zlib.crc32(n + c)) for n, c in chunks]
    return b"\x89PNG\r\n\x1a\n" + b"".join(body)


def _text_chunk(rng: Rng) -> bytes:
    """A PNG whose text chunk unpacks to megabytes."""
    whole = saved(pixels(rng), "PNG")
    body = b"zTXt" + b"k\0\0" + zlib.compress(bytes(8 << 20))
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    return whole[:33] + chunk + whole[33:]


def _none(rng: Rng) -> bytes:
    """What is no image at all: nothing, text, markup, another kind, a page of an error."""
    found = (
        b"", b"\0", b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"<!DOCTYPE html><title>404</title>", rng.bytes(400),
        b"\xff\xd8\xff", b"RIFF\0\0\0\0WEBP", b"GIF89a", b"BM", b"II*\0", b"\0\0\0\x1cftypavif", b"\x89PNG\r\n\x1a\n",
    )  # fmt: skip
    return found[int(rng.integers(len(found)))]


MAKERS: tuple[Callable[[Rng], bytes], ...] = (
    plain, _cut, _flipped, _flipped, _other_mode, _deep, _palette, _animated, _turned, _header, _text_chunk, _none,
)  # fmt: skip


def odd_image(rng: Rng) -> bytes:
    """One of them, by chance."""
    return MAKERS[int(rng.integers(len(MAKERS)))](rng)
