"""Cut a split: rules become predicates, predicates become files. No vector is looked at."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

import duckdb

from curation import rules
from curation.selection import Rule, Scope
from indexes.errors import PlanError
from pipeline.commit import Attempt
from pipeline.files.database import connect, parse_predicate
from pipeline.files.parquet import parquet_rows
from pipeline.splits.accounting import count_losses, require_all
from pipeline.splits.candidates import Parts, Rows, open_rows, restrict
from pipeline.splits.selecting import Decision, decide
from pipeline.splits.split_files import Outcome, write_split


@dataclass(frozen=True, slots=True)
class SplitRequest:
    """All that a split is cut from; JSON holds it.

    Attributes:
        name: The split's name, and its folder under `splits/`.
        rules: Name and options of each rule, in order, as `curation.rules.dump` writes them.
        benchmarks: Names in plan order.
        reference: Whether the plan has a reference.
        from_: None for the whole pool, or `{"union" | "intersect" | "minus": [split, ...]}`.
        samples: `samples/pool/part-*.parquet`; empty for scores alone.
        measures: `measures/similarity/part-*.parquet`; empty where nothing was measured.
        quarantined: `measures/similarity/quarantined-*.parquet`.
        lost: `samples/pool/lost-*.parquet`.
        duplicates: `samples/pool/duplicates.parquet`, or None.
        splits: The `part-*.parquet` of each split that `from_` or a rule names.
        memory_limit: DuckDB's.
        threads: Threads of DuckDB, and of the writers; all cores if None.
        fingerprints: What the split depends on, copied into `split.json`.
    """

    name: str
    rules: tuple[tuple[str, Mapping[str, Any]], ...] = ()
    benchmarks: tuple[str, ...] = ()
    reference: bool = False
    from_: Mapping[str, tuple[str, ...]] | None = None
    samples: tuple[str, ...] = ()
    measures: tuple[str, ...] = ()
    quarantined: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()
    duplicates: str | None = None
    splits: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    memory_limit: str = "1GB"
    threads: int | None = None
    fingerprints: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Describe the request in JSON."""
        return asdict(self)

    @classmethod
    def from_json(cls, described: Mapping[str, Any]) -> Self:
        """Read what `to_json` wrote, tuples or lists."""
        values: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in described.items()
        }
        values["rules"] = tuple((name, dict(options)) for name, options in described["rules"])
        if described["from_"] is not None:
            values["from_"] = {operation: tuple(names) for operation, names in described["from_"].items()}
        values["splits"] = {name: tuple(paths) for name, paths in described["splits"].items()}
        return cls(**values)


def cut(request: SplitRequest, out: Path, attempt: Attempt) -> dict[str, Any]:
    """Cut one split and write its files into the attempt.

    Writes `splits/<name>/part-*.parquet` and `dropped-*.parquet` sorted by uid, `uids.npy`, `keys.txt` and
    `split.json`. A dropped sample's reason is the place and name of the first rule that drops it, `1:near`,
    or `from`.

    Args:
        request: The rules, and what they choose from.
        out: The output folder, below which all of the request's paths lie.
        attempt: Where the files go.

    Returns:
        What `split.json` holds.

    Raises:
        PlanError: If a rule names what is not there, or a predicate cannot be evaluated.
        RunFailedError: If samples are unaccounted for.
    """
    losses = count_losses(
        request.samples or request.measures, request.lost, request.quarantined, request.duplicates
    )
    if request.measures:
        require_all(losses, sum(map(parquet_rows, request.measures)), "measured")
    with ExitStack() as stack:
        db = stack.enter_context(connect(out, request.memory_limit, request.threads, attempt.scratch()))
        rows = open_rows(db, Parts(request.samples, request.measures, request.duplicates))
        if request.from_ is not None:
            operation, names = next(iter(request.from_.items()))
            rows = restrict(rows, operation, [request.splits[name] for name in names])
        stack.enter_context(_explained(request))
        decisions = []
        for rule, scope in _rules(request, rows):
            decision = decide(rule.selection(scope), rows, _sizes(request, rule))
            rows = rows.without(decision.predicate, decision.reads)
            decisions.append((rule, decision))
        outcome = Outcome(request.name, rows, tuple(_described(*pair) for pair in decisions), losses)
        return write_split(outcome, attempt, request.threads, _facts(request))


def _rules(request: SplitRequest, rows: Rows) -> list[tuple[Rule, Scope]]:
    """Read the rules, and check them against the columns that are really there."""
    parsed = []
    for place, (name, options) in enumerate(request.rules):
        where = f"splits.{request.name}[{place}]"
        scope = Scope(request.benchmarks, request.reference, f"{where}.{name}", parse_predicate, rows.named())
        rule = rules.parse(name, options, where).resolved(scope)
        if rule.needs and not rows.scores:
            raise PlanError(
                f"{where}.{name} needs the measure {', '.join(rule.needs)}, and this pool has none; "
                "give the plan a benchmark, or take the rule out"
            )
        parsed.append((rule, scope))
    return parsed


def _sizes(request: SplitRequest, rule: Rule) -> dict[str, int]:
    return {name: sum(map(parquet_rows, request.splits[name])) for name in rule.follows()}


def _described(rule: Rule, decision: Decision) -> dict[str, Any]:
    name, options = rules.dump(rule)
    return {"rule": name, "options": options, **decision.facts}


def _facts(request: SplitRequest) -> dict[str, Any]:
    starts = {operation: list(names) for operation, names in (request.from_ or {}).items()}
    return {"split": request.name, "from": starts or None, "fingerprints": dict(request.fingerprints)}


@contextmanager
def _explained(request: SplitRequest) -> Iterator[None]:
    """Answer for a predicate that only fails on the rows themselves: text that is no number, say."""
    try:
        yield
    except (duckdb.DataError, duckdb.ProgrammingError) as error:
        texts = [str(options) for name, options in request.rules if name == "where"]
        if not texts:
            raise
        raise PlanError(
            f"a where of splits.{request.name} cannot be evaluated ({'; '.join(texts)}): "
            f"{str(error).splitlines()[0]}. TRY_CAST gives NULL where a value does not fit, and NULL drops"
        ) from error
