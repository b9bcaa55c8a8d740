"""Ways to tell domains apart by embeddings: a linear head, and two plain ones to compare it with."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from curation.kernels.heads.softmax_head import Head, probabilities, softmax, train
from curation.measure import Model
from indexes.canonical import canonical

Way = Literal["head", "centroid", "prototype"]
TEMPERATURE = 0.01
"""Of the plain ways: similarities are divided by it, as CLIP's are, before their softmax is taken."""
_SCORES = 1 << 22


def learn(
    way: Way, vectors: NDArray[np.float16], owner: NDArray[np.int64], domains: int, penalty: float
) -> Model:
    """Learn from labelled vectors; every domain has one at least.

    Args:
        way: `head`: multinomial logistic regression. `centroid`: the direction of each domain's mean. `prototype`: all
            vectors as they are.
        vectors: `(n, d)` float16 of unit norm.
        owner: `(n,)` each one's domain.
        domains: How many.
        penalty: Of the head.
    """
    if way == "head":
        head = train(vectors, owner, domains, penalty)
        return {"weights": head.weights, "bias": head.bias}
    order = np.argsort(owner, kind="stable")
    starts = np.searchsorted(owner[order], np.arange(domains))
    if way == "prototype":
        return {"vectors": vectors[order], "starts": starts}
    # Sums of float16 that float64 holds without rounding, in any order.
    sums = np.add.reduceat(vectors[order].astype(np.float64), starts, axis=0)
    lengths = np.sqrt(np.add.reduce(sums * sums, axis=1, keepdims=True))
    return {"vectors": canonical(sums / np.maximum(lengths, 1e-12)).vectors, "starts": np.arange(domains)}


def shares(vectors: NDArray[np.float16], model: Model) -> NDArray[np.float64]:
    """Return `(n, K)` how much speaks for each domain; rows sum to 1. Of the head alone it is a probability.

    The plain ways compare a sample with the nearest of each domain's vectors, exactly.
    """
    if "weights" in model:
        return probabilities(vectors, Head(model["weights"], model["bias"]))
    held = model["vectors"].astype(np.float64)
    found = np.empty((len(vectors), len(model["starts"])))
    step = max(1, _SCORES // len(held))
    for start in range(0, len(vectors), step):
        products = vectors[start : start + step].astype(np.float64) @ held.T
        found[start : start + step] = np.maximum.reduceat(products, model["starts"], axis=1)
    return softmax(found / TEMPERATURE)
