"""The files of a split: what it keeps and what it drops, sorted by uid, with counts that add up."""

# SQL is put together from quoted identifiers, checked predicates and numbers.

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curation.expressions import quoted
from pipeline import layout
from pipeline.commit import Attempt
from pipeline.files.digests import sha256_of
from pipeline.sets.uids import as_hex
from pipeline.splits.accounting import Losses, waterfall
from pipeline.splits.candidates import PoolRows
from pipeline.splits.emit import Batch, Target, Written, write_files
from pipeline.splits.kept_names import KeptNames
from pipeline.splits.pool_columns import PoolColumns
from pipeline.splits.pool_table import POOL
from pipeline.splits.split_columns import REPEAT, SOURCES, split_columns

DROPPED = pa.schema(
    [("uid", pa.string()), ("key", pa.string()), ("rule", pa.string()), ("decided", pa.string())]
)
BATCH_ROWS = 32_768
OUTSIDE = "from"
"""Reason of samples that are not in the splits that this one starts from."""


@dataclass(frozen=True, slots=True)
class SplitOutcome:
    """What a split came to.

    Attributes:
        name: The split.
        rows: What stays, and what does not.
        steps: Each rule in order, with its options, words and facts.
        losses: Rows that no rule saw.
        named: The columns that its rules name; the measures among them are written beside the samples.
        times: SQL of how often a kept sample occurs; empty for once.
        caption: SQL of the rewritten caption; empty for none.
        begun: Samples of further sets in what the split starts from.
    """

    name: str
    rows: PoolRows
    steps: tuple[dict[str, Any], ...]
    losses: Losses
    named: PoolColumns
    times: str = ""
    caption: str = ""
    begun: int = 0

    def reasons(self) -> list[str]:
        """Reasons by step: outside of `from` first, then each rule's place and name."""
        return [OUTSIDE, *(f"{place}:{step['rule']}" for place, step in enumerate(self.steps, 1))]

    def sources(self) -> list[str]:
        """Sets that samples come from, in the order of their numbers in `sources.npy`; empty for the pool alone."""
        return [POOL, *self.rows.sets] if self.rows.sets else []


def write_split(
    outcome: SplitOutcome, attempt: Attempt, threads: int | None, facts: dict[str, Any]
) -> dict[str, Any]:
    """Write all files of a split and return what `split.json` holds.

    Raises:
        RunFailedError: If a row is unaccounted for.
    """
    writers = threads or os.cpu_count() or 1
    kept, entries, held, files = _write_kept(outcome, attempt, writers)
    counts, dropped_files = _write_dropped(outcome, attempt, writers)
    steps = _steps(outcome, counts)
    facts = facts | {
        "rows_in": outcome.losses.rows_in,
        **({"sources": held} if held else {}),
        "kept": kept,
        **({"entries": entries} if outcome.times else {}),
        "waterfall": waterfall(outcome.losses, steps, kept),
        "files": {written.path: written.facts() for written in (*files, *dropped_files)},
    }
    relative = layout.split(outcome.name, "split.json")
    text = json.dumps(facts, indent=2, sort_keys=True, ensure_ascii=False)
    attempt.file(relative).write_text(f"{text}\n", encoding="utf-8", newline="\n")
    attempt.add(relative)
    return facts


def _steps(outcome: SplitOutcome, counts: Sequence[int]) -> list[dict[str, Any]]:
    reached = outcome.losses.healthy()
    first = {
        "rule": OUTSIDE,
        "options": {},
        "words": "drops what is not in the splits that this one starts from",
        **({"offered": outcome.begun} if outcome.begun else {}),
    }
    steps = []
    for reason, step, dropped in zip(outcome.reasons(), (first, *outcome.steps), counts, strict=True):
        left = reached + int(step.get("offered", 0)) - dropped
        if step is not first or outcome.rows.restricted:
            steps.append({"reason": reason, "rows_in": reached, "dropped": dropped, "left": left, **step})
        reached = left
    return steps


