"""`audit.json`: every number of the report, for programs. Its fields are described in `audit.schema.json`.

Version 1. A field may be added without a new version; none is renamed or changes its meaning.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from curation.audit import MARGINS, QUANTILES, SIMILARITIES, gap, quantiles
from curation.leakage import MODALITY_NAMES, Leakage
from pipeline import layout
from pipeline.report.by_chance.described import levels, unrelated_pairs
from pipeline.report.compare import Compared, Pair, above_reference, set_key
from pipeline.report.drawing.cascade import waterfall
from pipeline.report.evidence import Source
from pipeline.report.findings import Finding, Findings
from pipeline.report.loss_lines import loss_lines, note_lines, short_lines
from pipeline.report.outcomes import Rows
from pipeline.report.request import Search
from pipeline.report.scan import ALL, Measured
from pipeline.report.sections import ShownSection
from pipeline.report.statements import copied_by_reference, headline
from pipeline.report.tallies import Tallied, Tally

Json = dict[str, Any]
VERSION = 1


def document(findings: Findings) -> Json:
    """Put all numbers in one JSON object."""
    request = findings.request
    return {
        "schema": "nearfar audit",
        "version": VERSION,
        "plan": request.plan,
        "command": request.command,
        "levels": levels(findings),
        "headline": _headline(findings),
        "search": _search(request.search),
        "rows": {name: _rows(rows) for name, rows in findings.rows.items()},
        "pool": _measured(findings.measured[ALL]),
        "benchmarks": {finding.name: _benchmark(findings, finding) for finding in findings.benchmarks},
        "pair_list": _pair_list(findings),
        "measures": {tallied.name: _tallied(tallied) for tallied in findings.measures},
        "sections": {told.name: _told(told) for told in findings.told},
        "splits": {name: asdict(waterfall(facts)) for name, facts in findings.splits.items()},
        "provenance": request.provenance,
    }


def dumps(content: Json) -> bytes:
    """Write JSON of one form: sorted keys, ASCII, no NaN, a final newline."""
    text = json.dumps(content, indent=1, sort_keys=True, ensure_ascii=True, allow_nan=False)
    return text.encode("ascii") + b"\n"


def _headline(findings: Findings) -> Json:
    """Say what the report says first, with what was lost and what was noted about the sets."""
    said = headline(findings)
    noted = [*note_lines(findings.noted), *copied_by_reference(findings), *short_lines(findings.splits)]
    return {"level": said.level, "text": said.text, "lost": loss_lines(findings.rows), "notes": noted}


def _pair_list(findings: Findings) -> Json | None:
    """Say what `pairs.parquet` and `pairs.csv` hold, and whether a pair above the level may be missing."""
    found = findings.pair_list
    if found is None:
        return None
    return {
        "files": [layout.report("pairs.parquet"), layout.report("pairs.csv")],
        "above": findings.request.options.soft,
        "neighbours": found.neighbours,
        "complete": found.complete,
        "benchmarks": {
            name: {"pairs": each.pairs, "beyond_neighbours": each.beyond, "queries_cut": len(each.cut)}
            for name, each in found.coverage.items()
        },
    }


def _rows(rows: Rows) -> Json:
    return asdict(rows) | {"lost": rows.lost, "measured": rows.measured}


def _search(search: Search) -> Json:
    """Say how neighbours were found; how far off an approximate search was, only where it was one."""
    described = asdict(search)
    if search.exact:
        for name in ("compared", "similarity_error", "differing_decisions"):
            del described[name]
    return described


def _benchmark(findings: Findings, finding: Finding) -> Json:
    compared = finding.compared
    splits = [split.name for split in findings.request.splits if set_key(split.name) in compared.sets]
    return {
        "dataset": compared.files.rows.dataset,
        "queries": len(compared.queries),
        "verdict": asdict(finding.verdict) | {"fraction": finding.verdict.fraction},
        "reference": _set(findings, compared, "reference"),
        "pool": _set(findings, compared, "pool"),
        "splits": {name: _set(findings, compared, set_key(name)) for name in splits},
        "pool_minus_reference": _gain(findings, compared),
        "pool_samples": _measured(compared.measured),
        "leakage": [_source(found, len(compared.queries)) for found in finding.sources],
        "unrelated_pairs": unrelated_pairs(finding.chance),
        "pairs": [_pair(findings, compared, pair) for pair in compared.pairs],
    }


def _set(findings: Findings, compared: Compared, name: str) -> Json | None:
    if name not in compared.sets:
        return None
    answers = compared.sets[name]
    found = gap(answers.nearest)
    return {
        "answered": found.answered,
        "mean": found.mean,
        "quantiles": dict(zip(map(str, QUANTILES), found.quantiles, strict=False)),
        "histogram": SIMILARITIES.described(found.counts),
        "queries_above": {str(t): int(np.count_nonzero(answers.nearest > t)) for t in findings.thresholds},
        "queries_above_reference": above_reference(compared, answers),
        "median_by_rank": list(answers.medians),
    }


def _gain(findings: Findings, compared: Compared) -> Json | None:
    """How much nearer than the reference the pool comes, per query."""
    if not findings.request.has_reference:
        return None
    gain = compared.sets["pool"].nearest - compared.queries.threshold
    found = quantiles(gain[~np.isnan(gain)])
    return {
        "quantiles": dict(zip(map(str, QUANTILES), found, strict=False)),
        "histogram": MARGINS.described(MARGINS.count(gain)),
    }


def _measured(measured: Measured) -> Json:
    return {
        "measured": measured.samples,
        "above": {str(threshold): count for threshold, count in measured.above.items()},
        "margin_above_0": measured.over,
        "similarity": SIMILARITIES.described(measured.similarity),
        "margin": MARGINS.described(measured.margin),
    }


def _tallied(tallied: Tallied) -> Json:
    columns = {column.name: _column(column) for column in tallied.columns}
    return {"measure": tallied.kind, "rows": tallied.rows, "columns": columns}


def _told(told: ShownSection) -> Json:
    """Write a section's numbers, or why it is left out."""
    if told.panel is None:
        return {"title": told.title, "left_out": told.reason, "numbers": None}
    return {"title": told.title, "left_out": None, "numbers": dict(told.panel.numbers)}


