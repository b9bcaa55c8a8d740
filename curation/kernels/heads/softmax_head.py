"""Multinomial logistic regression over unit vectors: a linear head, trained to the optimum in float64.

Products of vectors are cut into parts that float64 adds up without rounding, so neither threads nor the library that
multiplies change a bit of what is learned.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from curation.kernels.heads import cholesky
from curation.kernels.quadratic_forms import second_moment, slices

Rows: TypeAlias = NDArray[np.float16] | NDArray[np.float64]
"""`(n, d)` unit vectors of float16, widened or not."""

PENALTY = 1e-3
MEMORY = 10
"""Steps that L-BFGS remembers."""
_ROWS = 32_768
_PIECES = tuple(2.0**-bits for bits in (13, 26, 39))
"""Units of the parts of a residual. A sum over 2^15 rows of a multiple of 2^-24 times 13 bits stays within 53 bits."""
_SMALLEST = 1e-6
"""Largest element of a gradient that counts as none."""
_STEPS, _HALVINGS = 1000, 40
_HELD = 1 << 25
"""Numbers that are held widened to float64: 256 MB. Of more vectors each block is widened anew, to the same bits."""
_BOUNDING = 4096
"""Rows that the bound on the Hessian is taken from. It steers the steps, and not where they lead."""


@dataclass(frozen=True, slots=True)
class Head:
    """A linear head.

    Attributes:
        weights: `(K, d)` float64.
        bias: `(K,)` float64.
    """

    weights: NDArray[np.float64]
    bias: NDArray[np.float64]


def probabilities(vectors: NDArray[np.float16], head: Head) -> NDArray[np.float64]:
    """Return `(n, K)` softmax(W x + b) of each row; rows sum to 1 within rounding.

    Args:
        vectors: `(n, d)` float16 of unit norm, d at most 16,384.
        head: The head.
    """
    return softmax(_products(vectors, head.weights) + head.bias)


def softmax(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return `(n, K)` exp(s) over their sum, row by row."""
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(powers / np.add.reduce(powers, axis=1, keepdims=True))


def train(vectors: NDArray[np.float16], owner: NDArray[np.int64], domains: int, penalty: float) -> Head:
    """Minimise the mean cross-entropy + penalty / 2 · ‖W σ‖², where σ is the vectors' spread around their mean.

    With the penalty on W σ it means the same for every encoder, however narrow the cone of its vectors is. The bias is
    not penalised. The optimum is unique up to a number that is added to all biases; L-BFGS goes there, until no element
    of the gradient is above 1e-6, and begins each step with the inverse of Böhning's bound on the Hessian (1992), half
    the vectors' covariance.

    Args:
        vectors: `(n, d)` float16 of unit norm, n at least 1.
        owner: `(n,)` which domain each row is of, from 0; every domain has a row.
        domains: K.
        penalty: Above 0.
    """
    problem = _Problem(vectors, owner, domains, penalty)
    at = np.zeros((vectors.shape[1] + 1, domains))
    value, slope = problem.at(at)
    steps: list[tuple[NDArray[np.float64], NDArray[np.float64], float]] = []
    for _ in range(_STEPS):
        if np.abs(slope).max() <= _SMALLEST:
            break
        way = -_direction(slope, steps, problem)
        descent = _dot(slope, way)
        length = 1.0
        for _ in range(_HALVINGS):
            further, new = at + length * way, None
            reached, new = problem.at(further)
            if reached <= value + 1e-4 * length * descent:
                break
            length /= 2
        else:
            break  # the value cannot be told from its neighbours any more
        moved, turned = further - at, new - slope
        if (bent := _dot(moved, turned)) > 0:
            steps = [*steps[1 - MEMORY :], (moved, turned, bent)]
        at, value, slope = further, reached, new
    return problem.head(at)


