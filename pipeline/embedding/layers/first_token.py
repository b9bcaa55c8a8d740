"""The last block of a vision transformer, for the one token that is read of it.

Of the other tokens only keys and values count there: five sixths of the block's products are made for nothing.
"""

from __future__ import annotations

from typing import Any

import torch
from open_clip.transformer import ResidualAttentionBlock, VisionTransformer
from torch import nn


def read_first_token(model: nn.Module) -> None:
    """Let the last block of a model's image tower make its first token alone, if no other one is read.

    Args:
        model: A model of open_clip's, no longer trained.
    """
    tower: Any = getattr(model, "visual", None)
    if type(tower) is not VisionTransformer or tower.attn_pool is not None or tower.output_tokens:
        return
    blocks = tower.transformer.resblocks
    if tower.pool_type == "tok" and len(blocks) and type(blocks[-1]) is ResidualAttentionBlock:
        blocks[-1] = FirstTokenBlock(blocks[-1])


class FirstTokenBlock(nn.Module):
    """A block that gives the first token alone."""

    def __init__(self, block: Any) -> None:
        """Take the parts of a block of open_clip's."""
        super().__init__()
        self.block = block

    def forward(self, tokens: torch.Tensor, attn_mask: torch.Tensor | None = None) -> torch.Tensor:
        """Make `(n, 1, width)` of `(n, tokens, width)`."""
        block: Any = self.block
        seen = block.ln_1(tokens)
        first = tokens[:, :1] + block.ls_1(block.attention(seen[:, :1], seen, seen, attn_mask))
        found: torch.Tensor = first + block.ls_2(block.mlp(block.ln_2(first)))
        return found
