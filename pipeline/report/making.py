"""Make the report from the committed files."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from pipeline import layout
from pipeline.report.document import document, dumps, facts
from pipeline.report.findings import collect
from pipeline.report.near_pairs.pair_files import write_pairs
from pipeline.report.page import render
from pipeline.report.request import ReportRequest, Writer

HTML = layout.report("report.html")
JSON = layout.report("audit.json")


def build_report(request: ReportRequest, attempt: Writer) -> dict[str, Any]:
    """Write `report.html` and `audit.json`, and beside them all near pairs where the plan names a benchmark.

    Args:
        request: The committed files by role, and how to show them.
        attempt: Where to write.

    Returns:
        The verdict per benchmark, for the commit record.

    Raises:
        DataError: If the queries of a benchmark are not what the run wrote.
    """
    findings = collect(request)
    if findings.benchmarks:
        compared = [finding.compared for finding in findings.benchmarks]
        findings = replace(findings, pair_list=write_pairs(request, compared, attempt))
    content = document(findings)
    attempt.file(JSON).write_bytes(dumps(content))
    attempt.add(JSON)
    attempt.file(HTML).write_bytes(render(findings))
    attempt.add(HTML)
    return facts(content)
