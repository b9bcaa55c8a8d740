"""The faster decoder: the same images, the same reasons, and refused where it would change a similarity."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import malformed_images
import numpy as np
import pytest
import yaml
from hostile_server import many_scans
from PIL import Image
from whole_runs import Run

from indexes.errors import DataError
from pipeline.embedding import image_batches
from pipeline.embedding.decoder_parity import largest_change
from pipeline.embedding.encoder import Encoder, EncoderSpec, load_encoder
from pipeline.embedding.fast_jpeg import reduced
from pipeline.embedding.framing import Framing
from pipeline.embedding.image_batches import embed_by_several, embed_stream
from pipeline.files.images import ImageRejected, decode

pytest.importorskip("simplejpeg", reason="the extra 'fast' is not installed")
TINY = Path(__file__).parents[3] / "data_manifests" / "encoders" / "tiny"
FRAMING = Framing(64, 64, decoder="simplejpeg")


@pytest.fixture(scope="module")
def quick() -> Encoder:
    return load_encoder(EncoderSpec(str(TINY), decoder="simplejpeg"), "cpu")


def jpeg(image: Image.Image, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=90, **options)
    return buffer.getvalue()


def smooth(wide: int, tall: int, seed: int = 0) -> Image.Image:
    coarse = np.random.default_rng(seed).integers(0, 256, (4, 5, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((wide, tall), Image.Resampling.BICUBIC)


def gratings(seed: int) -> Image.Image:
    """Fine stripes, in another direction for each colour: what a filter makes of them hangs on where it begins."""
    rng = np.random.default_rng(seed)
    down, across = np.mgrid[:321, :321]
    angles, periods = rng.uniform(0, np.pi, 3), rng.uniform(6, 14, 3)
    phases = [across * np.cos(angle) + down * np.sin(angle) for angle in angles]
    waves = [np.sign(np.sin(2 * np.pi * phase / p)) for phase, p in zip(phases, periods, strict=True)]
    return Image.fromarray((127 + 127 * np.stack(waves, -1)).astype(np.uint8))


@pytest.mark.parametrize("turned", [1, 3, 6, 8])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_at_full_size_pixels_are_pillows_whatever_exif_says(turned: int, mode: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = turned
    content = jpeg(smooth(100, 70).convert(mode), exif=exif)
    found = reduced(content, FRAMING)
    assert found is not None
    assert found[1] == (100, 70)
    assert np.array_equal(np.asarray(found[0]), np.asarray(decode(content)))


def test_a_large_one_is_decoded_at_a_fraction_and_framed_as_if_whole() -> None:
    content = jpeg(smooth(900, 701))
    found = reduced(content, FRAMING)
    assert found is not None
    image, size = found
    assert size == (900, 701)
    assert 128 <= image.height < 250
    wanted = FRAMING.frame(decode(content)).astype(int)
    assert np.abs(FRAMING.frame(image, size).astype(int) - wanted).mean() < 1.5


def test_what_is_unusual_is_pillows(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = jpeg(smooth(300, 300))
    png = io.BytesIO()
    smooth(30, 30).save(png, "PNG")
    cmyk = jpeg(smooth(30, 30).convert("CMYK"))
    for content in (cmyk, whole[: len(whole) // 2], whole[:30], png.getvalue()):
        assert reduced(content, FRAMING) is None
    with pytest.raises(ImageRejected, match="sides differ more"):
        reduced(jpeg(Image.new("RGB", (2010, 10))), FRAMING)
    with pytest.raises(ImageRejected, match="more than 100 scans"):
        reduced(many_scans(101), FRAMING)
    assert reduced(whole, FRAMING) is not None
    monkeypatch.setattr("pipeline.files.images.MAX_BYTES", len(whole) - 1)
    assert reduced(whole, FRAMING) is None


def test_reasons_are_those_of_pillow(quick: Encoder) -> None:
    rng = np.random.default_rng(5)
    broken = [(f"{n}", malformed_images._cut(rng)) for n in range(30)]
    broken += [(f"f{n}", malformed_images._flipped(rng)) for n in range(30)]
    exact = replace(quick, framing=replace(quick.framing, decoder="pillow"))
    # Whether the decoder is allowed here is another question.
    found = list(image_batches._stream([quick, exact], broken, 8, 2, True))
    assert [one.reason for one, _ in found] == [other.reason for _, other in found]
    assert any(one.reason for one, _ in found)


def test_smooth_images_pass_and_fine_stripes_are_refused(quick: Encoder) -> None:
    small = [(f"{n}", jpeg(smooth(120, 90, n))) for n in range(6)]
    exact = load_encoder(EncoderSpec(str(TINY)), "cpu")
    for ours, theirs in embed_by_several([quick, exact], small):
        assert ours.vector is not None
        assert theirs.vector is not None
        assert np.array_equal(ours.vector, theirs.vector)
    said = r"changes similarities of the encoder tiny by up to [0-9.]+ on the 3 JPEGs"
    with pytest.raises(DataError, match=said):
        next(embed_stream(quick, [(f"{n}", jpeg(gratings(n))) for n in range(3)]))


def test_the_largest_change_is_over_all_pairs() -> None:
    expected = np.eye(3)
    found = np.eye(3)
    found[0, 2] = 0.25
    assert largest_change(found, expected) == 0.25
    assert np.isnan(largest_change(np.full((3, 3), np.nan), expected))


def test_a_decoder_that_changes_similarities_is_taken_out_as_the_message_says(
    tmp_path: Path, cli: Run
) -> None:
    for name in ("pool", "one"):
        (tmp_path / name).mkdir()
        for number in range(3):
            (tmp_path / name / f"{number}.jpg").write_bytes(jpeg(gratings(number)))
    plan = {
        "name": "fast",
        "pool": {"path": str(tmp_path / "pool"), "format": "image-folder"},
        "encoder": {"model": str(TINY), "decoder": "simplejpeg"},
        "benchmarks": {"one": {"path": str(tmp_path / "one"), "format": "image-folder"}},
        "splits": {"whole": []},
        "output": str(tmp_path / "out"),
    }
    (tmp_path / "plan.yaml").write_text(yaml.safe_dump(plan))
    code, _, errors = cli("run", str(tmp_path / "plan.yaml"))
    assert code == 2
    assert "take decoder out of the encoder" in " ".join(errors.split())
    code, _, errors = cli("run", str(tmp_path / "plan.yaml"), "--set", "encoder.decoder=pillow")
    assert code == 0, errors
