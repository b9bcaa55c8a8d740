"""What the drawn pairs say of the levels: in words, and which level would do where the plan's own does not.

A level that unrelated pairs reach says nothing about copies. So the soft level should not lie below the similarity that
one unrelated pair in ten thousand exceeds, and the hard one not below that of the smallest rate that the draw can tell.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from curation.chance_pairs import RATES, ChancePairs
from pipeline.report.drawing.text import count, similarity
from pipeline.report.findings import Finding, Findings


@dataclass(frozen=True, slots=True)
class Suggestion:
    """Levels that would do; None for one that the plan has high enough."""

    soft: float | None
    hard: float | None


def suggestion(findings: Findings) -> Suggestion:
    """Compare the plan's levels with what the drawn pairs of all its benchmarks allow."""
    drawn = [finding.chance for finding in findings.benchmarks if finding.chance is not None]
    options = findings.request.options
    soft = _higher(options.soft, [found.stated.at for found in drawn if found.stated])
    hard = _higher(options.hard, [found.levels[-1].at for found in drawn if found.levels])
    if soft is not None and soft > (hard or options.hard):
        hard = soft
    return Suggestion(soft, hard)


def _higher(level: float, needed: list[float]) -> float | None:
    """Round the highest of the needed levels up to three decimals, where the level lies below it."""
    highest = max(needed, default=-1.0)
    return math.ceil(highest * 1000 - 1e-9) / 1000 if level < highest else None


def advice(findings: Findings) -> str:
    """Say which level to set where one lies too low; empty where none does."""
    options, better = findings.request.options, suggestion(findings)
    levels = (("soft", options.soft, better.soft), ("hard", options.hard, better.hard))
    low = [(name, have, level) for name, have, level in levels if level is not None]
    if not low:
        return ""
    said = " and ".join(f"the {name} level {have:g}" for name, have, _ in low)
    settings = " ".join(f"--set audit.{name}={min(level, 1.0):g}" for name, _, level in low)
    verb = "lies" if len(low) == 1 else "lie"
    return (
        f"{said[0].upper()}{said[1:]} {verb} where unrelated pairs of this encoder lie too, unless so many of the "
        f"pool's samples are copies. Levels that they do not reach: {settings}"
    )


def chance_sentence(finding: Finding, samples: int) -> str:
    """Say how alike drawn pairs of a benchmark are, and what the draw cannot tell; empty where none were drawn.

    Args:
        finding: The benchmark's.
        samples: Samples of the pool that were measured.
    """
    found = finding.chance
    if found is None:
        return ""
    drawn = f"{count(found.pairs)} pairs of a query and a pool sample drawn by hash"
    stated = found.stated
    if stated is None:
        return f"{drawn} are too few to say what unrelated pairs reach; the highest is {_highest(found)}."
    error = "" if stated.error is None else f" (±\u00a0{stated.error:.4f})"
    expected = stated.rate * samples
    by_chance = f"{expected:,.1f}" if expected >= 0.05 else "less than 0.1"
    return (
        f"Of {drawn}, 1 in {count(round(1 / stated.rate))} is above {similarity(stated.at)}{error}; the highest is "
        f"{_highest(found)}. So among {count(samples)} samples a query has {by_chance} above that level by chance. "
        f"{_limits(found)}"
    )


def _highest(found: ChancePairs) -> str:
    return similarity(found.quantiles[-1] if found.quantiles else None)


def _limits(found: ChancePairs) -> str:
    """Say which rates the draw is too small for, and what it may hold beside unrelated pairs."""
    told = {level.rate for level in found.levels}
    untold = [rate for rate in RATES if rate not in told]
    few = (
        f"Rates of 1 in {count(round(1 / untold[0]))} and below cannot be told from so few pairs. "
        if untold
        else ""
    )
    return f"{few}Copies among the drawn pairs can only make the level higher."


def mark(found: ChancePairs) -> tuple[float, str] | None:
    """Give the stated level with its name, for a chart."""
    stated = found.stated
    if stated is None:
        return None
    return stated.at, f"1 in {count(round(1 / stated.rate))}"
