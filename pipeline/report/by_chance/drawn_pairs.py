"""How alike drawn pairs are, as the committed file has it."""

from __future__ import annotations

import json

import numpy as np

from curation.chance_pairs import ChanceLevel, ChancePairs
from indexes.errors import DataError
from pipeline.report.request import BenchmarkFiles, ReportRequest


def read_chance(request: ReportRequest, files: BenchmarkFiles) -> ChancePairs | None:
    """Read what was found of a benchmark's drawn pairs; None where they were not looked at.

    Raises:
        DataError: If the file is missing or damaged.
    """
    if files.unrelated is None:
        return None
    path = request.path(files.unrelated)
    try:
        found = json.loads(path.read_bytes())
        found["levels"] = tuple(ChanceLevel(**level) for level in found["levels"])
        found["counts"] = np.array(found["counts"], dtype=np.int64)
        found["quantiles"] = tuple(found["quantiles"])
        return ChancePairs(**found)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise DataError(
            f"'{path}' was committed by the run but cannot be read now ({error}); `nearfar verify OUT --repair` on the "
            "output folder makes again what is damaged"
        ) from error
