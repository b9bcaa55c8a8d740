"""Decoding images from strangers: what is accepted, and how each bad file is named."""

from __future__ import annotations

import contextlib
import io
import struct
import tracemalloc
import zlib

import numpy as np
import pytest
from hostile_server import many_scans
from PIL import Image

from pipeline.files import images
from pipeline.files.images import MAX_BYTES, MAX_SCANS, ImageRejected, check_size, decode, decoded

RAMP = np.arange(40 * 30 * 3, dtype=np.uint32).reshape(30, 40, 3).astype(np.uint8)


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def png_header(wide: int, tall: int) -> bytes:
    """A valid PNG of one short chunk of data that says it is `wide` x `tall`."""
    chunks = (
        (b"IHDR", struct.pack(">IIBBBBB", wide, tall, 8, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(bytes(100))),
    )
    body = b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + body


def webp(kind: bytes, body: bytes) -> bytes:
    chunk = kind + struct.pack("<I", len(body)) + body
    return b"RIFF" + struct.pack("<I", 4 + len(chunk)) + b"WEBP" + chunk


def reason(content: bytes) -> str:
    with pytest.raises(ImageRejected) as caught:
        decode(content)
    return caught.value.reason


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "BMP", "TIFF"])
def test_lossless_formats_give_back_their_pixels(kind: str) -> None:
    content = encoded(Image.fromarray(RAMP), kind, lossless=True)
    assert np.array_equal(np.asarray(decode(content)), RAMP)


def test_no_parser_sees_a_format_that_is_not_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    content = encoded(Image.fromarray(RAMP), "TIFF")
    monkeypatch.setattr(
        images.TiffImagePlugin.TiffImageFile, "_open", lambda self: pytest.fail("the file was parsed")
    )
    with pytest.raises(ImageRejected, match="TIFF is no format of pools"):
        decoded(content, formats=("JPEG", "PNG"))


def test_a_jpeg_has_so_many_scans_and_may_have_anything_behind_it() -> None:
    """A camera's film stands behind some photographs, and holds such bytes by chance."""
    photograph = encoded(Image.fromarray(RAMP), "JPEG", progressive=True)
    assert np.array_equal(
        np.asarray(decode(photograph + b"\xff\xda\x01" * 200)), np.asarray(decode(photograph))
    )
    scans = many_scans(MAX_SCANS).count(b"\xff\xda\x00")
    assert decode(many_scans(MAX_SCANS - (scans - MAX_SCANS))).size == (64, 48)
    assert reason(many_scans(MAX_SCANS + 1 - (scans - MAX_SCANS))) == "more than 100 scans"


def test_a_jpeg_decodes_as_pillow_decodes_it() -> None:
    content = encoded(Image.fromarray(RAMP), "JPEG", quality=90)
    assert np.array_equal(np.asarray(decode(content)), np.asarray(Image.open(io.BytesIO(content))))


def test_an_avif_decodes_as_pillow_decodes_it_and_heic_is_none() -> None:
    content = encoded(Image.fromarray(RAMP), "AVIF")
    assert np.array_equal(
        np.asarray(decode(content)), np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))
    )
    assert reason(content.replace(b"avif", b"heic")) == "not a JPEG, PNG, WebP, GIF, BMP, TIFF or AVIF image"
    assert reason(content[:200]) == "damaged image"


