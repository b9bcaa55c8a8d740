"""Layers in place of a model's own: the same products, the same vectors to within bfloat16, no other model changed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from open_clip.transformer import ResidualAttentionBlock, VisionTransformer
from torch import nn

from pipeline.embedding import encoder as encoders
from pipeline.embedding.encoder import EncoderSpec, load_encoder
from pipeline.embedding.layers.first_token import FirstTokenBlock, read_first_token
from pipeline.embedding.layers.packed_layers import PackedAttention, PackedLinear, PackedPatches, pack, packs

TINY = Path(__file__).parents[4] / "data_manifests" / "encoders" / "tiny"
PACKED = pytest.mark.skipif(not packs(), reason="this processor has no unit for bfloat16")


@pytest.fixture(autouse=True)
def inference() -> object:
    torch.manual_seed(0)
    with torch.inference_mode():
        yield


def tower(**more: object) -> nn.Module:
    """A small model whose image tower is open_clip's."""
    model = nn.Module()
    model.visual = VisionTransformer(32, 8, 64, 3, 4, 2.0, output_dim=16, **more).eval()  # type: ignore[arg-type]
    return model


def near(found: torch.Tensor, expected: torch.Tensor) -> bool:
    """Whether two results differ by no more than bfloat16 rounds."""
    return bool((found.float() - expected.float()).abs().max() <= 0.02 * expected.float().abs().max())


@PACKED
@pytest.mark.parametrize("bias", [True, False])
def test_products_are_the_same_to_the_bit(bias: bool) -> None:
    layer = nn.Linear(96, 200, bias).bfloat16()
    packed = PackedLinear(layer.weight, layer.bias)
    for rows in (torch.randn(1, 96).bfloat16(), torch.randn(3, 50, 96).bfloat16()):
        assert torch.equal(packed(rows), layer(rows))
    turned = rows.transpose(0, 1)  # torch's own adds the bias of such rows by itself, and rounds twice
    assert torch.equal(packed(turned), layer(turned.contiguous()))
    assert packed.weight.dtype == torch.bfloat16


@PACKED
def test_attention_is_torchs_with_a_mask_and_for_other_queries_too() -> None:
    layer = nn.MultiheadAttention(64, 4, batch_first=True).bfloat16().eval()
    packed = PackedAttention(layer)
    tokens, others = torch.randn(3, 10, 64).bfloat16(), torch.randn(3, 2, 64).bfloat16()
    mask = torch.full((10, 10), -torch.inf, dtype=torch.bfloat16).triu(1)
    for query, masked in ((tokens, mask), (tokens, None), (others, None)):
        expected = layer(query, tokens, tokens, need_weights=False, attn_mask=masked)[0]
        assert near(packed(query, tokens, tokens, attn_mask=masked)[0], expected)
    first = packed(tokens, tokens, tokens, attn_mask=mask)[0][:, 0]
    tokens[:, 1:] = 0
    assert torch.equal(packed(tokens, tokens, tokens, attn_mask=mask)[0][:, 0], first)


@PACKED
def test_patches_are_those_of_the_convolution_and_edges_are_left_out() -> None:
    layer = nn.Conv2d(3, 40, (8, 4), (8, 4)).bfloat16()
    images = torch.randn(2, 3, 27, 18).bfloat16()
    found, expected = PackedPatches(layer)(images), layer(images)
    assert found.shape == expected.shape == (2, 40, 3, 4)
    assert near(found, expected)


@PACKED
def test_only_ordinary_layers_are_packed() -> None:
    model = nn.Sequential(
        nn.Conv2d(3, 3, 3, 3),
        nn.Conv2d(3, 3, 3, 1),
        nn.Conv2d(3, 3, 3, 3, padding=1),
        nn.MultiheadAttention(8, 2, batch_first=True),
        nn.MultiheadAttention(8, 2),
        nn.MultiheadAttention(8, 2, kdim=4, batch_first=True),
        nn.Sequential(nn.Linear(8, 8)),
        nn.LayerNorm(8),
    ).bfloat16()
    pack(model)
    kinds = [type(layer) for layer in model]
    assert kinds[:1] + kinds[3:4] == [PackedPatches, PackedAttention]
    assert kinds[1:3] + kinds[4:6] == [nn.Conv2d] * 2 + [nn.MultiheadAttention] * 2
    assert isinstance(model[6][0], PackedLinear)  # type: ignore[index]
    assert type(model[4].out_proj).__name__ == "NonDynamicallyQuantizableLinear"


def test_the_last_block_for_one_token_gives_the_towers_own_vector() -> None:
    model, images = tower(ls_init_value=0.5), torch.randn(2, 3, 32, 32)
    expected = model.visual(images)
    read_first_token(model)
    assert isinstance(model.visual.transformer.resblocks[-1], FirstTokenBlock)
    assert model.visual.transformer(torch.randn(2, 17, 64)).shape == (2, 1, 64)
    torch.testing.assert_close(model.visual(images), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "more",
    [{"pool_type": "avg"}, {"pool_type": "none"}, {"attentional_pool": True}, {"output_tokens": True}],
    ids=["mean", "all", "attention", "tokens"],
)
def test_a_tower_of_which_more_is_read_stays_as_it_is(more: dict[str, object]) -> None:
    model = tower(attn_pooler_heads=2, **more)
    read_first_token(model)
    assert type(model.visual.transformer.resblocks[-1]) is ResidualAttentionBlock


@PACKED
def test_an_encoder_in_bfloat16_has_the_models_vectors_for_any_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = EncoderSpec(str(TINY), precision="bfloat16")
    packed = load_encoder(spec, "cpu")
    monkeypatch.setattr(encoders, "_placed", lambda model, device, _: model.to(device).eval())
    plain, exact = load_encoder(spec, "cpu"), load_encoder(EncoderSpec(str(TINY)), "cpu")
    assert packed.fingerprint == plain.fingerprint
    pixels = np.random.default_rng(0).integers(0, 256, (16, 64, 64, 3), dtype=np.uint8)
    found = packed.embed_pixels(pixels)
    assert np.array_equal(found, np.concatenate([packed.embed_pixels(few) for few in np.split(pixels, 4)]))
    tokens = exact.tokenize(["a red circle", "", "two squares on a blue ground"])
    for vectors, expected in (
        (found, exact.embed_pixels(pixels)),
        (packed.embed_tokens(tokens), exact.embed_tokens(tokens)),
    ):
        cosines = (
            (vectors * expected).sum(1) / np.linalg.norm(vectors, axis=1) / np.linalg.norm(expected, axis=1)
        )
        assert cosines.min() >= 0.999
