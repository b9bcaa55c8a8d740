"""NormSim-D round by round against plain float64, and its quadratic form against the published code's."""

from __future__ import annotations

import math
import os
from pathlib import Path

import numpy as np
import pytest

from curation import measures, rules
from curation.kernels.exact_moments import Moments
from curation.kernels.quadratic_forms import quadratic_form
from curation.measure import Block
from curation.rule import Scope
from indexes.canonical import canonical
from indexes.errors import PlanError
from indexes.scanner import ScanOptions


def pool(rows: int = 200, width: int = 10) -> np.ndarray:
    rng = np.random.default_rng(0)
    wide = rng.standard_normal((rows, width)) * np.linspace(2, 0.2, width) + 0.3
    return canonical(wide.astype(np.float32)).vectors


def measured(vectors: np.ndarray, **options: object) -> tuple[np.ndarray, np.ndarray]:
    uids = np.stack([np.zeros(len(vectors)), np.arange(len(vectors))], axis=1).astype(np.uint64)
    found = measures.parse("norm_sim_d", options).whole(Block(uids, {"image": vectors}), ScanOptions(k=1))
    return found["dropped_in"], found["norm_sim"]


def brute(vectors: np.ndarray, target: int, iterations: int) -> tuple[np.ndarray, np.ndarray]:
    """The rounds in the plainest way."""
    wide, left = vectors.astype(np.float64), list(range(len(vectors)))
    dropped, norms = np.zeros(len(vectors), int), np.zeros(len(vectors))
    step = math.ceil((len(vectors) - target) / iterations)
    for number in range(1, iterations + 1):
        held = wide[left]
        moment = held.T @ held / len(held)
        score = {row: float(wide[row] @ moment @ wide[row]) for row in left}
        for row in left:
            norms[row] = math.sqrt(score[row])
        gone = sorted(left, key=lambda row: (score[row], -row))[: min(step, len(left) - target)]
        dropped[gone] = number
        left = [row for row in left if row not in gone]
    return dropped, norms


@pytest.mark.parametrize(("target", "iterations"), [(60, 1), (60, 7), (199, 3), (1, 50), (200, 2)])
def test_rounds_are_those_of_brute_force(target: int, iterations: int) -> None:
    dropped, norms = measured(pool(), keep=target, iterations=iterations)
    plain, heights = brute(pool(), target, iterations)
    np.testing.assert_array_equal(dropped, plain)
    np.testing.assert_allclose(norms, heights, rtol=1e-12)
    assert (dropped == 0).sum() == target


def test_a_fraction_is_of_all_and_equal_samples_go_from_the_end() -> None:
    dropped, _ = measured(pool(), fraction=0.25, iterations=5)
    np.testing.assert_array_equal(dropped, measured(pool(), keep=50, iterations=5)[0])
    equal = np.repeat(pool(1), 6, axis=0)
    assert measured(equal, keep=2, iterations=2)[0].tolist() == [0, 0, 2, 2, 1, 1]
    assert not measured(equal, keep=9, iterations=2)[0].any()


def test_more_rounds_drop_other_samples() -> None:
    """What goes early changes what the others are measured by."""
    once, often = (measured(pool(), keep=60, iterations=n)[0] == 0 for n in (1, 20))
    assert once.sum() == often.sum()
    assert (once != often).any()


def test_rows_that_are_taken_out_leave_no_trace() -> None:
    vectors = pool()
    sums, others = Moments(vectors.shape[1]), Moments(vectors.shape[1])
    sums.add(vectors)
    sums.remove(vectors[40:90])
    others.add(np.concatenate([vectors[:40], vectors[90:]]))
    np.testing.assert_array_equal(sums.second(), others.second())
    np.testing.assert_array_equal(sums.mean(), others.mean())


@pytest.mark.real_data
def test_the_form_is_the_published_codes() -> None:
    data = os.environ.get("NEARFAR_REAL_DATA")
    if not data:
        pytest.skip("NEARFAR_REAL_DATA is not set: what the published code gives is there")
    with np.load(Path(data) / "peer_vectors" / "normsim_negcliploss.npz") as held:
        image, proxies, published = (held[name] for name in ("image", "proxies", "vas_mean_outer"))
    sums = Moments(proxies.shape[1])
    sums.add(proxies.astype(np.float16))
    np.testing.assert_allclose(quadratic_form(image, sums.second()), published, rtol=2e-5)


def test_it_says_how_many_remain() -> None:
    for options in ({"iterations": 3}, {"iterations": 3, "keep": 1, "fraction": 0.5}):
        with pytest.raises(PlanError, match="give one of: fraction, keep"):
            measures.parse("norm_sim_d", options)
    selection = rules.parse("norm-sim-d", {"measure": "mine"}).selection(Scope())
    assert selection.expressions() == ('NOT ("mine"."dropped_in" = 0)',)
