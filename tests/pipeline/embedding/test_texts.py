"""Captions through the text tower: open_clip's own numbers, one order, bits that depend on the caption alone."""

from __future__ import annotations

import json
import shutil
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from reader_sets import HOSTILE

from indexes.errors import BadInputError, DataError, ShapeError
from pipeline.embedding import tokens
from pipeline.embedding.batch_room import OutOfDeviceMemory
from pipeline.embedding.batches import Embedded
from pipeline.embedding.caption_batches import embed_texts
from pipeline.embedding.encoder import Encoder, EncoderSpec, load_encoder
from pipeline.embedding.tokens import tokenizer_of

TINY = Path(__file__).parents[3] / "data_manifests" / "encoders" / "tiny"
CONFIG = "open_clip_config.json"
CAPTIONS = [f"a {colour} {shape}" for colour in ("red", "blue", "green") for shape in ("cat", "car", "house")]
SPOKEN = [*CAPTIONS, "", "Ünïcödé 日本語 👩‍👩‍👧‍👦", "one\ntwo\tthree", "a word " * 400]


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return load_encoder(EncoderSpec(str(TINY)), "cpu")


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return Path(shutil.copytree(TINY, tmp_path / "copied"))


def bits(found: list[Embedded]) -> list[bytes | None]:
    return [None if one.vector is None else one.vector.tobytes() for one in found]


def test_tokens_and_vectors_are_those_of_open_clip_used_plainly(encoder: Encoder) -> None:
    import open_clip

    model = open_clip.create_model_and_transforms(f"local-dir:{TINY}")[0]
    expected = open_clip.get_tokenizer(f"local-dir:{TINY}")(SPOKEN)
    found = encoder.tokenize(SPOKEN)
    assert found.shape == (len(SPOKEN), 24)
    np.testing.assert_array_equal(found, expected.numpy())
    with torch.inference_mode():
        plain = model.eval().encode_text(expected).numpy()
    vectors = encoder.embed_tokens(found)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(vectors, plain, rtol=1e-4, atol=1e-5)


def test_order_type_and_norm(encoder: Encoder) -> None:
    import open_clip

    found = embed_texts(encoder, SPOKEN, 2, 4)
    assert [one.key for one in found] == [str(row) for row in range(len(SPOKEN))]
    assert all(one.reason is None for one in found)
    stacked = np.stack([one.vector for one in found if one.vector is not None])
    assert (stacked.dtype, stacked.shape) == (np.float16, (len(SPOKEN), encoder.width))
    model = open_clip.create_model_and_transforms(f"local-dir:{TINY}")[0].eval()
    with torch.inference_mode():
        tokenized = open_clip.get_tokenizer(f"local-dir:{TINY}")(SPOKEN)
        unit = model.encode_text(tokenized, normalize=True).double().numpy()
    np.testing.assert_allclose(stacked.astype(np.float64), unit, atol=3e-4)


def test_a_row_without_a_caption_has_no_vector_and_disturbs_nobody(encoder: Encoder) -> None:
    found = embed_texts(encoder, [None, CAPTIONS[0], None, "", CAPTIONS[1], None], 1, 2)
    assert [one.reason for one in found] == ["no caption", None, "no caption", None, None, "no caption"]
    assert [one.key for one in found] == ["0", "1", "2", "3", "4", "5"]
    spoken = [vector for vector in bits(found) if vector is not None]
    assert spoken == bits(embed_texts(encoder, [CAPTIONS[0], "", CAPTIONS[1]], 1, 2))


def test_nothing_in_nothing_out(encoder: Encoder) -> None:
    assert embed_texts(encoder, []) == []
    assert encoder.tokenize([]).shape == (0, 24)
    assert [one.reason for one in embed_texts(encoder, [None, None])] == ["no caption"] * 2


def test_bits_do_not_depend_on_threads_neighbours_or_ends(encoder: Encoder) -> None:
    captions = [f"{caption} number {number}" for number in range(5) for caption in CAPTIONS]
    before, whole = torch.get_num_threads(), bits(embed_texts(encoder, captions, 1, 8))
    for threads in (2, 5):
        torch.set_num_threads(threads)
        assert bits(embed_texts(encoder, captions, threads, 8)) == whole
        assert torch.get_num_threads() == threads
    torch.set_num_threads(before)
    in_parts = [one for cut in (captions[:3], captions[3:]) for one in embed_texts(encoder, cut, 2, 8)]
    assert bits(in_parts) == whole == bits(embed_texts(encoder, captions[::-1], 2, 8))[::-1]
    alone = [embed_texts(encoder, [caption], 1, 8)[0] for caption in captions[:9]]
    assert bits(alone) == whole[:9]


@pytest.mark.parametrize(("batch_size", "threads"), [(0, 1), (4, 0)])
def test_nonsense_sizes_are_refused(encoder: Encoder, batch_size: int, threads: int) -> None:
    with pytest.raises(BadInputError, match="must be at least 1"):
        embed_texts(encoder, ["a"], threads, batch_size)


def test_hostile_captions_are_embedded_quickly(encoder: Encoder) -> None:
    drawn = np.random.default_rng(0).integers(97, 123, 300_000)
    hostile = [*HOSTILE.values(), "".join(map(chr, drawn)), " " * 500_000 + "end", "\ud7ff\uffff\U0010ffff"]
    start = time.perf_counter()
    found = embed_texts(encoder, hostile, 1)
    assert [one.reason for one in found] == [None] * len(hostile)
    # Uncut, the word of 300,000 letters alone takes many minutes.
    assert time.perf_counter() - start < 20


