"""How far clusters lie apart, how wide they are, and how many samples each should keep (Abbas et al. 2024)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

NEIGHBOURS = 20
"""Other centroids that count, as in the paper."""
_STEP = 2.0**24
_SCORES = 1 << 22
"""Scores that are held at once: 32 MB."""


class ExactSums:
    """Sums of similarities by cluster that no order of samples changes.

    A similarity of float16 vectors is a multiple of 2^-48 (`indexes.queries.MAX_NORM`). Its multiple of 2^-24 and what
    is left of it are each added without rounding, for up to 2^24 samples of norm below 5.

    Attributes:
        coarse: `(k,)` float64.
        fine: `(k,)` float64; the sum is `coarse + fine`.
    """

    def __init__(self, clusters: int) -> None:
        self.coarse = np.zeros(clusters)
        self.fine = np.zeros(clusters)

    def add(self, cluster: NDArray[np.int32], similarity: NDArray[np.float64]) -> None:
        """Add `(n,)` similarities to their clusters."""
        rounded = np.rint(similarity * _STEP) / _STEP
        self.coarse += np.bincount(cluster, weights=rounded, minlength=len(self.coarse))
        self.fine += np.bincount(cluster, weights=similarity - rounded, minlength=len(self.fine))


def distances_between(centroids: NDArray[np.float16]) -> NDArray[np.float64]:
    """Return `(k,)` d_inter: the mean of 1 - c·c' over the 20 nearest other centroids; all others where they are fewer.

    Args:
        centroids: `(k, d)` float16 of norm below 5; 0 where there is one alone.
    """
    wide = centroids.astype(np.float64)
    clusters = len(wide)
    near = min(NEIGHBOURS, clusters - 1)
    found = np.zeros(clusters)
    step = max(1, _SCORES // clusters)
    for start in range(0, clusters if near else 0, step):
        scores = wide[start : start + step] @ wide.T
        rows = np.arange(len(scores))
        scores[rows, start + rows] = -np.inf
        highest = np.sort(np.partition(scores, clusters - near, axis=1)[:, clusters - near :], axis=1)
        found[start : start + step] = np.add.reduce(1 - highest, axis=1) / near
    return found


def shares(
    apart: NDArray[np.float64], within: NDArray[np.float64], temperature: float
) -> NDArray[np.float64]:
    """Return `(k,)` softmax(d_inter · d_intra / temperature): each cluster's share of what is kept.

    Args:
        apart: `(k,)` d_inter.
        within: `(k,)` d_intra, the mean of 1 - similarity to the centroid.
        temperature: τ, above 0; a high one makes shares equal.
    """
    scaled = apart * within / temperature
    powers = np.exp(scaled - scaled.max(initial=-np.inf))
    return np.asarray(powers / powers.sum())


def allotted(
    sizes: NDArray[np.int64], share: NDArray[np.float64], kept: int, balance: float
) -> NDArray[np.int64]:
    """Say how many samples each cluster keeps: whole numbers that sum to exactly `kept`.

    They minimise ½‖x‖² - kept · share·x subject to Σx = kept and min(m, nᵢ - 1) <= xᵢ <= nᵢ, where m is
    int(kept / k · balance), or 1 where `balance` is 0. The minimum is xᵢ = kept · shareᵢ + λ held to its bounds, so λ
    is found by bisection and no solver is needed. Whole parts are kept and the largest remainders rounded up (ties: the
    lower cluster), so that the sum is met; the published code rounds each by itself and can miss it.

    Args:
        sizes: `(k,)` samples that each cluster has.
        share: `(k,)`, summing to 1.
        kept: How many shall stay; all do where it is more than there are.
        balance: From 0 to 1. Where the lower bounds alone are more than `kept`, they are dropped.
    """
    if kept >= sizes.sum():
        return sizes.copy()
    least = int(kept / len(sizes) * balance) if balance else 1
    lower = np.minimum(least, np.maximum(sizes - 1, 0))
    if lower.sum() > kept:
        lower = np.zeros_like(sizes)
    wanted = kept * share
    low, high = -float(wanted.max()) - kept, float(sizes.max()) + kept
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if np.clip(wanted + middle, lower, sizes).sum() < kept else (low, middle)
    exact = np.clip(wanted + high, lower, sizes)
    whole = np.floor(exact).astype(np.int64)
    missing = kept - int(whole.sum())
    open_ = np.flatnonzero(whole < sizes)
    first = open_[np.argsort(-(exact - whole)[open_], kind="stable")][:missing]
    whole[first] += 1
    return whole
