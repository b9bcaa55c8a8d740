"""Random views of training images: what copies of an image on the web differ by."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812


def augmented(images: torch.Tensor, side: int) -> torch.Tensor:
    """Cut, relight, blur and roughen each image on its own.

    Args:
        images: `(n, 3, s, s)` uint8.
        side: Pixels of the views.

    Returns:
        `(n, 3, side, side)` float32 in [0, 1].
    """
    views = _roughened(_cut(images.float() / 255.0, side))
    return _relit(views).clamp(0.0, 1.0)


def _uniform(rows: int, low: float, high: float) -> torch.Tensor:
    return torch.empty(rows, 1, 1, 1).uniform_(low, high)


def _cut(images: torch.Tensor, side: int) -> torch.Tensor:
    """A window of 76% to 104% of the width and height, chosen apart, near the middle."""
    rows = len(images)
    theta = torch.zeros(rows, 2, 3)
    zoom = torch.empty(rows).uniform_(0.8, 1.03)
    for axis in range(2):
        theta[:, axis, axis] = zoom * torch.empty(rows).uniform_(0.95, 1.01)
        theta[:, axis, 2] = torch.empty(rows).uniform_(-0.08, 0.08)
    grid = F.affine_grid(theta, [rows, 3, side, side], align_corners=False)
    return F.grid_sample(images, grid, mode="bilinear", padding_mode="reflection", align_corners=False)


def _relit(views: torch.Tensor) -> torch.Tensor:
    """Change brightness, contrast and white balance."""
    rows = len(views)
    middle = views.mean(dim=(1, 2, 3), keepdim=True)
    views = (views - middle) * _uniform(rows, 0.85, 1.15) + middle
    return views * _uniform(rows, 0.68, 1.35) * torch.empty(rows, 3, 1, 1).uniform_(0.95, 1.05)


def _roughened(views: torch.Tensor) -> torch.Tensor:
    """Lose detail as by resizing, in a third of the views, and add noise as of compression."""
    rows, side = len(views), views.shape[-1]
    small = F.interpolate(views, size=int(side * 0.6), mode="bilinear", antialias=True)
    soft = F.interpolate(small, size=side, mode="bilinear")
    views = torch.where(torch.rand(rows, 1, 1, 1) < 0.33, soft, views)
    return views + torch.randn_like(views) * _uniform(rows, 0.0, 0.03)