class _Problem:
    """The objective over centred vectors of mean square length 1, none of which is ever written down."""

    def __init__(
        self, vectors: NDArray[np.float16], owner: NDArray[np.int64], domains: int, penalty: float
    ) -> None:
        count, width = vectors.shape
        self._owner, self._penalty = owner, penalty
        self._vectors: Rows = vectors.astype(np.float64) if vectors.size <= _HELD else vectors
        self._mean = _sums(self._vectors, np.ones((count, 1)))[:, 0] / count
        self._scale = float(np.sqrt(max(1 - _dot(self._mean, self._mean), 1e-12)))
        some = vectors[:: -(-count // _BOUNDING)]
        middle = _sums(some, np.ones((len(some), 1)))[:, 0] / len(some)
        bound = (second_moment(some) / len(some) - middle[:, None] * middle) / (2 * self._scale**2)
        bound[np.diag_indices(width)] += penalty
        self._bounded = cholesky.solve(cholesky.factor(bound), np.eye(width))
        self._right = np.zeros((count, domains))
        self._right[np.arange(count), owner] = 1.0

    def at(self, weights: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        """Return the objective and its `(d + 1, K)` gradient; the last row is the bias."""
        head = self.head(weights)
        scores = _products(self._vectors, head.weights) + head.bias
        top = scores.max(axis=1, keepdims=True)
        powers = np.exp(scores - top)
        total = np.add.reduce(powers, axis=1, keepdims=True)
        own = scores[np.arange(len(scores)), self._owner]
        loss = np.add.reduce(np.log(total[:, 0]) + top[:, 0] - own) / len(scores)
        missed = powers / total - self._right
        in_all = _sums(np.ones((len(missed), 1), np.float16), missed)[0]
        turned = (_sums(self._vectors, missed) - self._mean[:, None] * in_all) / self._scale
        slope = np.vstack([turned / len(scores) + self._penalty * weights[:-1], in_all / len(scores)])
        return float(loss + self._penalty / 2 * _dot(weights[:-1], weights[:-1])), slope

    def head(self, weights: NDArray[np.float64]) -> Head:
        """Write weights of centred, scaled vectors as those of the vectors as they are."""
        own = np.ascontiguousarray(weights[:-1].T) / self._scale
        return Head(own, weights[-1] - np.add.reduce(own * self._mean, axis=1))

    def bounded(self, slope: NDArray[np.float64]) -> NDArray[np.float64]:
        """Apply the inverse of the bound on the Hessian."""
        each = [np.add.reduce(self._bounded * column, axis=1) for column in slope[:-1].T]
        return np.vstack([np.stack(each, axis=1), 2 * slope[-1:]])


def _direction(
    slope: NDArray[np.float64],
    steps: list[tuple[NDArray[np.float64], NDArray[np.float64], float]],
    problem: _Problem,
) -> NDArray[np.float64]:
    """L-BFGS's two loops."""
    left, shares = slope.copy(), []
    for moved, turned, bent in reversed(steps):
        share = _dot(moved, left) / bent
        shares.append(share)
        left -= share * turned
    found = problem.bounded(left)
    for (moved, turned, bent), share in zip(steps, reversed(shares), strict=True):
        found += (share - _dot(turned, found) / bent) * moved
    return found


def _dot(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    return float(np.add.reduce((one * other).ravel()))


def _products(vectors: Rows, weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return `(n, K)` W x, each from exact products with parts of W."""
    parts = slices(np.ascontiguousarray(weights.T))
    found = np.zeros((len(vectors), len(weights)))
    for place, rows in _blocks(vectors) if parts else ():
        wide = rows @ np.concatenate(parts, axis=1)
        for number in range(len(parts)):
            found[place] += wide[:, number * len(weights) : (number + 1) * len(weights)]
    return found


def _sums(vectors: Rows, factors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return `(d, m)` Σ x fᵀ over the rows, for factors from -1 to 1; what is below 2^-40 of a factor goes."""
    parts, left = [], factors
    for unit in _PIECES:
        parts.append(np.rint(left / unit) * unit)
        left = left - parts[-1]
    width = factors.shape[1]
    found = np.zeros((vectors.shape[1], width * len(parts)))
    for place, rows in _blocks(vectors):
        found += rows.T @ np.concatenate([part[place] for part in parts], axis=1)
    return np.asarray(sum(found[:, number * width : (number + 1) * width] for number in range(len(parts))))


def _blocks(vectors: Rows) -> Iterator[tuple[slice, NDArray[np.float64]]]:
    for start in range(0, len(vectors), _ROWS):
        place = slice(start, start + _ROWS)
        yield place, vectors[place].astype(np.float64)