def test_a_cut_caption_has_the_tokens_of_the_whole(encoder: Encoder) -> None:
    import open_clip

    words = " ".join(f"word{number} \n\n  of many" for number in range(3_000))
    expected = open_clip.get_tokenizer(f"local-dir:{TINY}")([words]).numpy()
    np.testing.assert_array_equal(encoder.tokenize([words]), expected)


def test_the_tokenizer_forgets_and_says_the_same(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer = tokenizer_of(json.loads((copy / CONFIG).read_text())["model_cfg"])
    first = tokenizer.tokenize(SPOKEN)
    cache = tokenizer._load().cache
    assert len(cache) > 10
    monkeypatch.setattr(tokens, "_WORDS_KEPT", 5)
    again = tokenizer.tokenize(SPOKEN)
    assert list(cache) == ["<start_of_text>", "<end_of_text>"]
    np.testing.assert_array_equal(first, again)
    np.testing.assert_array_equal(first, tokenizer.tokenize(SPOKEN))


def test_the_fingerprint_knows_the_tokenizer(copy: Path) -> None:
    config = json.loads((copy / CONFIG).read_text())
    first = load_encoder(EncoderSpec(str(TINY)), "cpu").fingerprint
    expected = {"tokenizer": "open_clip's own", "context_length": 24, "options": {}}
    assert json.loads(first["tokenizer"]) == expected
    config["model_cfg"]["text_cfg"]["tokenizer_kwargs"] = {"clean": "canonicalize"}
    (copy / CONFIG).write_text(json.dumps(config))
    other = load_encoder(EncoderSpec(str(copy)), "cpu")
    assert json.loads(other.fingerprint["tokenizer"])["options"] == {"clean": "canonicalize"}
    assert other.fingerprint["weights_sha256"] == first["weights_sha256"]
    assert other.fingerprint["sha256"] != first["sha256"]
    same, differing = other.tokenize(["a cat", "A, cat!"])
    np.testing.assert_array_equal(same, differing)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"hf_tokenizer_name": "someone/nothing"}, "tokenizer 'someone/nothing' cannot be loaded"),
        ({"tokenizer_kwargs": {"reduction_mask": "syntax"}}, "shortens captions by 'syntax'"),
        ({"tokenizer_kwargs": {"colour": "red"}}, "does not take the config's options"),
        ({"tokenizer_kwargs": {"clean": "thoroughly"}}, "does not take the config's options"),
    ],
)
def test_a_tokenizer_that_cannot_be_had_is_named_and_images_need_none(
    copy: Path, changed: dict[str, Any], words: str
) -> None:
    config = json.loads((copy / CONFIG).read_text())
    config["model_cfg"]["text_cfg"] |= changed
    (copy / CONFIG).write_text(json.dumps(config))
    encoder = load_encoder(EncoderSpec(str(copy)), "cpu")
    assert encoder.embed(np.zeros((1, 3, 64, 64), dtype=np.float32)).shape == (1, 128)
    with pytest.raises(DataError, match=words):
        embed_texts(encoder, ["a cat"], 1)


def test_tokens_of_another_shape_are_refused() -> None:
    odd = tokens.Tokenizer({"tokenizer": "odd"}, 7, lambda: lambda texts: torch.zeros(len(texts), 5))
    with pytest.raises(ShapeError, match=r"tokenizer odd gave \(2, 5\) tokens .* reads 7"):
        odd.tokenize(["a", "b"])


def test_cuda_memory_errors_reach_the_caller_as_such(
    encoder: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: torch.Tensor) -> torch.Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(encoder._model, "encode_text", full)
    with pytest.raises(
        OutOfDeviceMemory, match="the memory of cpu has no room for captions of tiny, 2 at a time"
    ):
        encoder.embed_tokens(np.zeros((2, 24), dtype=np.int64))


@dataclass
class Stub:
    """An encoder whose vector says how long a caption is, and whose memory holds `room` captions."""

    room: int
    device: str = "cuda"
    width: int = 2
    batches: list[int] = field(default_factory=list)

    def tokenize(self, captions: list[str]) -> NDArray[np.int64]:
        return np.array([[len(caption)] for caption in captions], dtype=np.int64)

    def embed_tokens(self, found: NDArray[np.int64]) -> NDArray[np.float32]:
        self.batches.append(len(found))
        if len(found) > self.room:
            raise OutOfDeviceMemory("full")
        return np.stack([found[:, 0] * 3, found[:, 0] * 4], axis=1).astype(np.float32)


def test_the_batch_is_halved_until_it_fits_and_padded_to_one_size() -> None:
    stub = Stub(room=2)
    found = embed_texts(cast(Encoder, stub), ["a", "bb", "ccc", "dddd", "eeeee"], 1, 4)
    assert stub.batches == [4, 2, 2, 2, 2]
    expected = np.array([0.6, 0.8], dtype=np.float16)
    assert all(one.vector is not None and np.array_equal(one.vector, expected) for one in found)


def test_captions_without_a_vector_are_named() -> None:
    found = embed_texts(cast(Encoder, Stub(room=1)), ["a", None, "", "b"], 1, 4)
    assert [one.reason for one in found] == [None, "no caption", "zero", None]
    assert [one.vector is None for one in found] == [False, True, True, False]


def test_where_not_even_one_caption_fits_the_unit_fails_and_none_is_lost() -> None:
    with pytest.raises(OutOfDeviceMemory):
        embed_texts(cast(Encoder, Stub(room=0)), ["a", "b"], 1, 4)
