"""Cut splits: rules become predicates, predicates become files. No vector is looked at."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.compute as pc

from curation import rules
from curation.rule import Rule, Scope
from curation.selection import COUNTED, Selection
from indexes.errors import PlanError
from pipeline.commit import Attempt
from pipeline.files.database import connect, parse_predicate
from pipeline.files.parquet import parquet_rows, read_batches
from pipeline.splits.accounting import Losses, count_losses, require_all
from pipeline.splits.binding import check
from pipeline.splits.candidates import PoolRows
from pipeline.splits.pool_columns import PoolColumns, look
from pipeline.splits.pool_table import POOL, Pool
from pipeline.splits.requests import CutRequest, PoolPart, SplitRequest
from pipeline.splits.split_columns import SOURCES
from pipeline.splits.split_files import SplitOutcome, write_split

DUCKDB_SHARE = 0.6
"""Share of the memory limit that DuckDB takes; measured, so that the whole process stays near the limit."""
_LIMIT = re.compile(r"([0-9.]+) ?([KMGT]i?B)")

Placed = tuple[Rule, Scope]


def cut_many(
    request: CutRequest, out: Path, attempts: Mapping[str, Attempt]
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Cut splits from one look at the pool, each into an attempt of its own.

    Writes of each `splits/<name>/part-*.parquet` sorted by uid, `dropped/part-*.parquet`, `uids.npy`, `keys.txt` and
    `split.json`. A dropped sample's rule is the place and name of the first that drops it, `1:near`, or `from`.

    Args:
        request: The splits, and what they choose from.
        out: The output folder.
        attempts: Where the files of each split go, by its name.

    Yields:
        Name and facts of a split, which `split.json` holds too, as soon as its files are written: the caller may
        commit it before it asks for the next.

    Raises:
        PlanError: If a rule names what is not there, or a predicate cannot be evaluated.
        DataError: If files of the pool and of its measures do not belong together.
        RunFailedError: If samples are unaccounted for.
    """
    if not request.splits:
        return
    everything = look(request.parts, request.measures)
    placed = {split.name: read_rules(request, split, everything.types()) for split in request.splits}
    with ExitStack() as stack:
        # It spills beside the attempts, not in one of them: each may be committed and gone before the next is cut.
        db = stack.enter_context(connect(out, duckdb_limit(request.memory_limit), request.threads))
        pool, losses = open_pool(db, request, everything, list(placed.values()))
        for split in request.splits:
            with _explained(split):
                outcome = _decide(pool, split, placed[split.name], losses)
                facts = write_split(outcome, attempts[split.name], request.threads, _facts(split))
            pool.clear()
            yield split.name, facts


def open_pool(
    db: duckdb.DuckDBPyConnection, request: CutRequest, everything: PoolColumns, placed: list[list[Placed]]
) -> tuple[Pool, Losses]:
    """Load the pool with the columns that some rules name, and account for every row."""
    paths = {path for rules_of in placed for rule, scope in rules_of for path in rule.paths(scope)}
    pool = Pool(db, PoolColumns(everything.own, everything.named(paths).measures))
    losses = _filled(pool, request.parts, request.lost)
    for number, (name, offered) in enumerate(request.sets.items(), 1):
        pool.sets[name] = Pool(db, look(offered.parts, offered.measures), number)
        _filled(pool.sets[name], offered.parts, offered.lost)
    return pool, losses


def _filled(pool: Pool, parts: Sequence[PoolPart], lost: Sequence[str]) -> Losses:
    pool.load(parts)
    pool.losses = losses = count_losses(pool.seen, lost)
    require_all(losses, pool.seen.taken, "loaded")
    return losses


