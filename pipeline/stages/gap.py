"""Per split and query, the nearest kept samples: the similarity gap of the split."""

from __future__ import annotations

from collections.abc import Iterator

from pipeline.commit import Attempt
from pipeline.execution.work import Json, RunContext, Work, output_digests, output_paths
from pipeline.stages.neighbours import merge, segments


def plan(run: RunContext) -> Iterator[list[Work]]:
    """List one unit per split."""
    rescanned = run.records("rescan")
    works = []
    for name in run.plan.splits:
        surviving = [run.done["surviving"][name]]
        under = f"neighbours/surviving/{name}/neighbours"
        exhausted = bool(surviving[0].facts["exhausted"])
        identity: Json = {
            "split": name,
            "surviving": output_digests(surviving, under),
            "rescanned": sorted(output_digests(rescanned)) if exhausted else [],
            "segments": segments(run),
            "queries": output_digests(run.records("thresholds")),
            "k": run.plan.neighbours,
        }
        again = (
            [run.path(path) for path in output_paths(rescanned, "neighbours/rescan/")] if exhausted else []
        )
        listed = [run.path(path) for path in output_paths(surviving, under)]
        works.append(Work("gap", name, identity, run.settings | {"parts": listed, "rescanned": again}))
    yield works


def perform(work: Work, into: Attempt) -> Json:
    """Merge what survived of the pool's lists with what the vectors gave for exhausted queries."""
    return merge(work, into, f"neighbours/{work.identity['split']}")
