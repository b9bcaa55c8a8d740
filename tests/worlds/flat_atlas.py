"""Atlases whose layout is two numbers of each vector: umap-learn takes seconds to be compiled, in every process.

Given as a script: the output folder, a split, and how many samples at most.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.atlases.drawing_up import draw_atlas
from pipeline.execution.progress import Progress
from pipeline.projection import umap_layout
from pipeline.projection.atlas_request import AtlasRequest
from pipeline.run import RunOptions


def flat(vectors: NDArray[np.float16], *_: NDArray[Any]) -> NDArray[np.float64]:
    return vectors[:, :2].astype(np.float64)


def draw_flat_atlas(out: Path, request: AtlasRequest) -> dict[str, Any]:
    with pytest.MonkeyPatch.context() as patched, Progress(out, live=False) as progress:
        patched.setattr(umap_layout, "places", flat)
        return draw_atlas(out, request, RunOptions(), progress)


if __name__ == "__main__":
    draw_flat_atlas(Path(sys.argv[1]).resolve(), AtlasRequest(sys.argv[2], most=int(sys.argv[3])))
