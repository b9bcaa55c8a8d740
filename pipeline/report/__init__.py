"""The report: `report/report.html` for people and `report/audit.json` for programs."""

from __future__ import annotations

from pipeline.report.answers import nearest_similarities
from pipeline.report.making import build_report
from pipeline.report.request import (
    BenchmarkFiles,
    MeasureFiles,
    ReportOptions,
    ReportRequest,
    Search,
    SetFiles,
    SplitFiles,
)

__all__ = [
    "BenchmarkFiles",
    "MeasureFiles",
    "ReportOptions",
    "ReportRequest",
    "Search",
    "SetFiles",
    "SplitFiles",
    "build_report",
    "nearest_similarities",
]
