"""Fetch the images of a list of URLs into an img2dataset pool, before any plan reads it.

The folder is nearfar's: `shards/` has the pool, `hosts/` what came of every host. What is there is not fetched again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from indexes.errors import DataError, OutputError
from pipeline import layout
from pipeline.commit import Record, find, records, remove_unowned, retire, sweep
from pipeline.commit.copying import adopt_all
from pipeline.commit.holding import hold_output, open_output
from pipeline.commit.joining import invitation
from pipeline.commit.on_stores import bring_missing
from pipeline.execution.executors import open_executor, run_tasks
from pipeline.execution.progress import Progress
from pipeline.execution.work import Json, Place, Work, content_fingerprint, task_of
from pipeline.fetching.denied import digests_of, read_denied
from pipeline.fetching.url_lists import list_files
from pipeline.files.inputs import Ledger
from pipeline.incoming.fetched_pools import POOL
from pipeline.incoming.from_stores import with_brought
from pipeline.plan import Plan
from pipeline.sets.ingest_request import IngestRequest
from pipeline.sets.source import Source
from pipeline.stages.ingesting import cut, fetch, hosts
from pipeline.stores.brought_sets import brought
from pipeline.stores.working_copies import make_copy

STAGES = ("cut", "fetch", "hosts")


@dataclass(frozen=True, slots=True)
class Again:
    """What of a folder may be fetched again.

    Attributes:
        failed: Rows that failed in passing.
        replaced: Pieces that were fetched of another list, or under other limits; None where nobody can ask for it.
    """

    failed: bool = False
    replaced: bool | None = False


@dataclass(frozen=True, slots=True)
class Hands:
    """Who fetches: as of `RunOptions`."""

    workers: int | None = None
    scheduler: str | None = None
    threads: int | None = None


def ingest(request: IngestRequest, out: Path, again: Again, hands: Hands, progress: Progress) -> Json:
    """Do what is not yet done of a list.

    Args:
        request: The list, and how to fetch.
        out: Folder for the pool and all that belongs to it, or the working copy of one on a store.
        again: What may be fetched again.
        hands: Who fetches.
        progress: Where to say how it goes.

    Returns:
        Counts: `count`, `successes`, `failed_to_download`, `failed_to_resize`, `passing` (failures that may go away by
        themselves), and `status_dict` of reasons.

    Raises:
        DataError: If the list cannot be read, or is empty.
        PlanError: If a deny list cannot be read.
        OutputError: If the folder holds what another list or other limits gave, and `again` does not let it go.
    """
    read_denied(request.deny)  # what is wrong with a list is said before anything is asked for
    files = list_files(Path(brought(request.urls, whole=True)).absolute())
    driver = _Driver(out.absolute(), hands, progress)
    with hold_output(driver.out):
        sweep(driver.out)
        try:
            with open_executor(hands.workers, hands.scheduler, "cpu"):
                fetched = _fetched(driver, request, files, again)
                driver.do(hosts.works(driver.place, fetched))
                remove_unowned(driver.out, STAGES)
        finally:
            driver.ledger.save()
        bring_missing(
            driver.out, (output for record in records(driver.out, "hosts") for output in record.outputs)
        )
    return totals(fetched)


def with_ingested(plan: Plan, hands: Hands, progress: Progress) -> Plan:
    """Fetch every set that a plan has URLs of, and give the plan that reads what came.

    Raises:
        NearfarError: As `ingest`.
    """
    asked = _to_fetch(plan)
    for source in asked.values():
        if source.ingest is not None:
            ingest(source.ingest, make_copy(source.path), Again(replaced=None), hands, progress)
    return with_brought(_read_from_folders(plan)) if asked else plan


def if_ingested(plan: Plan) -> tuple[Plan, dict[str, str]]:
    """Give the plan that reads what was fetched, and the folders, by place, of sets that are still to be fetched."""
    plan = with_brought(plan)
    waiting = {
        place: source.path
        for place, source in _to_fetch(plan).items()
        if not ingested(open_output(source.path))
    }
    return (plan if waiting else with_brought(_read_from_folders(plan))), waiting


def _to_fetch(plan: Plan) -> dict[str, Source]:
    return {place: source for place, source in plan.sources_by_place().items() if source.ingest is not None}


def _read_from_folders(plan: Plan) -> Plan:
    return plan.with_sets(
        {
            place: source.model_copy(
                update={"path": f"{source.path}/{POOL}", "format": "img2dataset", "ingest": None}
            )
            for place, source in _to_fetch(plan).items()
        }
    )


def totals(fetched: Sequence[Record]) -> Json:
    """Add up what units of `fetch` found."""
    names = ("count", "successes", "failed_to_download", "failed_to_resize", "passing")
    counts: Json = {name: sum(int(record.facts[name]) for record in fetched) for name in names}
    reasons: dict[str, int] = {}
    for record in fetched:
        for reason, rows in record.facts["status_dict"].items():
            reasons[reason] = reasons.get(reason, 0) + rows
    return counts | {"status_dict": dict(sorted(reasons.items(), key=lambda one: (-one[1], one[0])))}


def ingested(out: Path) -> list[Record]:
    """List what is fetched in a folder; none where its counts are not there, which come last."""
    return records(out, "fetch") if records(out, "hosts") else []


def _fetched(driver: _Driver, request: IngestRequest, files: Sequence[Path], again: Again) -> list[Record]:
    cuts = cut.works(driver.place, files, request.shard_rows)
    retire(driver.out, "cut", lambda record: record.name not in {work.name for work in cuts})
    pieces = driver.do(cuts)
    if not sum(sum(record.facts["rows"]) for record in pieces):
        raise DataError(f"the list '{request.urls}' has no rows; name another")
    denied = digests_of(request.deny)
    there = {record.name: record for record in records(driver.out, "fetch")}
    attempts = {name: int(record.facts["attempt"]) for name, record in there.items()}
    works = fetch.works(driver.place, pieces, request, denied, attempts)
    _check_replaced(driver.out, works, there, again)
    if again.failed:
        attempts = {name: times + bool(there[name].facts["passing"]) for name, times in attempts.items()}
        works = fetch.works(driver.place, pieces, request, denied, attempts)
    current = {work.name for work in works}
    retire(driver.out, "fetch", lambda record: record.name not in current)
    return driver.do(works)


def _check_replaced(
    out: Path, works: Sequence[Work[Any, Any]], there: Mapping[str, Record], again: Again
) -> None:
    current = {work.name: work.unit().fingerprint for work in works}
    other = [name for name, record in there.items() if current.get(name) != record.fingerprint]
    if other and not again.replaced:
        asked = "" if again.replaced is None else ", or add --overwrite to fetch them again"
        raise OutputError(
            f"{len(other):,} of the {len(there):,} tars in {out} were fetched of another list or with other limits. "
            f"Name another folder, remove this one{asked}"
        )


class _Driver:
    """Does waves of units in the folder of a list."""

    def __init__(self, out: Path, hands: Hands, progress: Progress) -> None:
        self.out, self.place, self.ledger = out, Place(str(out), "cpu", hands.threads), Ledger(out)
        self._hands, self._progress = hands, progress

    def do(self, works: Sequence[Work[Any, Any]]) -> list[Record]:
        """Do those that are not done; give every record, in order."""
        todo = [work for work in works if self._standing(work) is None]
        if works:
            with self._progress.stage(
                works[0].stage,
                total_units=len(todo),
                total_rows=sum(work.rows for work in todo),
                done_units=len(works) - len(todo),
            ) as bar:
                invited = None if self._hands.scheduler is None else invitation(self.out)
                tasks: Iterator[Any] = (task_of([work], self._known(work), invited) for work in todo)
                for index, entries in run_tasks(tasks, self._hands.workers, self._hands.scheduler):
                    self.ledger.note(entries)
                    bar.advance(units=1, rows=todo[index].rows)
            if invited is not None:
                adopt_all(self.out, (work.unit() for work in todo))
        return [self._done(work) for work in works]

    def _known(self, work: Work[Any, Any]) -> Json:
        found = {one.key: self.ledger.content(one.key, one.path) for one in work.inputs}
        return {key: content for key, content in found.items() if content is not None}

    def _standing(self, work: Work[Any, Any]) -> Record | None:
        record, known = find(self.out, work.unit()), self._known(work)
        if record is None or not work.inputs:
            return record
        if any(one.key not in known for one in work.inputs):
            return None  # the unit looks at its file, and stands if the bytes are the same
        named = ((one.name, known[one.key]) for one in work.inputs)
        return record if record.facts["inputs"] == content_fingerprint(named) else None

    def _done(self, work: Work[Any, Any]) -> Record:
        record = find(self.out, work.unit())
        if record is None:
            raise OutputError(
                f"{work.label} was done but its record is gone from {self.out / layout.COMMITS}; something else is "
                "changing this folder: stop it and run again"
            )
        return record
