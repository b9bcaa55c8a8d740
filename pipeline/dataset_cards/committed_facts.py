"""The facts of a dataset card, from what the run and the export committed: the same numbers as the report has."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from pipeline import layout
from pipeline.commit import Output, Record, sound_bytes
from pipeline.dataset_cards.card_facts import CardFacts, Nearness, SetLosses, ShippedFile, SplitSteps
from pipeline.execution.context import RunContext
from pipeline.execution.work import Json
from pipeline.plan import SetAlgebra, Split
from pipeline.webdataset.export_request import ExportRequest

_MEDIAN, _HIGHEST = "0.5", "1.0"


def card_facts(run: RunContext, request: ExportRequest) -> CardFacts:
    """Gather what the card of an export says; its tars and their list must be done.

    Raises:
        OutputError: If the run's `audit.json` is not what was committed.
    """
    audit = _audit(run)
    split, gathered = run.record("split", request.split), _gathered(run, request.split)
    listed = [*gathered, run.record("export", request.split)]
    shipped = [_shipped(output) for record in listed for output in record.outputs]
    facts, levels = split.facts, audit["levels"]
    with_reference = run.plan.reference is not None
    return CardFacts(
        plan=run.plan.name,
        split=request.split,
        license=request.license,
        samples=sum(int(record.facts["samples"]) for record in gathered),
        kept=int(facts["kept"]),
        tars=tuple(one for one in shipped if one.name.endswith(".tar")),
        beside=tuple(one for one in shipped if not one.name.endswith(".tar")),
        kinds=_summed(gathered, "kinds"),
        left_out=_summed(gathered, "left_out"),
        sources=tuple((one["name"], int(one["kept"])) for one in facts.get("sources", ())),
        splits=tuple(_steps(name, run.plan.splits[name], audit) for name in _and_before(run, request.split)),
        rows=tuple(
            _losses(name, one, audit["provenance"]["sets"][name.rpartition(" ")[2]])
            for name, one in sorted(audit["rows"].items(), key=_pool_first)
        ),
        levels=(levels["soft"], levels["hard"]),
        nearness=tuple(
            _nearness(name, one, request.split, levels, with_reference)
            for name, one in audit["benchmarks"].items()
        ),
        exact=audit["search"]["exact"],
        encoders=_encoders(audit["provenance"]),
        versions=audit["provenance"]["versions"],
    )


def _audit(run: RunContext) -> Json:
    return dict(json.loads(sound_bytes(run.out, run.record("report", "report"), layout.report("audit.json"))))


def _gathered(run: RunContext, split: str) -> list[Record]:
    return [record for record in run.records("gather") if record.name.rpartition(" ")[0] == split]


def _shipped(output: Output) -> ShippedFile:
    return ShippedFile(output.path.rpartition("/")[2], output.bytes, output.sha256, output.rows)


def _summed(gathered: list[Record], what: str) -> dict[str, int]:
    found = sum((Counter(record.facts[what]) for record in gathered), Counter[str]())
    return dict(sorted(found.items()))


def _and_before(run: RunContext, split: str) -> Iterator[str]:
    """Name the split, then those that it starts from, each once, and those that these start from."""
    pending, seen = [split], {split}
    while pending:
        name = pending.pop(0)
        yield name
        further = [one for one in run.plan.splits[name].starts() if one not in seen]
        seen.update(further)
        pending += further


def _steps(name: str, split: Split, audit: Json) -> SplitSteps:
    """Take the rules of a split; what no rule saw has no words, and is told by the pool's losses."""
    steps = tuple(
        (
            step["reason"],
            step["words"],
            int(step["offered"]),
            int(step["dropped"]),
            int(step["before"]) + int(step["offered"]) - int(step["dropped"]),
        )
        for step in audit["splits"][name]["steps"]
        if step["words"]
    )
    return SplitSteps(name, _start(split), steps)


def _start(split: Split) -> str:
    if isinstance(split.from_, SetAlgebra):
        between = {"union": "or", "intersect": "and"}
        first, *others = split.from_.splits
        if split.from_.operation in between:
            return f" {between[split.from_.operation]} ".join((first, *others))
        return f"{first} without {' and '.join(others)}"
    return split.from_ or ""


def _losses(name: str, rows: Mapping[str, Any], made_of: Mapping[str, Any]) -> SetLosses:
    return SetLosses(
        name,
        rows["dataset"] or "",
        made_of["format"] or "",
        made_of["files"],
        rows["listed"],
        rows["measured"],
        rows["failed"],
        rows["quarantined"],
        rows["repeated"],
    )


def _pool_first(named: tuple[str, Any]) -> tuple[bool, str]:
    return named[0] != "pool", named[0]


def _nearness(name: str, found: Json, split: str, levels: Json, with_reference: bool) -> Nearness:
    of, above = found["splits"][split], found["splits"][split]["queries_above"]
    copies = found["leakage"][0]
    return Nearness(
        name,
        found["queries"],
        of["quantiles"].get(_MEDIAN),
        of["quantiles"].get(_HIGHEST),
        int(above[str(levels["soft"])]),
        int(above[str(levels["hard"])]),
        int(of["queries_above_reference"]) if with_reference else None,
        int(copies["identical_left"].get(split, 0)) if copies["identical"]["checked"] else None,
    )


def _encoders(provenance: Json) -> dict[str, dict[str, str]]:
    """Say what is known of each encoder; one that only the pool knows of may say anything, of which text is taken."""
    found = provenance.get("encoders", {"clip": provenance["encoder"]} if "encoder" in provenance else {})
    return {
        name: {key: str(value) for key, value in one.items()}
        if isinstance(one, dict)
        else {"model": str(one)}
        for name, one in found.items()
    }
