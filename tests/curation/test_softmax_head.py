"""The linear head: its optimum, that it is the same bits on any threads, and systems solved element by element."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from curation.kernels.heads import cholesky, softmax_head
from curation.kernels.heads.softmax_head import Head, probabilities, train
from indexes.canonical import canonical

ROWS, WIDTH, DOMAINS = 300, 12, 3


def labelled(seed: int = 0, rows: int = ROWS) -> tuple[np.ndarray, np.ndarray]:
    """Unit vectors in a narrow cone, as embeddings lie, around a centre for each domain."""
    rng = np.random.default_rng(seed)
    centres = 3.0 + np.random.default_rng(5).standard_normal((DOMAINS, WIDTH))
    owner = rng.integers(0, DOMAINS, rows)
    wide = centres[owner] + rng.standard_normal((rows, WIDTH))
    return canonical(wide.astype(np.float32)).vectors, owner


def objective(head: Head, vectors: np.ndarray, owner: np.ndarray, penalty: float) -> float:
    """Mean cross-entropy and penalty, in the plainest way."""
    wide = vectors.astype(np.float64)
    middle = wide.mean(axis=0)
    spread = np.sqrt(1 - middle @ middle)
    scores = wide @ head.weights.T + head.bias
    scores -= scores.max(axis=1, keepdims=True)
    losses = np.log(np.exp(scores).sum(axis=1)) - scores[np.arange(len(owner)), owner]
    return float(losses.mean() + penalty / 2 * ((head.weights * spread) ** 2).sum())


@pytest.mark.parametrize("penalty", [1e-3, 0.1])
def test_no_step_in_any_direction_is_better(penalty: float) -> None:
    vectors, owner = labelled()
    head = train(vectors, owner, DOMAINS, penalty)
    best = objective(head, vectors, owner, penalty)
    rng = np.random.default_rng(1)
    for size in (1e-3, 1e-2, 1.0):
        for _ in range(20):
            way = rng.standard_normal((DOMAINS, WIDTH + 1)) * size
            moved = Head(head.weights + way[:, :-1], head.bias + way[:, -1])
            assert objective(moved, vectors, owner, penalty) > best - 1e-10


def test_the_gradient_is_that_of_the_objective() -> None:
    """Central differences of the plain objective, in a point that is no optimum."""
    vectors, owner = labelled()
    problem = softmax_head._Problem(vectors, owner, DOMAINS, 0.01)
    at = np.random.default_rng(2).standard_normal((WIDTH + 1, DOMAINS))
    value, slope = problem.at(at)
    assert value == pytest.approx(objective(problem.head(at), vectors, owner, 0.01), rel=1e-6)
    for place in np.ndindex(at.shape):
        step = np.zeros_like(at)
        step[place] = 1e-5
        up, down = (problem.at(at + sign * step)[0] for sign in (1, -1))
        assert slope[place] == pytest.approx((up - down) / 2e-5, abs=1e-8)


ALONE = """
import sys
import numpy as np
from curation.kernels.heads.softmax_head import train
held = np.load(sys.argv[1])
head = train(held["vectors"], held["owner"], 3, 1e-3)
np.savez(sys.argv[2], weights=head.weights)
"""


def test_threads_and_blocks_change_no_bit(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    vectors, owner = labelled(rows=2000)
    whole = train(vectors, owner, DOMAINS, 1e-3)
    np.savez(tmp_path / "in.npz", vectors=vectors, owner=owner)
    names = [str(tmp_path / name) for name in ("in.npz", "out.npz")]
    one = os.environ | {"OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[2])}
    subprocess.run([sys.executable, "-c", ALONE, *names], env=one, check=True)
    np.testing.assert_array_equal(np.load(names[1])["weights"], whole.weights)
    monkeypatch.setattr(softmax_head, "_ROWS", 70)
    monkeypatch.setattr(softmax_head, "_HELD", 0)
    cut = train(vectors, owner, DOMAINS, 1e-3)
    np.testing.assert_array_equal(cut.weights, whole.weights)
    np.testing.assert_array_equal(cut.bias, whole.bias)
    np.testing.assert_array_equal(probabilities(vectors, cut), probabilities(vectors, whole))


def test_it_learns_what_there_is_to_learn() -> None:
    vectors, owner = labelled()
    others, truth = labelled(seed=1)
    found = probabilities(others, train(vectors, owner, DOMAINS, 1e-3))
    np.testing.assert_allclose(found.sum(axis=1), 1)
    nearest = np.stack([vectors[owner == n].astype(float).mean(axis=0) for n in range(DOMAINS)])
    plain = (others.astype(float) @ nearest.T).argmax(axis=1)
    assert (found.argmax(axis=1) == truth).mean() > max(0.75, (plain == truth).mean() - 0.02)
    # A probability is one: of the samples that it calls p, a share of p is right.
    sure = found.max(axis=1)
    assert abs(sure.mean() - (found.argmax(axis=1) == truth).mean()) < 0.06


def test_equal_vectors_and_one_row_each_give_a_head() -> None:
    equal = np.tile(labelled()[0][:1], (4, 1))
    head = train(equal, np.array([0, 0, 0, 1]), 2, 1e-3)
    np.testing.assert_allclose(probabilities(equal, head), [[0.75, 0.25]] * 4, atol=1e-5)


@pytest.mark.parametrize("size", [1, 2, 17])
def test_systems_are_solved(size: int) -> None:
    rng = np.random.default_rng(size)
    root = rng.standard_normal((size, size))
    matrix = root @ root.T + np.eye(size)
    lower = cholesky.factor(matrix)
    np.testing.assert_allclose(lower @ lower.T, matrix, rtol=1e-12, atol=1e-12)
    assert not np.triu(lower, 1).any()
    right = rng.standard_normal((size, 3))
    np.testing.assert_allclose(cholesky.solve(lower, right), np.linalg.solve(matrix, right), rtol=1e-9)
