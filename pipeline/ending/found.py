"""What a run found, in few numbers. The lines at its end and the last object of `--json` are both made of these.

All of it comes from the committed `audit.json`, so that terminal and report have the same counts of the same rows.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field

from curation.losses import Lost
from pipeline import layout
from pipeline.commit import sound_bytes
from pipeline.ending.exported_lines import Exported
from pipeline.execution.context import RunContext
from pipeline.execution.work import Json
from pipeline.report.outcomes import Rows
from pipeline.stores.store_addresses import is_address


def _said(meaning: str) -> Any:
    return Field(description=meaning)


@dataclass(frozen=True, slots=True)
class FirstSaid:
    """What the report says first."""

    level: Annotated[
        str, _said("none, open, soft, hard or identical: the gravest verdict, as in audit.json.")
    ]
    text: Annotated[str, _said("In words.")]
    lost: Annotated[tuple[str, ...], _said("A line for each set that lost rows, with the first reasons.")]
    notes: Annotated[
        tuple[str, ...],
        _said(
            "A line for each set about whose files something is to be known, or that has copies in the reference, and "
            "for each split that keeps nothing, or less than its rules were to take."
        ),
    ]


@dataclass(frozen=True, slots=True)
class Levels:
    """Similarities above which a pair counts."""

    hard: Annotated[float, _said("As the same image gives.")]
    soft: Annotated[float, _said("As a near-copy gives.")]


@dataclass(frozen=True, slots=True)
class NearBenchmark:
    """What the pool holds near one benchmark."""

    queries: Annotated[int, _said("Queries of the benchmark.")]
    hard: Annotated[int, _said("Queries with a pool sample above the hard level.")]
    soft: Annotated[
        int, _said("Queries with a pool sample above the soft level, those of `hard` among them.")
    ]
    nearer_than_reference: Annotated[
        int | None, _said("Queries with a pool sample nearer than the reference comes; null without one.")
    ]
    samples_above_threshold: Annotated[
        int | None,
        _said(
            "Pool samples above the threshold of some query, which `near` prunes; null without a reference."
        ),
    ]


@dataclass(frozen=True, slots=True)
class SetRows:
    """What became of the rows of one set; failed, quarantined, repeated and measured ones add up to those listed."""

    listed: Annotated[int, _said("Rows that the set lists.")]
    measured: Annotated[int, _said("Rows that were read and take part.")]
    lost: Annotated[int, _said("Rows that nothing was compared with: failed or quarantined.")]
    failed: Annotated[dict[str, int], _said("Rows that could not be read, by reason.")]
    quarantined: Annotated[dict[str, int], _said("Rows whose image or vector was refused, by reason.")]
    repeated: Annotated[int, _said("Rows that repeat a uid and take no part.")]


@dataclass(frozen=True, slots=True)
class SplitStep:
    """One rule of a split, or what it starts from."""

    rule: Annotated[str, _said("Its place and name, `1:near`; or `from`, for other splits.")]
    offered: Annotated[int, _said("Samples of a further set that it brings in; 0 for most rules.")]
    dropped: Annotated[int, _said("Samples that it drops, of these and of what the one before it kept.")]
    kept: Annotated[int, _said("Samples that it keeps.")]


@dataclass(frozen=True, slots=True)
class KeptSplit:
    """What a split keeps of the pool."""

    rows: Annotated[int, _said("Rows that the pool lists, lost ones included.")]
    kept: Annotated[int, _said("Samples that stay.")]
    rules: Annotated[tuple[SplitStep, ...], _said("What each of its rules keeps, in their order.")]


@dataclass(frozen=True, slots=True)
class ListedPairs:
    """The list of near pairs."""

    files: Annotated[tuple[str, ...], _said("Where it is.")]
    above: Annotated[float, _said("The level that its pairs are above.")]
    pairs: Annotated[int, _said("How many it has.")]
    neighbours: Annotated[int, _said("How many samples it has at most of one query.")]
    queries_cut: Annotated[int, _said("Queries that may have more than those.")]


@dataclass(frozen=True, slots=True)
class RunAnswer:
    """What a run found, and where it is written."""

    output: Annotated[str, _said("The output: a folder, or the address of one on a store.")]
    report: Annotated[str, _said("The report for people.")]
    audit: Annotated[str, _said("Its numbers for programs, all of them.")]
    headline: FirstSaid
    levels: Levels
    benchmarks: Annotated[dict[str, NearBenchmark], _said("By name.")]
    rows: Annotated[
        dict[str, SetRows],
        _said("By set: pool, reference, `benchmark NAME`, `source NAME`, as in audit.json."),
    ]
    splits: Annotated[dict[str, KeptSplit], _said("By name.")]
    pairs: Annotated[ListedPairs | None, _said("Null without benchmarks.")]
    exported: Annotated[tuple[Exported, ...], _said("What the plan asks to export, in its order.")] = ()


def found_by(run: RunContext, exported: Sequence[Exported] = ()) -> RunAnswer:
    """Read what a finished run found.

    Raises:
        OutputError: If its `audit.json` is not what was committed.
    """
    audit, out = audit_of(run), run.plan.output
    # A person opens files, and of an output on a store those are in its working copy.
    here = str(run.out) if is_address(out) else out
    run.bring(output for record in run.records("report") for output in record.outputs)
    said, levels = audit["headline"], audit["levels"]
    return RunAnswer(
        out,
        f"{here}/{layout.report('report.html')}",
        f"{here}/{layout.report('audit.json')}",
        FirstSaid(said["level"], said["text"], tuple(said["lost"]), tuple(said["notes"])),
        Levels(levels["hard"], levels["soft"]),
        {name: _near(one) for name, one in audit["benchmarks"].items()},
        {name: _rows(one) for name, one in sorted(audit["rows"].items(), key=_pool_first)},
        {name: _split(one) for name, one in audit["splits"].items()},
        None if audit["pair_list"] is None else _pairs(here, audit["pair_list"]),
        tuple(exported),
    )


def audit_of(run: RunContext) -> Json:
    """Read a run's `audit.json`, having checked that it is what was committed.

    Raises:
        OutputError: If it is not.
    """
    path = layout.report("audit.json")
    return dict(json.loads(sound_bytes(run.out, run.record("report", "report"), path)))


def lost_of(found: RunAnswer, name: str) -> Lost:
    """Count what a set lost; `name` is what `audit.json` calls it."""
    rows = found.rows[name]
    return Lost(rows.lost, rows.listed)


def rows_said(found: RunAnswer) -> dict[str, Rows]:
    """Give the rows of each set as the report's sentences take them."""
    return {
        name: Rows(None, one.listed, one.failed, one.quarantined, one.repeated)
        for name, one in found.rows.items()
    }


