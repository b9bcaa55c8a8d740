"""Layers whose weights are laid out once, as a processor's bfloat16 unit takes them.

torch lays a weight out anew with every batch; a batch of 16 images is too small to forget that over, and a larger one
has too much on its way for the caches. Products are the same to the bit. Attention is torch's own function for
queries, keys and values, which sums in float32, and patches are rows of a product: both differ from the layers that
they stand for by less than bfloat16 does.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn.functional import scaled_dot_product_attention

_OPERATIONS = torch.ops.mkldnn
_NOTHING_BEHIND: tuple[Any, ...] = ("none", [], "")
"""What the operation does with a product and its bias besides."""


def packs() -> bool:
    """Tell whether this processor has a unit for bfloat16, and this torch what lays weights out for it."""
    names = ("_is_mkldnn_bf16_supported", "_reorder_linear_weight", "_linear_pointwise")
    return all(hasattr(_OPERATIONS, name) for name in names) and bool(_OPERATIONS._is_mkldnn_bf16_supported())


def pack(model: nn.Module) -> None:
    """Put packed layers in place of a model's own, as far as it has ordinary ones.

    Args:
        model: In bfloat16, on a processor, no longer trained.
    """
    for parent in list(model.modules()):
        for name, layer in list(parent.named_children()):
            packed = _packed(layer)
            if packed is not None:
                setattr(parent, name, packed)


def _packed(layer: nn.Module) -> nn.Module | None:
    """Make the packed layer that does what a layer does; None for one of another kind."""
    if type(layer) is nn.Linear:
        return PackedLinear(layer.weight, layer.bias)
    if type(layer) is nn.MultiheadAttention and _is_ordinary(layer):
        return PackedAttention(layer)
    if type(layer) is nn.Conv2d and _cuts_patches(layer):
        return PackedPatches(layer)
    return None


def _is_ordinary(layer: nn.MultiheadAttention) -> bool:
    return (
        layer.batch_first
        and layer.in_proj_weight is not None
        and layer.in_proj_bias is not None
        and layer.bias_k is None
        and not layer.add_zero_attn
    )


def _cuts_patches(layer: nn.Conv2d) -> bool:
    """Tell whether a convolution looks at each pixel once."""
    return (
        layer.kernel_size == layer.stride
        and layer.padding == (0, 0)
        and layer.dilation == (1, 1)
        and layer.groups == 1
    )


class PackedLinear(nn.Module):
    """A linear layer."""

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor | None) -> None:
        """Take the `(out, in)` weight and `(out,)` bias of a layer."""
        super().__init__()
        # Models ask their layers for the type of weights.
        self.weight = nn.Parameter(weight.new_empty(0), requires_grad=False)
        self._laid_out = _OPERATIONS._reorder_linear_weight(weight.detach().contiguous())
        self._bias = None if bias is None else bias.detach().contiguous()

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """Multiply `(…, in)` to `(…, out)`."""
        found: torch.Tensor = _OPERATIONS._linear_pointwise(
            rows, self._laid_out, self._bias, *_NOTHING_BEHIND
        )
        return found


class PackedAttention(nn.Module):
    """Attention of some heads, called as torch's `MultiheadAttention` is."""

    def __init__(self, layer: nn.MultiheadAttention) -> None:
        super().__init__()
        self._heads = layer.num_heads
        halves = zip(layer.in_proj_weight.chunk(3), layer.in_proj_bias.chunk(3), strict=True)
        self.queries, self.keys, self.values = (PackedLinear(weight, bias) for weight, bias in halves)
        self.out = PackedLinear(layer.out_proj.weight, layer.out_proj.bias)

    def forward(
        self,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        need_weights: bool = False,
        attn_mask: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, None]:
        """Let `(n, queries, width)` attend to `(n, tokens, width)`; gives `(n, queries, width)`, and no weights."""
        queries, keys, values = (
            self._by_head(layer(rows))
            for layer, rows in ((self.queries, query), (self.keys, key), (self.values, value))
        )
        found = scaled_dot_product_attention(queries, keys, values, attn_mask=attn_mask)
        return self.out(found.transpose(1, 2).reshape(query.shape)), None

    def _by_head(self, rows: torch.Tensor) -> torch.Tensor:
        return rows.view(*rows.shape[:2], self._heads, -1).transpose(1, 2)


class PackedPatches(nn.Module):
    """A convolution whose patches touch and do not overlap."""

    def __init__(self, layer: nn.Conv2d) -> None:
        super().__init__()
        self._tall, self._wide = layer.kernel_size
        self.linear = PackedLinear(layer.weight.flatten(1), layer.bias)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Make `(n, out, tall, wide)` of images `(n, channels, …)`; what is left over at their edges is not seen."""
        tall, wide = images.shape[2] // self._tall, images.shape[3] // self._wide
        whole = images[:, :, : tall * self._tall, : wide * self._wide]
        cut = whole.reshape(*whole.shape[:2], tall, self._tall, wide, self._wide)
        patches = cut.permute(0, 2, 4, 1, 3, 5).flatten(3)
        found: torch.Tensor = self.linear(patches).permute(0, 3, 1, 2)
        return found