def _column(column: Tally) -> Json:
    numbers = {"min": column.least, "mean": column.mean, "max": column.most}
    finite = {name: v if v is not None and math.isfinite(v) else None for name, v in numbers.items()}
    described = {"meaning": column.meaning, "type": column.type, "of": column.of}
    return described | {"measured": column.measured, "null": column.missing} | finite


def _source(found: Source, queries: int) -> Json:
    return {
        "source": found.name,
        "dataset": found.dataset,
        "coverage": found.coverage,
        "hard": _leakage(found.hard, queries),
        "soft": _leakage(found.soft, queries),
        "identical": asdict(found.identical) | {"fraction": found.identical.queries / max(queries, 1)},
        "identical_left": dict(found.left),
        "identical_listed": [{"sha256": s, "uid": uid, "key": key} for s, uid, key in found.listed],
    }


def _leakage(found: Leakage, queries: int) -> Json:
    return {
        "above": found.above,
        "queries": found.queries,
        "fraction": found.queries / max(queries, 1),
        "by_modality": dict(zip(MODALITY_NAMES, found.by_modality, strict=True)),
        "crowded": found.crowded,
        "confidence": found.confidence,
    }


def _pair(findings: Findings, compared: Compared, pair: Pair) -> Json:
    queries = compared.queries
    sample = findings.samples["pool"].get(pair.uid)
    return {
        "group": pair.group,
        "query": pair.query,
        "query_key": queries.key[pair.query],
        "uid": pair.uid,
        "key": None if sample is None else sample.key,
        "similarity": pair.similarity,
        "threshold": pair.threshold,
        "margin": pair.margin,
        "identical": is_identical(findings, compared, pair),
        "following": [{"uid": uid, "similarity": similarity} for uid, similarity in pair.following],
    }


def is_identical(findings: Findings, compared: Compared, pair: Pair) -> bool:
    """Say whether the two files of a pair have the same sha256."""
    sample = findings.samples["pool"].get(pair.uid)
    sha256 = compared.queries.sha256[pair.query]
    return bool(sha256) and sample is not None and sample.sha256 == sha256


def facts(content: Mapping[str, Any]) -> Json:
    """Pick the few numbers that belong into a commit record."""
    return {
        "verdicts": {name: found["verdict"] for name, found in content["benchmarks"].items()},
        "version": content["version"],
    }