def _write_kept(
    outcome: SplitOutcome, attempt: Attempt, writers: int
) -> tuple[int, int, list[dict[str, Any]], tuple[Written, ...]]:
    """Write the rows and names that stay.

    Returns:
        How many samples they are, how many entries, how many samples of each set where there are several (in the order
        of `sources.npy`), and the files.
    """
    rows, samples = outcome.rows, 0
    sources, held = outcome.sources(), Counter[str]()
    columns = split_columns(rows.columns, outcome.named, outcome.times, outcome.caption, bool(sources))
    schema = pa.schema([("uid", pa.string()), *((column.name, column.type) for column in columns)])
    names = ", ".join(["uid", *(f"{column.sql} AS {quoted(column.name)}" for column in columns)])
    query = f"{rows.surviving(names)} ORDER BY uid"
    uids, keys = layout.split(outcome.name, "uids.npy"), layout.split(outcome.name, "keys.txt")
    keyed, told = bool(rows.pool.columns.own), layout.split(outcome.name, "sources.npy")
    listed = [uids, *([keys] if keyed else []), *([told] if sources else [])]
    at = {path: attempt.file(path) for path in listed}
    with KeptNames(at[uids], at.get(keys), at.get(told), sources) as kept:

        def noted() -> Iterator[Batch]:
            nonlocal samples
            for batch in rows.db.sql(query).to_arrow_reader(BATCH_ROWS):
                kept.add(batch, batch.column(REPEAT).to_numpy() if outcome.times else None)
                samples += batch.num_rows
                for name in sources:
                    held[name] += pc.sum(pc.equal(batch.column(SOURCES), name)).as_py() or 0
                yield batch

        target = Target(attempt, layout.split(outcome.name, "part"), schema, _hex_uid)
        files = write_files(target, noted(), writers)
    lists = [_listed(attempt, path, kept.rows) for path in listed]
    of = [{"name": name, "kept": held[name]} for name in sources]
    return samples, kept.rows, of, (*files, *lists)


def _write_dropped(
    outcome: SplitOutcome, attempt: Attempt, writers: int
) -> tuple[list[int], tuple[Written, ...]]:
    """Write what rules drop, by which rule and what decided; return how many each step drops."""
    rows = outcome.rows
    reasons = pa.array(outcome.reasons(), pa.string())
    counts = np.zeros(len(reasons), np.int64)
    keyed, sources = any(column.name == "key" for column in rows.pool.columns.own), bool(outcome.sources())
    schema = DROPPED.append(pa.field(SOURCES, pa.string())) if sources else DROPPED
    query = f"{rows.lost('key' if keyed else 'NULL::VARCHAR')} ORDER BY uid"

    def counted() -> Iterator[Batch]:
        for batch in rows.db.sql(query).to_arrow_reader(BATCH_ROWS):
            np.add(counts, np.bincount(batch.column("step").to_numpy(), minlength=len(counts)), out=counts)
            yield batch

    def shaped(batch: Batch) -> pa.Table:
        uid, key, step, decided = (batch.column(name) for name in ("uid", "key", "step", "decided"))
        columns = [as_hex(uid), key, reasons.take(step), decided.cast(pa.string())]
        return pa.table([*columns, *([batch.column(SOURCES)] if sources else [])], schema=schema)

    target = Target(attempt, layout.split(outcome.name, "dropped/part"), schema, shaped)
    files = write_files(target, counted(), writers)
    return [int(count) for count in counts], files


def _hex_uid(batch: Batch) -> pa.Table:
    table = pa.Table.from_batches([batch])
    return table.set_column(0, "uid", as_hex(batch.column("uid")))


def _listed(attempt: Attempt, relative: str, rows: int) -> Written:
    attempt.add(relative)
    path = attempt.file(relative)
    return Written(relative, rows, path.stat().st_size, sha256_of(path))
