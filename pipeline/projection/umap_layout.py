"""Places on a plane by UMAP (McInnes, Healy and Melville 2018), as umap-learn has it: seeded, in one thread."""

from __future__ import annotations

import warnings
from importlib.util import find_spec

import numpy as np
from numpy.typing import NDArray

from indexes.errors import BadInputError
from pipeline.projection.atlas_request import SEED

PACKAGE = "umap"
NEIGHBOURS = 15
"""UMAP's own default; a sample counts as its own neighbour."""


def check_installed() -> None:
    """Look whether the package is there.

    Raises:
        BadInputError: If not.
    """
    if find_spec(PACKAGE) is None:
        raise BadInputError(
            "an atlas is laid out by umap-learn, which is not installed; pip install '.[atlas]' in nearfar's folder "
            "installs it"
        )


def places(
    vectors: NDArray[np.float16], rows: NDArray[np.int64], distances: NDArray[np.float32]
) -> NDArray[np.float64]:
    """Lay samples out.

    Args:
        vectors: `(n, d)` canonical vectors.
        rows: `(n, k)` nearest samples of each, itself first.
        distances: `(n, k)` 1 - cosine.

    Returns:
        `(n, 2)` places; near ones are of similar samples, and distances between far ones mean little.
    """
    import umap

    laid_out = umap.UMAP(
        n_neighbors=rows.shape[1],
        metric="cosine",
        random_state=SEED,
        n_jobs=1,
        # The spectral start asks for more eigenvectors than a handful of samples have.
        init="spectral" if len(vectors) > 4 * NEIGHBOURS else "random",
        precomputed_knn=(rows, distances, None),
        force_approximation_algorithm=True,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that no further samples can be placed, which nobody wants
        found: NDArray[np.float64] = laid_out.fit_transform(vectors.astype(np.float32)).astype(np.float64)
    return found
