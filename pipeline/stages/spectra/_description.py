"""What a population's sums say, as rows of the tables."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from curation.kernels.exact_moments import Moments
from curation.kernels.singular_spectrum import Spectrum, spectrum_of_cross, spectrum_of_rows, uniformity
from curation.measure import VECTORS

VALUES = pa.schema(
    [
        ("population", pa.string()),
        ("of", pa.string()),
        ("rank", pa.int32()),
        ("singular_value", pa.float64()),
    ]
)
SUMMARY = pa.schema(
    [
        ("population", pa.string()),
        ("of", pa.string()),
        ("samples", pa.int64()),
        ("width", pa.int32()),
        ("rank", pa.int32()),
        ("tolerance", pa.float64()),
        ("effective_rank", pa.float64()),
        ("r", pa.int32()),
        ("condition", pa.float64()),
        ("uniformity", pa.float64()),
        ("mean_paired", pa.float64()),
        ("mean_unpaired", pa.float64()),
        ("modality_gap", pa.float64()),
    ]
)


def describe(
    sums: Moments, drawn: NDArray[np.float16], kinds: tuple[str, ...], widths: tuple[int, ...]
) -> dict[str, tuple[Spectrum, dict[str, Any]]]:
    """Describe the image vectors, the text vectors, and both together.

    Args:
        sums: Of rows of image and text vectors side by side, at least one.
        drawn: Some of the rows.
        kinds: Which vectors there are.
        widths: How many numbers each has.
    """
    covariance, ends = sums.covariance(), np.cumsum([0, *widths])
    places = {kind: slice(ends[n], ends[n + 1]) for n, kind in enumerate(kinds)}
    found = {}
    for kind, place in places.items():
        spectrum = spectrum_of_rows(covariance[place, place])
        found[kind] = (spectrum, _row(sums, spectrum) | {"uniformity": uniformity(drawn[:, place])})
    if len(kinds) > 1 and len(set(widths)) == 1:
        image, text = (places[kind] for kind in VECTORS)
        cross = spectrum_of_cross(covariance[image, text])
        found["cross"] = (cross, _row(sums, cross) | _between(sums, image, text))
    return found


def _row(sums: Moments, found: Spectrum) -> dict[str, Any]:
    return {
        "samples": sums.count,
        "width": len(found.values),
        "rank": found.rank,
        "tolerance": found.tolerance,
        "effective_rank": found.effective_rank,
        "r": found.r,
        "condition": found.condition,
    }


def _between(sums: Moments, image: slice, text: slice) -> dict[str, Any]:
    """Mean cosine of the pairs, and of an image with another pair's caption; how far both means lie apart."""
    middle, count = sums.mean(), sums.count
    paired = float(np.add.reduce(np.diag(sums.second()[image, text])))
    every = float(np.add.reduce(middle[image] * middle[text]))
    apart = middle[image] - middle[text]
    return {
        "mean_paired": paired,
        "mean_unpaired": (count * every - paired) / (count - 1) if count > 1 else None,
        "modality_gap": float(np.sqrt(np.add.reduce(apart * apart))),
    }
