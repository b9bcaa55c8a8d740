"""NormSim and negCLIPLoss against what the published code gives, float64 by hand, and any cut into blocks."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray

from curation import measures, rules
from curation.kernels.contrastive import Batch, neg_clip_loss
from curation.kernels.quadratic_forms import quadratic_form, second_moment
from curation.measure import Block
from curation.rule import Scope
from indexes.canonical import canonical
from indexes.errors import PlanError


def unit(rows: int, width: int, seed: int) -> NDArray[np.float16]:
    return canonical(np.random.default_rng(seed).standard_normal((rows, width)).astype(np.float32)).vectors


@pytest.fixture(scope="module")
def published() -> dict[str, NDArray[Any]]:
    root = os.environ.get("NEARFAR_REAL_DATA")
    if root is None:
        pytest.skip("NEARFAR_REAL_DATA is not set: what the published code gives is there")
    with np.load(Path(root) / "peer_vectors" / "normsim_negcliploss.npz") as arrays:
        return {name: arrays[name] for name in arrays.files}


def norm_sims(
    vectors: NDArray[np.float16], targets: NDArray[np.float16], norm: object
) -> NDArray[np.float64]:
    lists = pa.FixedSizeListArray.from_arrays(pa.array(targets.reshape(-1)), targets.shape[1])
    measure = measures.parse("norm_sim", {"to": "t", "norm": norm})
    model = measure.summary(targets, {}) if measure.summarises() else {}
    running = measure.start(model, {"queries:t": pa.table({"vector": lists})})
    found = running.apply(Block(np.zeros((len(vectors), 2), np.uint64), {"image": vectors}))
    return np.asarray(found["norm_sim"])


def log_sum(scores: list[float], temperature: float) -> float:
    highest = max(scores)
    return highest + temperature * float(np.log(sum(np.exp((s - highest) / temperature) for s in scores)))


def test_both_norms_are_those_of_the_products() -> None:
    vectors, targets = unit(50, 24, 1), unit(70, 24, 2)
    products = vectors.astype(np.float64) @ targets.astype(np.float64).T
    np.testing.assert_array_equal(norm_sims(vectors, targets, "inf"), np.abs(products).max(axis=1))
    np.testing.assert_allclose(norm_sims(vectors, targets, 2), np.linalg.norm(products, axis=1), rtol=1e-14)
    assert (products.max(axis=1) < np.abs(products).max(axis=1)).any(), "an opposite must decide somewhere"


@pytest.mark.parametrize("towards", [0.0, 1.0, 4.0])
def test_opposites_are_looked_at_wherever_they_could_be_larger(towards: float) -> None:
    """Rows share a direction, as those of a tower do; some are the opposite of a query, some of the direction."""
    rng = np.random.default_rng(17)
    direction = towards * rng.standard_normal(40)
    targets, vectors = (
        canonical((rng.standard_normal((rows, 40)) + direction).astype(np.float32)).vectors
        for rows in (300, 90)
    )
    vectors[:5] = -targets[:5]
    vectors[5:10] = canonical((rng.standard_normal((5, 40)) - direction).astype(np.float32)).vectors
    products = vectors.astype(np.float64) @ targets.astype(np.float64).T
    np.testing.assert_array_equal(norm_sims(vectors, targets, "inf"), np.abs(products).max(axis=1))
    assert (products.max(axis=1) < np.abs(products).max(axis=1))[:5].all()


def test_blocks_and_the_order_of_queries_change_no_bit() -> None:
    vectors, targets = unit(97, 130, 3), unit(600, 130, 4)
    moment = second_moment(targets)
    np.testing.assert_array_equal(moment, second_moment(targets[np.random.default_rng(0).permutation(600)]))
    # As whole numbers of 2^-24, whose sums Python takes exactly.
    whole_numbers = np.ldexp(targets.astype(np.float64), 24).astype(np.int64)[:, :3].astype(object)
    exact = (whole_numbers.T @ whole_numbers / 2**48).astype(np.float64)
    np.testing.assert_allclose(moment[:3, :3], exact, rtol=1e-15, atol=1e-15)
    whole = quadratic_form(vectors, moment)
    for size in (1, 2, 7, 40):
        cut = [quadratic_form(vectors[i : i + size], moment) for i in range(0, 97, size)]
        np.testing.assert_array_equal(np.concatenate(cut), whole)
    assert not quadratic_form(vectors, np.zeros((130, 130))).any()


def test_a_loss_by_hand_counts_a_pair_once() -> None:
    image, text = unit(6, 16, 5), unit(6, 16, 6)
    image[0] = text[0] = 0
    image[0, 0] = text[0, 0] = 1
    scores = image.astype(np.float64) @ text.astype(np.float64).T
    inside = neg_clip_loss(Batch(image, text), Batch(image, text), np.arange(6), 0.01)
    outside = neg_clip_loss(Batch(image[:2], text[:2]), Batch(image[2:], text[2:]), np.array([-1, -1]), 0.01)
    for i in range(6):
        sums = [log_sum(list(scores[i]), 0.01), log_sum(list(scores[:, i]), 0.01)]
        assert inside[i] == pytest.approx(scores[i, i] - sum(sums) / 2, abs=1e-14)
    for i in range(2):
        others = [i, *range(2, 6)]
        sums = [log_sum(list(scores[i, others]), 0.01), log_sum(list(scores[others, i]), 0.01)]
        assert outside[i] == pytest.approx(scores[i, i] - sum(sums) / 2, abs=1e-14)
    assert np.isfinite(inside).all(), "a score of 1 over 0.01 would overflow float32"


def test_a_sample_knows_itself_in_the_batch_whatever_the_order() -> None:
    uids = np.random.default_rng(7).integers(0, 2**63, (30, 2)).astype(np.uint64)
    pairs = {"image": unit(30, 8, 8), "text": unit(30, 8, 9)}
    measure = measures.parse("neg_clip_loss", {"batch": 12})
    model = measure.train(Block(uids[:12], {kind: rows[:12] for kind, rows in pairs.items()}))
    order = np.random.default_rng(1).permutation(30)
    found = measure.apply(Block(uids[order], {kind: rows[order] for kind, rows in pairs.items()}), model)
    itself = np.where(order < 12, order, -1)
    expected = neg_clip_loss(
        Batch(pairs["image"][order], pairs["text"][order]),
        Batch(pairs["image"][:12], pairs["text"][:12]),
        itself,
        0.01,
    )
    np.testing.assert_array_equal(found["neg_clip_loss"], expected)


def test_the_published_norms(published: dict[str, NDArray[Any]]) -> None:
    vectors, targets = published["image"], published["proxies"].astype(np.float16)
    for norm, name in ((2, "normsim_2"), ("inf", "normsim_inf")):
        np.testing.assert_allclose(norm_sims(vectors, targets, norm), published[name], rtol=1e-6)


def test_the_published_losses(published: dict[str, NDArray[Any]]) -> None:
    image, text = published["image"], published["text"]
    whole = neg_clip_loss(Batch(image, text), Batch(image, text), np.arange(64), 0.01)
    np.testing.assert_allclose(whole, published["negcliploss_one_batch"], atol=1e-6)
    batched = np.empty(64)
    for rows in np.split(published["batch16_permutation"], 4):
        batch = Batch(image[rows], text[rows])
        batched[rows] = neg_clip_loss(batch, batch, np.arange(16), 0.01)
    np.testing.assert_allclose(batched, published["negcliploss_batch16"], atol=1e-6)
    kept = np.argsort(-whole, kind="stable")[: len(published["kept_negcliploss_0_3"])]
    assert sorted(kept.tolist()) == sorted(published["kept_negcliploss_0_3"].tolist())
    norms = norm_sims(image, published["proxies"].astype(np.float16), 2)
    then = kept[np.argsort(-norms[kept], kind="stable")][: len(published["kept_then_normsim2_0_2"])]
    assert sorted(then.tolist()) == sorted(published["kept_then_normsim2_0_2"].tolist())


def test_both_fractions_are_of_all_samples() -> None:
    both = rules.parse("neg-clip-loss", {"fraction": 0.3, "norm_sim": 0.2}).selection(Scope())
    assert "0.3" in both.words()
    assert "0.2 of all" in both.words()
    for options in ({"fraction": 0.2, "norm_sim": 0.3}, {"keep": 5, "norm_sim": 0.3}):
        with pytest.raises(PlanError, match="it goes with a fraction that is no smaller"):
            rules.parse("neg-clip-loss", options)
    with pytest.raises(PlanError, match="threshold"):
        rules.parse("norm-sim", {"threshold": -0.1})


def test_a_pair_that_is_contrasted_with_none_but_itself_loses_nothing() -> None:
    pair, none = np.eye(2, 4, dtype=np.float16), np.empty((0, 4), np.float16)
    found = neg_clip_loss(Batch(pair, pair), Batch(none, none), np.full(2, -1), 0.07)
    assert found.tolist() == [0.0, 0.0]
