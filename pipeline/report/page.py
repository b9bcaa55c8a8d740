"""Render `report.html`: one file, no script, nothing loaded from anywhere."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from curation.audit import QUANTILES
from pipeline.report.drawing import text
from pipeline.report.drawing.benchmark_view import flattened, leak_rows, pool_charts, section
from pipeline.report.drawing.cascade import waterfall
from pipeline.report.drawing.worst import by_gravity, missing_pictures, worst
from pipeline.report.findings import Findings
from pipeline.report.loss_lines import note_lines, short_lines, weighed_losses
from pipeline.report.statements import headline, notes, pair_note

FOLDER = Path(__file__).parent


@cache
def _environment() -> Environment:
    """Prepare the templates, once in a process: to compile them takes longer than to fill them in."""
    # autoescape=True and not a choice by file name: every value is escaped in every template.
    environment = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "count": text.count,
        "percent": text.percent,
        "similarity": text.similarity,
        "margin": text.margin,
        "number": text.number,
        "visible": text.brief,
        "pieces": text.pieces,
        "whole": text.visible,
    }
    return environment


def render(findings: Findings) -> bytes:
    """Write the page as UTF-8.

    Nothing may load or run: the policy allows `data:` pictures and the one style sheet whose hash it names.
    """
    style = (FOLDER / "report.css").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode("ascii")
    whole = [section(findings, finding, at) for at, finding in enumerate(findings.benchmarks)]
    first, sections = worst(whole)
    policy = (
        f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    )
    page = (
        _environment()
        .get_template("report.html.j2")
        .render(
            policy=policy,
            style=style,
            request=findings.request,
            findings=findings,
            headline=headline(findings),
            lost=weighed_losses(findings.rows),
            noted=[*note_lines(findings.noted), *short_lines(findings.splits)],
            notes=[*notes(findings), *missing_pictures(whole)],
            worst=first,
            pair_note=pair_note(findings),
            sections=sections,
            ranked=by_gravity(sections),
            told=findings.told,
            pool_charts=pool_charts(findings),
            leaks=leak_rows(findings),
            waterfalls={name: waterfall(facts).gathered for name, facts in findings.splits.items()},
            provenance={name: list(flattened(value)) for name, value in findings.request.provenance.items()},
            quantiles=QUANTILES,
        )
    )
    return page.encode()
