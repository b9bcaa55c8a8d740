"""The report: `report/report.html` for people and `report/audit.json` for programs."""

from __future__ import annotations

from pipeline.report.findings import failing
from pipeline.report.making import build_report
from pipeline.report.request import (
    BenchmarkFiles,
    Options,
    ReportRequest,
    Search,
    SetFiles,
    SplitFiles,
)

__all__ = [
    "BenchmarkFiles",
    "Options",
    "ReportRequest",
    "Search",
    "SetFiles",
    "SplitFiles",
    "build_report",
    "failing",
]
