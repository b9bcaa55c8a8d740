"""The headline of a report: green only where nothing that was lost, or not looked at, could change it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from report_sets import World, build_world

from pipeline.report.findings import Finding, Findings, collect
from pipeline.report.loss_lines import loss_lines, note_lines, short_lines, weighed_losses
from pipeline.report.outcomes import Rows
from pipeline.report.request import ReportOptions, ReportRequest, Search
from pipeline.report.statements import headline, level_of


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return build_world(tmp_path_factory.mktemp("run"), images=False)


def found(request: ReportRequest, **options: float) -> tuple[Findings, Finding]:
    findings = collect(replace(request, options=replace(ReportOptions(pairs=0), **options)))
    return findings, findings.benchmarks[1]


def clean(findings: Findings, nearer: int = 0) -> Findings:
    """The same findings of sets that lost nothing, with the pool nearer than the reference for so many queries each."""
    rows = {n: replace(r, listed=r.measured, failed={}, quarantined={}) for n, r in findings.rows.items()}
    benchmarks = []
    for finding in findings.benchmarks:
        nearest = finding.compared.sets["pool"].nearest
        threshold = nearest.copy()  # a sample at the threshold is not above it
        threshold[:nearer] -= 2**-12
        queries = replace(finding.compared.queries, threshold=threshold)
        benchmarks.append(replace(finding, compared=replace(finding.compared, queries=queries)))
    return replace(findings, rows=rows, benchmarks=tuple(benchmarks))


def test_all_is_well_only_where_nothing_that_was_lost_could_change_it(world: World) -> None:
    findings, sketch = found(world.request, hard=1.02, soft=1.01)
    pool = findings.rows["pool"]
    assert pool.lost == 7
    assert headline(findings).level == level_of(findings, sketch) == "open"
    assert headline(findings).text.startswith("No near pair found, but 7 of ")
    calm = clean(findings)
    sketch = calm.benchmarks[1]
    assert headline(calm).level == level_of(calm, sketch) == "none"
    assert headline(calm).text == "No near pair found"
    # A row that a benchmark lost opens its own verdict and the whole, not that of another benchmark.
    lost = replace(
        calm.rows["benchmark photo"], listed=calm.rows["benchmark photo"].listed + 1, failed={"x": 1}
    )
    one = replace(calm, rows={**calm.rows, "benchmark photo": lost})
    assert "1 of 51 rows of benchmark photo could not be compared" in headline(one).text
    assert level_of(one, sketch) == "none"
    assert level_of(one, one.benchmarks[0]) == "open"
    # The reference's losses could only make thresholds higher.
    kept = replace(calm.rows["reference"], listed=calm.rows["reference"].listed + 1, failed={"x": 1})
    assert headline(replace(calm, rows={**calm.rows, "reference": kept})).level == "none"


def test_a_pool_nearer_than_the_reference_is_no_good_news(world: World) -> None:
    findings, _ = found(world.request, hard=1.02, soft=1.01)
    queries = sum(one.verdict.queries for one in findings.benchmarks)
    for nearer in (1, 9):
        said = headline(clean(findings, nearer))
        affected = nearer * len(findings.benchmarks)
        share = f"{affected} of {queries} queries ({100 * affected / queries:.1f} %)"
        assert said.level == "open"
        assert (
            said.text == f"No near pair found, but {share} have a pool sample nearer than the reference comes"
        )
    # By brute force, on the world as it is.
    nearest = {name: of.max(axis=0) for name, of in world.similarity.items()}
    truth = sum(int((nearest[name] > world.threshold[name]).sum()) for name in nearest)
    assert truth
    assert f"; {truth} of {queries} queries" in headline(findings).text


def test_an_approximate_search_leaves_the_headline_open(world: World) -> None:
    findings, _ = found(replace(world.request, search=Search("ivf", False)), hard=1.02, soft=1.01)
    said = headline(clean(findings))
    assert (said.level, said.text) == (
        "open",
        "No near pair found, but the search was approximate and may miss near samples",
    )


def test_files_that_are_missing_leave_the_headline_open(world: World) -> None:
    findings, _ = found(world.request, hard=1.02, soft=1.01)
    calm = clean(findings)
    gap = (
        "gap in the numbers of the tars: number 1 is missing (1 between 0 and 2); if they belong, fetch them"
    )
    alone = (
        "2 shards have a _stats.json and no .tar (00003, 00004): their samples are missing; fetch the tars"
    )

    def noted(name: str, *notes: str) -> Findings:
        provenance = {"sets": {name: {"notes": list(notes)}}}
        return replace(calm, request=replace(calm.request, provenance=provenance))

    for note in (gap, alone):
        said = headline(noted("pool", "3 files were left out", note))
        told = note.partition(";")[0]
        assert said.level == "open"
        assert said.text == f"No near pair found, but files of pool may be missing ({told})"
    lost = noted("photo", gap)
    assert "files of benchmark photo may be missing" in headline(lost).text
    assert [level_of(lost, finding) for finding in lost.benchmarks] == ["open", "none"]
    # What the reference lacks could only make thresholds higher, and what was left out is no sample.
    assert headline(noted("reference", gap)).level == "none"
    assert headline(noted("pool", "files left out, since no shard has them: 1 .csv")).level == "none"


def test_losses_do_not_hide_what_was_found(world: World) -> None:
    findings, sketch = found(world.request)
    assert headline(findings).level == headline(clean(findings)).level == "hard"
    assert level_of(findings, sketch) == "hard"


def test_a_loss_is_said_with_its_share_and_first_reasons() -> None:
    rows = Rows(None, 1006, {"HTTP 404": 4, "b": 2}, {"a\u202e": 3, "late": 2, "nan": 1}, 5)
    whole = Rows(None, 10, {}, {}, 1)
    some, much = Rows(None, 100, {"gone": 5}, {}, 0), Rows(None, 100, {"gone": 3}, {"nan": 3}, 0)
    sets = {"pool": some, "reference": much, "benchmark one": rows, "source two": whole}
    assert [heavy for _, heavy in weighed_losses(sets)] == [False, True, True]
    assert loss_lines({"pool": rows, "benchmark one": whole}) == [
        "pool: 12 of 1,006 rows lost (1.2 %): 4 HTTP 404, 3 a\u27e8U+202E\u27e9, 2 b, 3 for other reasons"
    ]


def test_a_set_has_one_line_of_notes() -> None:
    assert note_lines({"pool": [], "reference": ["gap", "3 texts in\u202e UTF-16"]}) == [
        "reference: gap | 3 texts in\u27e8U+202E\u27e9 UTF-16"
    ]
    assert note_lines({"pool": [*"abcde"]}) == ["pool: a | b | c | 2 more in audit.json"]


def test_a_split_with_too_little_is_said_in_one_line() -> None:
    def facts(kept: int, *steps: dict[str, Any]) -> dict[str, Any]:
        return {"waterfall": {"kept": kept, "dropped": list(steps)}}

    full = {"reason": "1:random", "wanted": 9}
    short = full | {"short": 5}
    tail = {"reason": "2:class-subset", "cut": 2, "rarest": ["a"], "short": 1}
    classes = {"reason": "1:class-balance", "wanted": 40, "short": 30}
    shortages = {"a\u202eb": 20, "c": 4, "d": 3, "e": 2, "f": 1}
    added = {"reason": "1:add", "of_the_set": [full, short]}
    found = short_lines(
        {
            "whole": facts(9, full),
            "none": facts(0, full),
            "both": facts(0, short, tail),
            "listed": facts(1, classes | {"shortages": shortages}),
            "joined\u202e": facts(5, added),
            "of\nold": {"waterfall": {"kept": 1, "dropped": {"1:near": 3}}},
        }
    )
    lacks = "1:random found 5 samples fewer than the 9 that it was to take"
    assert found == [
        "split none: keeps no sample",
        f"split both: keeps no sample; {lacks}; 2:class-subset found 1 values fewer than the 3 that it was to take",
        "split listed: 1:class-balance found 30 samples fewer than the 40 that it was to take "
        "(a\u27e8U+202E\u27e9b lacks 20, c lacks 4, d lacks 3, others 3)",
        f"split joined\u27e8U+202E\u27e9: {lacks}",
    ]
