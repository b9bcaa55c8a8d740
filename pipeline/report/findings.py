"""Everything that a report says, as numbers: read once from the committed files, rendered elsewhere."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from curation.chance_pairs import ChancePairs
from curation.leakage import Verdict, verdict
from pipeline.report.answers import read_queries
from pipeline.report.by_chance.drawn_pairs import read_chance
from pipeline.report.compare import Compared, compare, remembered_around
from pipeline.report.evidence import Source, gather, look_up_queries, source
from pipeline.report.lookup import Sample
from pipeline.report.near_pairs.pair_files import PairList
from pipeline.report.outcomes import Rows, account
from pipeline.report.request import ReportRequest
from pipeline.report.scan import Measured, Scan
from pipeline.report.sections import ShownSection, tell
from pipeline.report.tallies import Tallied, tally

# Similarities at which shares are given beside the soft and the hard level.
NAMED_THRESHOLDS = (0.8, 0.9)


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found of one benchmark.

    Attributes:
        compared: The benchmark beside every set.
        sources: Leakage of the pool, then of the reference where there is one.
        verdict: The gravest finding about the pool.
        places: The queries shown, by uid.
        chance: How alike drawn pairs of a query and a pool sample are; None where that was not looked at.
    """

    compared: Compared
    sources: tuple[Source, ...]
    verdict: Verdict
    places: Mapping[str, Sample]
    chance: ChancePairs | None = None

    @property
    def name(self) -> str:
        """The benchmark's name."""
        return self.compared.files.name


@dataclass(frozen=True, slots=True)
class Findings:
    """All of it.

    Attributes:
        request: What was asked for.
        thresholds: The named thresholds, ascending.
        rows: Per set, what became of its rows.
        measured: Per benchmark, and for their maximum, what the pool's similarities say.
        benchmarks: The findings, in plan order.
        measures: What the other measures say.
        samples: The pool's and the reference's samples that are shown, by set and uid.
        splits: Each split's `split.json`.
        told: What the sections say that appear where their measures do.
        pair_list: What `pairs.parquet` holds; None where there is no benchmark, and until it has been written.
    """

    request: ReportRequest
    thresholds: tuple[float, ...]
    rows: Mapping[str, Rows]
    measured: Mapping[str, Measured]
    benchmarks: tuple[Finding, ...]
    measures: tuple[Tallied, ...]
    samples: Mapping[str, Mapping[str, Sample]]
    splits: Mapping[str, dict[str, Any]]
    told: tuple[ShownSection, ...] = ()
    pair_list: PairList | None = None

    @property
    def noted(self) -> dict[str, list[str]]:
        """What was noted about each set's files, by the names of `rows` and in their order."""
        sets = self.request.provenance.get("sets", {})
        # "benchmark NAME" and "source NAME" are what the plan calls NAME.
        return {
            name: list(sets.get(name.partition(" ")[2] or name, {}).get("notes", ())) for name in self.rows
        }


def collect(request: ReportRequest) -> Findings:
    """Read every committed file once and count."""
    options = request.options
    thresholds = tuple(sorted({*NAMED_THRESHOLDS, options.soft, options.hard}))
    names = [benchmark.name for benchmark in request.benchmarks]
    around = None if request.has_reference else options.soft
    scan = Scan(names, thresholds, around, remembered_around(options))
    parts = zip(*(benchmark.similarity for benchmark in request.benchmarks), strict=True)
    measured = scan.run([[request.path(path) for path in part] for part in parts])
    queries = {files.name: read_queries(request.path(files.queries)) for files in request.benchmarks}
    compared = compare(request, queries, measured)
    evidence = gather(request, compared)
    benchmarks = []
    for at, each in enumerate(compared):
        sources = tuple(source(request, compared, at, found) for found in evidence.values())
        pool = sources[0]
        gravest = verdict(len(each.queries), pool.identical, pool.hard, pool.soft, request.search.exact)
        places, chance = look_up_queries(request, each).samples, read_chance(request, each.files)
        benchmarks.append(Finding(each, sources, gravest, places, chance))
    splits = {split.name: json.loads(request.path(split.facts).read_bytes()) for split in request.splits}
    return Findings(
        request=request,
        thresholds=thresholds,
        rows=account(request),
        measured=measured,
        benchmarks=tuple(benchmarks),
        measures=tuple(tally(request)),
        samples={name: found.matches.samples for name, found in evidence.items()},
        splits=splits,
        told=tell(request, splits),
    )