def read_rules(request: CutRequest, split: SplitRequest, types: Mapping[str, Any]) -> list[Placed]:
    """Read the rules of a split, and check them against the columns that are really there.

    Raises:
        PlanError: If a rule names what is not there.
    """
    placed = []
    sets: dict[str, dict[str, Any]] = {}
    for name, offered in request.sets.items():
        of = look(offered.parts, offered.measures).types()
        sets[name.removeprefix(COUNTED)] = sets.get(name.removeprefix(COUNTED), {}) | of
    for place, (name, options) in enumerate(split.rules):
        where = f"splits.{split.name}[{place}]"
        scope = Scope(request.benchmarks, request.reference, f"{where}.{name}", parse_predicate, types, sets)
        placed.append((check(rules.parse(name, options, where), scope), scope))
    return placed


def sizes_of(split: SplitRequest) -> dict[str, int]:
    """Count the samples of the pool in each split that a split names: what that adds is not among them."""
    return {
        name: sum(map(_of_the_pool if split.sets.get(name) else parquet_rows, paths))
        for name, paths in split.splits.items()
    }


def _of_the_pool(path: str) -> int:
    sources = (batch.column(SOURCES) for batch in read_batches(path, [SOURCES]))
    return sum(pc.sum(pc.equal(column, POOL)).as_py() or 0 for column in sources)


def starting(pool: Pool, split: SplitRequest) -> PoolRows:
    """Return the rows that a split starts from."""
    rows = PoolRows(pool, sizes_of(split))
    if split.from_ is None:
        return rows
    operation, names = next(iter(split.from_.items()))
    return rows.restrict(operation, [split.used(name) for name in names])


def duckdb_limit(memory_limit: str) -> str:
    """Return what DuckDB may take of a memory limit: Arrow, the writers and Python have the rest.

    Args:
        memory_limit: A number and a unit, `1GB`; anything else is DuckDB's to understand, and left as it is.
    """
    found = _LIMIT.fullmatch(memory_limit)
    return f"{float(found[1]) * DUCKDB_SHARE:g}{found[2]}" if found else memory_limit


def _decide(pool: Pool, split: SplitRequest, placed: list[Placed], losses: Losses) -> SplitOutcome:
    rows = starting(pool, split)
    begun = rows.joining()
    steps: list[dict[str, Any]] = []
    times, caption = [], ""
    for rule, scope in placed:
        selection = rule.selection(scope)
        rows = rows.reaching(selection)
        decision = selection.decide(rows)
        name, options = rules.dump(rule)
        facts = decision.facts | _of_the_set(pool, selection)
        steps.append({"rule": name, "options": options, "words": selection.words(), **facts})
        rows = rows.after(decision)
        times += [decision.times] if decision.times else []
        caption = decision.caption or caption
    named = pool.columns.named({path for rule, scope in placed for path in rule.paths(scope)})
    return SplitOutcome(split.name, rows, tuple(steps), losses, named, " * ".join(times), caption, begun)


def _of_the_set(pool: Pool, selection: Selection) -> dict[str, Any]:
    """Say what of a set that a selection brings in no rule saw, and of how many rows."""
    bringing = selection.brings()
    losses = None if bringing is None else pool.sets[bringing.name].losses
    if bringing is None or losses is None:
        return {}
    return {"set": {"name": bringing.name, **asdict(losses)}}


def _facts(split: SplitRequest) -> dict[str, Any]:
    starts = {operation: list(names) for operation, names in (split.from_ or {}).items()}
    return {"split": split.name, "from": starts or None, "fingerprints": dict(split.fingerprints)}


@contextmanager
def _explained(split: SplitRequest) -> Iterator[None]:
    """Answer for an expression that only fails on the rows themselves: text that is no number, say."""
    try:
        yield
    except (duckdb.DataError, duckdb.ProgrammingError) as error:
        placed = [(name, rules.parse(name, options)) for name, options in split.rules]
        texts = [(name, text) for name, rule in placed for text in rule.texts()]
        if not texts:
            raise
        kinds = " or ".join(dict.fromkeys(name for name, _ in texts))
        article = "an" if kinds[0] in "aeiou" else "a"
        raise PlanError(
            f"{article} {kinds} of splits.{split.name} cannot be evaluated ({'; '.join(text for _, text in texts)}): "
            f"{str(error).splitlines()[0]}. TRY_CAST gives NULL where a value does not fit, and NULL drops"
        ) from error
