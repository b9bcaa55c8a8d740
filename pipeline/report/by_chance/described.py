"""What `audit.json` says of drawn pairs and of the levels."""

from __future__ import annotations

from typing import Any

from curation.audit import QUANTILES, SIMILARITIES
from curation.chance_pairs import ChancePairs
from pipeline.report.by_chance.calibration import suggestion
from pipeline.report.findings import Findings

Json = dict[str, Any]


def levels(findings: Findings) -> Json:
    """Give the levels, and those that would do where unrelated pairs reach them."""
    options, better = findings.request.options, suggestion(findings)
    return {
        "hard": options.hard,
        "soft": options.soft,
        "suggested_hard": better.hard,
        "suggested_soft": better.soft,
    }


def unrelated_pairs(found: ChancePairs | None) -> Json | None:
    """Say how alike drawn pairs are, and the levels that keep a rate of them."""
    if found is None:
        return None
    return {
        "queries": found.queries,
        "samples": found.samples,
        "pairs": found.pairs,
        "identical_left_out": found.left_out,
        "quantiles": dict(zip(map(str, QUANTILES), found.quantiles, strict=False)),
        "histogram": SIMILARITIES.described(found.counts),
        "levels": [
            {"rate": level.rate, "similarity": level.at, "standard_error": level.error}
            for level in found.levels
        ],
    }
