"""FAISS's own answers where it is exact, and honest numbers where it is not."""

from __future__ import annotations

import numpy as np
import pytest
from vector_worlds import clustered, packed, uids_of

from indexes.backends import faiss_flat, faiss_hnsw, faiss_ivf
from indexes.errors import BadInputError
from indexes.quality import measure_quality
from indexes.scanner import ScanOptions
from indexes.search import is_exact, open_scanner

approximate = pytest.mark.parametrize("backend", ["faiss_ivf", "faiss_hnsw"])


@approximate
def test_approximate_backends_declare_and_measure_themselves(backend: str) -> None:
    assert not is_exact(backend)
    queries = packed((900, 300), clustered(1, 1200, 48, clusters=300), True)
    samples = clustered(2, 3000, 48, clusters=300)
    found = measure_quality(queries, backend, samples, rows=500)
    assert found.rows == 500
    assert 0.8 <= found.recall <= 1
    assert (found.similarity_error == 0) == (found.recall == 1)
    assert found == measure_quality(queries, backend, samples, rows=500)


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
    found = measure_quality(queries, "faiss_flat", samples)
    assert (found.rows, found.recall, found.similarity_error, found.differing_decisions) == (100, 1.0, 0.0, 0)
    assert measure_quality(queries, "faiss_ivf", samples[:0]).recall == 1.0


@pytest.mark.parametrize("module", [faiss_flat, faiss_ivf, faiss_hnsw])
def test_cpu_faiss_refuses_a_gpu(module) -> None:
    import faiss

    if hasattr(faiss, "StandardGpuResources"):
        pytest.skip("this FAISS can use a GPU")
    with pytest.raises(BadInputError, match="'gpu' extra"):
        module.open_scanner(packed((5,), clustered(1, 5, 8), False), ScanOptions(device="cuda"))


def test_thread_count_of_faiss_is_given_back() -> None:
    import faiss

    before = faiss.omp_get_max_threads()
    queries = packed((40,), clustered(1, 40, 16), True)
    open_scanner(queries, "faiss_flat", ScanOptions(threads=1)).scan(clustered(2, 50, 16))
    assert faiss.omp_get_max_threads() == before
    np.testing.assert_equal(before > 0, True)