def _pool_first(named: tuple[str, Any]) -> tuple[bool, str]:
    return named[0] != "pool", named[0]


def _near(found: Json) -> NearBenchmark:
    leaks = found["leakage"][0]
    hard, between = leaks["hard"]["queries"], leaks["soft"]["queries"]
    with_reference = found["reference"] is not None
    return NearBenchmark(
        found["queries"],
        hard,
        hard + between,
        found["pool"]["queries_above_reference"] if with_reference else None,
        found["pool_samples"]["margin_above_0"] if with_reference else None,
    )


def _rows(found: Json) -> SetRows:
    return SetRows(**{name: found[name] for name in SetRows.__dataclass_fields__})


def _split(found: Json) -> KeptSplit:
    # What was lost before the first rule has no words; the rows of the pool say it.
    steps = [step for step in found["steps"] if step["words"]]
    rules = (
        SplitStep(s["reason"], s["offered"], s["dropped"], s["before"] + s["offered"] - s["dropped"])
        for s in steps
    )
    return KeptSplit(found["rows"], found["kept"], tuple(rules))


def _pairs(out: str, found: Json) -> ListedPairs:
    benchmarks = found["benchmarks"].values()
    pairs, cut = (sum(one[name] for one in benchmarks) for name in ("pairs", "queries_cut"))
    files = tuple(f"{out}/{file}" for file in found["files"])
    return ListedPairs(files, found["above"], pairs, found["neighbours"], cut)