@pytest.mark.parametrize("compression", ["raw", "tiff_lzw", "tiff_adobe_deflate", "packbits"])
def test_compressed_tiffs_give_back_their_pixels_and_torn_ones_are_damaged(compression: str) -> None:
    content = encoded(Image.fromarray(RAMP), "TIFF", compression=compression)
    assert np.array_equal(np.asarray(decode(content)), RAMP)
    assert reason(content[: len(content) // 2]) == "damaged image"


def test_of_an_animation_the_first_frame_is_taken() -> None:
    frames = [Image.new("RGB", (20, 20), colour) for colour in ("red", "blue")]
    content = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert decode(content).getpixel((5, 5)) == (255, 0, 0)


def test_exif_orientation_is_not_applied() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    content = encoded(Image.fromarray(RAMP), "JPEG", exif=exif)
    assert decode(content).size == (40, 30)


@pytest.mark.parametrize("mode", ["L", "LA", "RGBA", "P", "1", "CMYK"])
def test_every_mode_becomes_rgb(mode: str) -> None:
    content = encoded(Image.fromarray(RAMP).convert(mode), "JPEG" if mode == "CMYK" else "PNG")
    assert decode(content).mode == "RGB"


def test_a_palette_with_transparency_keeps_its_colours() -> None:
    image = Image.new("P", (16, 16), 1)
    image.putpalette([0, 0, 0, 10, 200, 30])
    content = encoded(image, "PNG", transparency=b"\xff\x10")
    assert decode(content).getpixel((0, 0)) == (10, 200, 30)


def test_sixteen_bit_grey_keeps_its_upper_byte() -> None:
    content = encoded(Image.fromarray(np.full((16, 16), 0x8040, dtype=np.uint16)), "PNG")
    assert decode(content).getpixel((3, 3)) == (0x80, 0x80, 0x80)


@pytest.mark.parametrize("kind", ["PPM", "ICO", "TGA", "JPEG2000"])
def test_other_formats_are_refused_whatever_pillow_could_do(kind: str) -> None:
    assert (
        reason(encoded(Image.fromarray(RAMP), kind)) == "not a JPEG, PNG, WebP, GIF, BMP, TIFF or AVIF image"
    )


@pytest.mark.parametrize(
    "content", [b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"%!PS-Adobe", b"hello", b"\xff"]
)
def test_text_is_refused(content: bytes) -> None:
    assert reason(content) == "not a JPEG, PNG, WebP, GIF, BMP, TIFF or AVIF image"


@pytest.mark.parametrize(
    "content",
    [
        png_header(20_000, 20_000),
        webp(b"VP8X", bytes(4) + (16_000).to_bytes(3, "little") * 2),
        webp(b"VP8L", b"\x2f" + (16_000 | 16_000 << 14).to_bytes(4, "little") + bytes(9)),
        webp(b"VP8 ", b"\x00\x00\x00\x9d\x01\x2a" + struct.pack("<HH", 16_000, 16_000)),
    ],
    ids=["png", "webp-extended", "webp-lossless", "webp-lossy"],
)
def test_a_bomb_is_refused_by_its_header(content: bytes) -> None:
    assert reason(content) == "more than 67108864 pixels"


@pytest.mark.parametrize(
    ("chunk", "head", "count"),
    [
        (b"zTXt", b"Comment\0\0", 1),
        (b"iTXt", b"Comment\0\1\0\0\0", 1),
        (b"iCCP", b"profile\0\0", 1),
        (b"zTXt", b"Comment\0\0", 100),
    ],
)
def test_texts_of_a_png_are_bounded_before_they_are_unpacked(chunk: bytes, head: bytes, count: int) -> None:
    """One that would become 32 MB, and a hundred that would become 100 MB together."""
    whole = encoded(Image.fromarray(RAMP), "PNG")
    body = head + zlib.compress(bytes((32 << 20) if count == 1 else (1 << 20) - 100), 9)
    text = struct.pack(">I", len(body)) + chunk + body + struct.pack(">I", zlib.crc32(chunk + body))
    content = whole[:33] + text * count + whole[33:]
    tracemalloc.start()
    assert reason(content) == "damaged image"
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < ((4 << 20) if count == 1 else (80 << 20))


def test_who_asks_for_fewer_pixels_is_given_no_more_and_nobody_more_than_the_most() -> None:
    content = encoded(Image.fromarray(RAMP), "PNG")
    assert decoded(content, 1200)[1].size == (40, 30)
    for bytes_of_it, pixels, said in (
        (content, 1199, "more than 1199 pixels"),
        (png_header(20_000, 20_000), 1 << 40, "more than 67108864 pixels"),
    ):
        with pytest.raises(ImageRejected, match=said):
            decoded(bytes_of_it, pixels)


@pytest.mark.parametrize(("wide", "tall"), [(0, 5), (5, 0), (-5, -5)])
def test_a_side_that_is_missing_is_damage(wide: int, tall: int) -> None:
    with pytest.raises(ImageRejected, match="damaged image"):
        check_size(wide, tall, 1 << 20)


def test_a_sliver_is_refused_because_resizing_it_would_explode() -> None:
    assert reason(png_header(1, 60_000)) == "sides differ more than 200 to 1"


def test_a_huge_file_is_refused_unread() -> None:
    assert reason(b"\xff\xd8\xff" + bytes(MAX_BYTES)) == "file larger than 64 MiB"


def test_an_empty_file_is_named() -> None:
    assert reason(b"") == "empty file"


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF"])
@pytest.mark.parametrize("share", [0.02, 0.3, 0.9])
def test_a_cut_file_is_damaged_or_a_whole_image_but_never_an_error(kind: str, share: float) -> None:
    noise = np.random.default_rng(0).integers(0, 256, size=(64, 64, 3), dtype=np.uint8)
    content = encoded(Image.fromarray(noise), kind)
    assert reason(content[: max(13, int(len(content) * share))]) == "damaged image"


@pytest.mark.parametrize(
    "raised",
    [
        *(OSError, ValueError, SyntaxError, EOFError, IndexError, KeyError, TypeError, AttributeError),
        *(OverflowError, MemoryError, RuntimeError, UserWarning, struct.error, zlib.error),
        *(Image.DecompressionBombError, Image.DecompressionBombWarning),
    ],
    ids=lambda kind: kind.__name__,
)
def test_whatever_a_parser_raises_is_damage(raised: type[Exception], monkeypatch: pytest.MonkeyPatch) -> None:
    def parser(stream: io.BytesIO) -> None:
        raise raised("as some version of Pillow does")

    monkeypatch.setattr(images, "_parser", lambda content: parser)
    assert reason(b"an image") == "damaged image"


@pytest.mark.parametrize("kind", [b"VP8X", b"VP8L", b"VP8 "])
def test_a_webp_that_ends_in_its_header_is_damaged(kind: bytes) -> None:
    with pytest.raises(ImageRejected, match="damaged image"):
        images._webp_size(webp(kind, bytes(9)))


def test_flipped_bytes_never_raise_anything_else() -> None:
    rng = np.random.default_rng(1)
    for kind in ("JPEG", "PNG", "WEBP", "GIF"):
        whole = np.frombuffer(encoded(Image.fromarray(RAMP), kind), dtype=np.uint8)
        for _ in range(60):
            broken = whole.copy()
            broken[rng.integers(12, len(whole), size=3)] = rng.integers(0, 256, size=3)
            with contextlib.suppress(ImageRejected):
                assert decode(broken.tobytes()).mode == "RGB"


@pytest.mark.parametrize("content", [webp(b"JUNK", bytes(20)), webp(b"VP8 ", b""), png_header(0, 5)])
def test_nonsense_headers_are_damage(content: bytes) -> None:
    assert reason(content) == "damaged image"
