"""The contrastive loss of a pair within a batch, as a score (negCLIPLoss, Wang et al. 2024)."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

_SCORES = 1 << 20
"""Scores that are held at once: 8 MB, which stay in a cache between the product and the sums."""


class Batch(NamedTuple):
    """The pairs that a pair is contrasted with.

    Attributes:
        image: `(b, d)` float16 of unit norm, or the same numbers in float64.
        text: `(b, d)` likewise.
    """

    image: NDArray[Any]
    text: NDArray[Any]


def neg_clip_loss(
    pairs: Batch, others: Batch, itself: NDArray[np.int64], temperature: float
) -> NDArray[np.float64]:
    """Score pairs: s_ii − (T/2) [ln Σ_j e^(s_ij / T) + ln Σ_j e^(s_ji / T)].

    s_ij is the product of image i and text j; j runs over `others` and i itself. The sums are taken in logarithms, so
    nothing overflows (the published code does above s ≈ 0.887). Products are exact, and each row is summed by itself.

    Args:
        pairs: n pairs to be scored.
        others: The batch, of b pairs.
        itself: `(n,)` the pair's own place in the batch, where it must not be counted a second time; -1 where it is
            not in it.
        temperature: T, above 0.

    Returns:
        `(n,)` scores, at most 0 but for rounding; higher fits better.
    """
    image, text = (each.astype(np.float64, copy=False) for each in others)
    found = np.empty(len(pairs.image))
    step = max(1, _SCORES // max(1, len(image)))
    for start in range(0, len(found), step):
        rows = slice(start, start + step)
        own_image, own_text = (each[rows].astype(np.float64) for each in pairs)
        own = np.einsum("ij,ij->i", own_image, own_text)
        outside = itself[rows] < 0
        sums = [
            _log_sum(scores, own, outside, temperature) for scores in (own_image @ text.T, own_text @ image.T)
        ]
        found[rows] = own - (sums[0] + sums[1]) / 2
    return found


def _log_sum(
    scores: NDArray[np.float64], own: NDArray[np.float64], outside: NDArray[np.bool_], temperature: float
) -> NDArray[np.float64]:
    """Return `(n,)` T ln Σ e^(s / T) over the rows of `(n, b)` scores, and over `own` where that is `outside`.

    It works in the place of the scores: what is written anew for each step would cost as much as the product.
    """
    highest = np.maximum(scores.max(axis=1, initial=-np.inf), own)
    scores -= highest[:, None]
    scores /= temperature
    np.exp(scores, out=scores)
    total = np.add.reduce(scores, axis=1)
    total += np.where(outside, np.exp((own - highest) / temperature), 0.0)
    return np.asarray(highest + temperature * np.log(total))
