"""Every exact backend on embeddings of real photographs, against the published number of drops."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from test_index_conformance import exact_backend, open_variant

from indexes.canonical import canonical
from indexes.queries import Queries
from indexes.search import ScanOptions

pytestmark = pytest.mark.real_data


def vectors_of(folder: Path) -> NDArray[np.float16]:
    files = sorted((folder / "img_emb").glob("*.npy"), key=lambda file: int(file.stem.rpartition("_")[2]))
    found = canonical(np.concatenate([np.load(file) for file in files]))
    assert found.healthy.all()
    return found.vectors


@exact_backend
def test_near_pruning_of_flickr8k_drops_575(backend: str, real_data: Path) -> None:
    """Even rows of the ImageNet samples are the reference, odd rows the benchmark."""
    samples, photographs = (
        vectors_of(real_data / "flickr8k-mobilenet"),
        vectors_of(real_data / "imagenet-samples-mobilenet"),
    )
    starts, options = np.array([0, 500], np.int64), ScanOptions(k=1, threads=2)
    calibration = open_variant(Queries(photographs[1::2], ("imagenet",), starts, None), backend, options)
    calibration.scan(photographs[::2])
    thresholds = calibration.neighbours().similarity[:, 0]
    scanner = open_variant(Queries(photographs[1::2], ("imagenet",), starts, thresholds), backend, options)
    margin = np.concatenate([scanner.scan(block).margin for block in np.split(samples, [1, 333])])[:, 0]
    assert (margin > 0).sum() == 575
    assert (np.abs(margin) < 1e-4).sum() == 5
    exact = samples.astype(np.float64) @ photographs[1::2].astype(np.float64).T
    np.testing.assert_array_equal(margin, (exact - thresholds).max(axis=1))
