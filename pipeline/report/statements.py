"""The sentences of a report. Only equal bytes are called copies; everything else is shown, not asserted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from curation.leakage import LEVELS, Leakage
from pipeline.readers import tells_of_missing_files
from pipeline.report.by_chance.calibration import advice
from pipeline.report.compare import above_reference
from pipeline.report.drawing.text import count, percent
from pipeline.report.findings import Finding, Findings
from pipeline.report.request import ReportOptions, Search

HEADLINES = {
    "identical": "Byte-identical files found",
    "hard": "Very near pairs found: probably copies, look at them",
    "soft": "Near pairs found: possibly copies",
    "none": "No near pair found",
}
# No near pair was found, but what was not looked at could change that, or the pool comes nearer than the reference.
OPEN = "open"


@dataclass(frozen=True, slots=True)
class Headline:
    """What a report says first: its text, and its level ("identical", "hard", "soft", "open" or "none")."""

    level: str
    text: str


def headline(findings: Findings) -> Headline:
    """Say the gravest finding; that all is well only where nothing that was left out could change it."""
    if not findings.benchmarks:
        return Headline("none", "Nothing was compared: the plan names no benchmark")
    level = gravest(findings.benchmarks)
    doubts = _doubts(findings, findings.benchmarks) if level == "none" else []
    if not doubts:
        return Headline(level, HEADLINES[level])
    return Headline(OPEN, f"{HEADLINES[level]}, but {'; '.join(doubts)}")


def level_of(findings: Findings, finding: Finding) -> str:
    """Name the level of one benchmark as it is shown: "open" where "none" would say too much."""
    level = finding.verdict.level
    return OPEN if level == "none" and _doubts(findings, [finding]) else level


def _doubts(findings: Findings, of: Sequence[Finding]) -> list[str]:
    """List what keeps "no near pair" from being the whole truth.

    Rows that the reference lost are no doubt: with them, thresholds could only be higher and fewer samples nearer.
    """
    names = ["pool", *(f"benchmark {finding.name}" for finding in of)]
    rows = {name: findings.rows[name] for name in names}
    doubts = [
        f"{count(found.lost)} of {count(found.listed)} rows of {name} could not be compared"
        for name, found in rows.items()
        if found.lost
    ]
    noted = findings.noted
    doubts += [
        f"files of {name} may be missing ({note.partition(';')[0]})"
        for name in names
        for note in noted[name]
        if tells_of_missing_files(note)
    ]
    doubts += _nearer_than_reference(of)
    if not findings.request.search.exact:
        doubts.append("the search was approximate and may miss near samples")
    return doubts


def _nearer_than_reference(of: Sequence[Finding]) -> list[str]:
    """Say for how many queries the pool holds a sample nearer than the reference comes: what near-pruning is about."""
    nearer = sum(above_reference(found.compared, found.compared.sets["pool"]) or 0 for found in of)
    queries = sum(found.verdict.queries for found in of)
    if not nearer:
        return []
    verb = "has" if nearer == 1 else "have"
    return [
        f"{count(nearer)} of {count(queries)} queries ({percent(nearer / queries)}) {verb} a pool sample nearer than "
        "the reference comes"
    ]


def gravest(findings: Sequence[Finding]) -> str:
    """Name the gravest level over all benchmarks."""
    return max((finding.verdict.level for finding in findings), key=LEVELS.index, default="none")


def sentence(finding: Finding, options: ReportOptions) -> str:
    """Say what was found of one benchmark, and of how many of its queries."""
    found = finding.verdict
    share = f"{count(found.affected)} of {count(found.queries)} queries ({percent(found.fraction)})"
    if found.level == "identical":
        hard = finding.sources[0].hard.queries
        more = f" {count(hard)} have a pool sample above {options.hard:g}, by similarity." if hard else ""
        return f"{share} have a byte-identical file in the pool.{more}"
    if found.level == "none":
        nearer = above_reference(finding.compared, finding.compared.sets["pool"]) or 0
        verb = "has" if nearer == 1 else "have"
        more = f" {count(nearer)} {verb} one nearer than the reference comes." if nearer else ""
        return f"None of {count(found.queries)} queries has a pool sample above {options.soft:g}.{more}"
    level = options.hard if found.level == "hard" else options.soft
    return f"{share} have a pool sample above {level:g}."


def confidence(finding: Finding, search: Search) -> str:
    """Say how sure the verdict is, and why."""
    found, pool = finding.verdict, finding.sources[0]
    if found.level == "identical":
        return "certain: the files' sha256 are equal"
    if found.level == "none":
        if search.exact:
            return "moderate: every sample was compared, but only as this encoder sees it"
        return "low: the search was approximate and may miss near samples"
    leak = pool.hard if found.level == "hard" else pool.soft
    if leak.mostly_crowded:
        return f"low: {_crowd(leak)}"
    return f"{found.confidence}: similarity alone is not identity"


def _crowd(leak: Leakage) -> str:
    return (
        f"{count(leak.crowded)} of them have a whole crowd of samples above {leak.above:g}, "
        "as plain backgrounds and common motifs give"
    )


def notes(findings: Findings) -> list[str]:
    """List what a reader must know to weigh the verdict."""
    if not findings.benchmarks:
        return []
    found = [_search(findings.request.search)] + ([better] if (better := advice(findings)) else [])
    if not all(finding.sources[0].identical.checked for finding in findings.benchmarks):
        found.append(
            "Byte-identical files could not be looked for where a set brings vectors instead of image files."
        )
    return [*found, *copied_by_reference(findings)]


def copied_by_reference(findings: Findings) -> list[str]:
    """Say which benchmarks have copies in the reference, so that their thresholds tell nothing near from far."""
    options, found = findings.request.options, list[str]()
    # An audit cuts no split: nothing was pruned.
    missed = "near-pruning may let copies pass" if findings.request.splits else "copies may lie below them"
    for finding in findings.benchmarks:
        for source in finding.sources[1:]:
            if source.hard.queries:
                found.append(
                    f"The reference itself has a sample above {options.hard:g} for {count(source.hard.queries)} of "
                    f"{count(finding.verdict.queries)} queries of {finding.name}. Their "
                    f"thresholds lie so high that {missed}."
                )
    return found


def pair_note(findings: Findings) -> str:
    """Say where all near pairs are listed, and which may be missing there."""
    found = findings.pair_list
    if found is None:
        return ""
    listed = (
        f"All pairs above {findings.request.options.soft:g} that the run knows of, {count(found.pairs)}, are in "
        "pairs.csv and pairs.parquet beside this file"
    )
    if not found.cut:
        return f"{listed}."
    return (
        f"{listed}: every sample above it, with its nearest query at least, and each query's {count(found.neighbours)} "
        f"nearest samples. {count(found.cut)} queries have more than these above it; a larger "
        "neighbours in the plan lists them."
    )


def _search(search: Search) -> str:
    if search.exact:
        return f"Neighbours are exact (backend {search.backend}): every sample was compared with every query."
    if search.recall is None or search.sampled is None:
        return f"Neighbours are approximate (backend {search.backend}): near samples may be missing."
    error, decided = search.similarity_error or 0.0, search.differing_decisions
    checked = (
        f"Neighbours are approximate (backend {search.backend}): of {count(search.sampled)} samples checked exactly, "
        f"the nearest query was found in {percent(search.recall)} of {count(search.compared or 0)} comparisons with a "
        f"benchmark, similarities were too low by at most {_amount(error)}"
    )
    if decided is None:
        return f"{checked}."
    return f"{checked}, and {count(decided)} of the decisions of near-pruning differ."


def _amount(error: float) -> str:
    """Write an error with four decimals; what is not zero never reads as zero."""
    return f"{error:.4f}" if error == 0 or error >= 0.00005 else f"{error:.0e}"
