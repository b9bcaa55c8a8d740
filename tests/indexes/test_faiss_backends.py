"""FAISS's own answers where it is exact, and honest numbers where it is not."""

from __future__ import annotations

import sys

import faiss
import numpy as np
import pytest
from vector_worlds import clustered, packed, uids_of

from indexes.backends import _faiss_search as faiss_search
from indexes.backends import faiss_flat
from indexes.errors import BadInputError, UnknownNameError
from indexes.quality import Quality, SampledScanner
from indexes.queries import Queries
from indexes.scanner import ScanOptions
from indexes.search import check_search, is_exact, open_scanner


def measured(
    queries: Queries, backend: str, samples: np.ndarray, rows: int = 1000, seed: int = 0, blocks: int = 1
) -> Quality:
    """Scan the samples in so many blocks, and compare a sample of the answers."""
    search, uids = SampledScanner(open_scanner(queries, backend), rows, seed), uids_of(1, len(samples))
    for block, names in zip(np.array_split(samples, blocks), np.array_split(uids, blocks), strict=True):
        search.scan(block, names)
    return search.quality(queries, ScanOptions())


QUERIES = packed((5,), clustered(1, 5, 8), False)
approximate = pytest.mark.parametrize("backend", ["faiss_ivf", "faiss_hnsw"])


@approximate
def test_approximate_backends_declare_and_measure_themselves(backend: str) -> None:
    assert not is_exact(backend)
    queries = packed((900, 300), clustered(1, 1200, 48, clusters=300), True)
    samples = clustered(2, 3000, 48, clusters=300)
    found = measured(queries, backend, samples, rows=500)
    assert (found.rows, found.compared) == (500, 1000)
    assert 0.8 <= found.recall <= 1
    assert (found.similarity_error == 0) == (found.recall == 1)
    assert found == measured(queries, backend, samples, rows=500)
    assert found == measured(queries, backend, samples, rows=500, blocks=7)
    assert found != measured(queries, backend, samples, rows=500, seed=1)


@approximate
def test_what_is_measured_of_every_row_is_the_difference_from_exact(backend: str) -> None:
    queries = packed((900, 300), clustered(1, 1200, 48, clusters=300), True)
    samples = clustered(2, 900, 48, clusters=300)
    right, found = (open_scanner(queries, name).scan(samples) for name in ("exact", backend))
    missed = right.similarity - found.similarity
    differing = int(((right.margin > 0) != (found.margin > 0)).sum())
    whole = measured(queries, backend, samples)
    assert whole == Quality(900, 1800, int((missed == 0).sum()), float(missed.max()), differing)
    halves = [measured(queries, backend, samples[part]) for part in (slice(0, 400), slice(400, None))]
    assert halves[0] + halves[1] == whole
    if backend == "faiss_ivf":
        assert differing > 0


@approximate
def test_what_approximate_backends_report_is_never_above_the_truth(backend: str) -> None:
    queries = packed((500,), clustered(1, 500, 32, clusters=100), True)
    samples, uids = clustered(2, 800, 32, clusters=100), uids_of(1, 800)
    exact, other = open_scanner(queries), open_scanner(queries, backend)
    right, found = exact.scan(samples, uids), other.scan(samples, uids)
    assert (found.similarity <= right.similarity).all()
    assert (found.margin <= right.margin).all()
    hit = found.similarity == right.similarity
    assert hit.mean() > 0.8
    assert (found.nearest[hit] >= right.nearest[hit]).all()
    near, nearest = other.neighbours(), exact.neighbours()
    assert (near.similarity <= nearest.similarity).all()
    assert (near.similarity[:, 0] == nearest.similarity[:, 0]).mean() > 0.8


def test_an_exact_backend_measures_as_exact() -> None:
    queries, samples = packed((50,), clustered(1, 50, 32), True), clustered(2, 100, 32)
    assert measured(queries, "faiss_flat", samples) == Quality(100, 100, 100, 0.0, 0)
    nothing = measured(queries, "faiss_ivf", samples[:0])
    assert (nothing, nothing.recall) == (Quality(0, 0, 0, 0.0, 0), None)
    unscanned = SampledScanner(open_scanner(queries, "faiss_ivf")).quality(queries, ScanOptions())
    assert unscanned == nothing


def test_without_thresholds_there_are_no_decisions_to_compare() -> None:
    queries, samples = packed((50,), clustered(1, 50, 32), False), clustered(2, 100, 32)
    found = measured(queries, "faiss_hnsw", samples)
    assert found.differing_decisions is None
    assert (found + measured(queries, "faiss_hnsw", samples[:0])).differing_decisions is None


@pytest.mark.parametrize("backend", ["faiss-flat", "faiss-ivf", "faiss-hnsw"])
def test_cpu_faiss_refuses_a_gpu(backend: str) -> None:
    import faiss

    if hasattr(faiss, "StandardGpuResources"):
        pytest.skip("this FAISS can use a GPU")
    with pytest.raises(BadInputError, match="'gpu' extra"):
        open_scanner(packed((5,), clustered(1, 5, 8), False), backend, ScanOptions(device="cuda"))


def test_a_card_that_is_not_there_is_refused_before_any_work(card) -> None:
    """One card is there; torch is not asked, for it is FAISS that computes."""
    for backend in ("faiss-flat", "faiss-ivf"):
        for device in ("auto", "cpu", "cuda", "cuda:0"):
            check_search(backend, device)
        for refuse in (
            lambda name=backend: check_search(name, "cuda:3"),
            lambda name=backend: open_scanner(QUERIES, name, ScanOptions(device="cuda:3")),
        ):
            with pytest.raises(BadInputError, match="'cuda:3' is not there; FAISS sees: cpu, cuda:0"):
                refuse()
    check_search("faiss-hnsw", "cpu")
    with pytest.raises(BadInputError, match=r"'cuda' is not for index backend 'faiss-hnsw'.*Use device cpu"):
        check_search("faiss-hnsw", "cuda")


def test_what_a_search_would_refuse_is_refused_before_it(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    check_search("faiss-ivf", "cpu", {"lists": 4})
    with pytest.raises(UnknownNameError, match="'list'; available: lists, probed"):
        check_search("faiss-ivf", "cpu", {"list": 4})
    with pytest.raises(UnknownNameError, match="unknown index backend 'faiss-lsh'"):
        check_search("faiss-lsh")
    with pytest.raises(BadInputError, match="unknown device 'gpu'"):
        check_search("faiss-flat", "gpu")
    for backend in ("exact", "torch"):
        with pytest.raises(BadInputError, match="device 'cuda:1' is not there; this machine has: cpu"):
            check_search(backend, "cuda:1")


def test_without_faiss_its_backends_say_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "faiss", None)
    for backend in ("faiss-flat", "faiss-ivf", "faiss-hnsw"):
        with pytest.raises(
            BadInputError, match=r"FAISS cannot be loaded .*extra 'cpu' .* or with 'gpu'.*Never both"
        ):
            open_scanner(QUERIES, backend)
    assert open_scanner(QUERIES).scan(clustered(1, 2, 8)).similarity.shape == (2, 1)


def test_thread_count_of_faiss_is_given_back() -> None:
    import faiss

    before = faiss.omp_get_max_threads()
    queries = packed((40,), clustered(1, 40, 16), True)
    open_scanner(queries, "faiss_flat", ScanOptions(threads=1)).scan(clustered(2, 50, 16))
    assert faiss.omp_get_max_threads() == before
    np.testing.assert_equal(before > 0, True)


class FakeCard:
    """A GPU index as FAISS has them: it answers as the CPU's, but gives only short lists."""

    def __init__(self, index) -> None:
        self.index, self.ntotal = index, index.ntotal

    def search(self, vectors, k):
        if k > faiss_search.GPU_MOST:
            raise RuntimeError("GPU index only supports min/max-K selection up to 2048")
        return self.index.search(vectors, k)


@pytest.fixture
def card(monkeypatch: pytest.MonkeyPatch) -> list[FakeCard]:
    """FAISS with one card, and what was moved there."""
    moved: list[FakeCard] = []

    def to_gpu(resources, device, index):
        if isinstance(index, faiss.IndexHNSW):
            raise RuntimeError("Error in cloner\nThis index type is not implemented on GPU.")
        moved.append(FakeCard(index))
        return moved[-1]

    fakes = {"StandardGpuResources": object, "get_num_gpus": lambda: 1, "GpuIndex": FakeCard}
    fakes |= {"index_cpu_to_gpu": to_gpu, "index_gpu_to_cpu": lambda index: index.index}
    for name, value in fakes.items():
        monkeypatch.setattr(faiss, name, value, raising=False)
    return moved


def test_lists_too_long_for_a_card_are_made_on_the_host(card, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faiss_search, "GPU_MOST", 12)
    monkeypatch.setattr(faiss_flat, "GPU_MOST", 12)
    vectors = np.repeat(clustered(1, 4, 32), 25, axis=0)
    queries, samples = packed((60, 40), vectors, True), clustered(2, 200, 32)
    right, found = (
        open_scanner(queries, name, ScanOptions(device=device)).scan(samples)
        for name, device in (("exact", "cpu"), ("faiss_flat", "cuda"))
    )
    assert card
    for name in ("similarity", "nearest", "margin", "margin_query"):
        np.testing.assert_array_equal(getattr(found, name), getattr(right, name))


def test_an_index_that_no_card_holds_is_refused(card) -> None:
    with pytest.raises(
        BadInputError, match=r"IndexHNSWFlat to device 'cuda'.*not implemented.*use device cpu"
    ):
        open_scanner(packed((9,), clustered(1, 9, 32), True), "faiss_hnsw", ScanOptions(device="cuda"))
