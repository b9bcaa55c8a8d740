"""The files of a split: what it keeps and what it drops, sorted by uid, with counts that add up."""

# SQL is put together from quoted identifiers, checked predicates and numbers.

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

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
from pipeline.splits.split_columns import REPEAT, split_columns

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
    """

    name: str
    rows: PoolRows
    steps: tuple[dict[str, Any], ...]
    losses: Losses
    named: PoolColumns
    times: str = ""
    caption: str = ""

    def reasons(self) -> list[str]:
        """Reasons by step: outside of `from` first, then each rule's place and name."""
        return [OUTSIDE, *(f"{place}:{step['rule']}" for place, step in enumerate(self.steps, 1))]


def write_split(
    outcome: SplitOutcome, attempt: Attempt, threads: int | None, facts: dict[str, Any]
) -> dict[str, Any]:
    """Write all files of a split and return what `split.json` holds.

    Raises:
        RunFailedError: If a row is unaccounted for.
    """
    writers = threads or os.cpu_count() or 1
    kept, entries, files = _write_kept(outcome, attempt, writers)
    counts, dropped_files = _write_dropped(outcome, attempt, writers)
    steps = _steps(outcome, counts, kept)
    facts = facts | {
        "rows_in": outcome.losses.rows_in,
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


def _steps(outcome: SplitOutcome, counts: Sequence[int], kept: int) -> list[dict[str, Any]]:
    reached = kept + sum(counts)
    first = {
        "rule": OUTSIDE,
        "options": {},
        "words": "drops what is not in the splits that this one starts from",
    }
    steps = []
    for reason, step, dropped in zip(outcome.reasons(), (first, *outcome.steps), counts, strict=True):
        if step is not first or outcome.rows.member:
            steps.append(
                {"reason": reason, "rows_in": reached, "dropped": dropped, "left": reached - dropped, **step}
            )
        reached -= dropped
    return steps


def _write_kept(
    outcome: SplitOutcome, attempt: Attempt, writers: int
) -> tuple[int, int, tuple[Written, ...]]:
    """Write the rows and names that stay; return how many samples they are, how many entries, and the files."""
    rows, samples = outcome.rows, 0
    columns = split_columns(rows.pool.columns, outcome.named, outcome.times, outcome.caption)
    schema = pa.schema([("uid", pa.string()), *((column.name, column.type) for column in columns)])
    names = ", ".join(["uid", *(f"{column.sql} AS {quoted(column.name)}" for column in columns)])
    query = f"{rows.surviving(names)} ORDER BY uid"
    uids, keys = layout.split(outcome.name, "uids.npy"), layout.split(outcome.name, "keys.txt")
    keyed = bool(rows.pool.columns.own)
    with KeptNames(attempt.file(uids), attempt.file(keys) if keyed else None) as kept:

        def noted() -> Iterator[Batch]:
            nonlocal samples
            for batch in rows.db.sql(query).to_arrow_reader(BATCH_ROWS):
                kept.add(batch, batch.column(REPEAT).to_numpy() if outcome.times else None)
                samples += batch.num_rows
                yield batch

        target = Target(attempt, layout.split(outcome.name, "part"), schema, _hex_uid)
        files = write_files(target, noted(), writers)
    lists = [_listed(attempt, path, kept.rows) for path in (uids, *([keys] if keyed else []))]
    return samples, kept.rows, (*files, *lists)


def _write_dropped(
    outcome: SplitOutcome, attempt: Attempt, writers: int
) -> tuple[list[int], tuple[Written, ...]]:
    """Write what rules drop, by which rule and what decided; return how many each step drops."""
    rows = outcome.rows
    reasons = pa.array(outcome.reasons(), pa.string())
    counts = np.zeros(len(reasons), np.int64)
    keyed = any(column.name == "key" for column in rows.pool.columns.own)
    query = f"{rows.lost('key' if keyed else 'NULL::VARCHAR')} ORDER BY uid"

    def counted() -> Iterator[Batch]:
        for batch in rows.db.sql(query).to_arrow_reader(BATCH_ROWS):
            np.add(counts, np.bincount(batch.column("step").to_numpy(), minlength=len(counts)), out=counts)
            yield batch

    def shaped(batch: Batch) -> pa.Table:
        uid, key, step, decided = (batch.column(name) for name in ("uid", "key", "step", "decided"))
        return pa.table([as_hex(uid), key, reasons.take(step), decided.cast(pa.string())], schema=DROPPED)

    target = Target(attempt, layout.split(outcome.name, "dropped/part"), DROPPED, shaped)
    files = write_files(target, counted(), writers)
    return [int(count) for count in counts], files


def _hex_uid(batch: Batch) -> pa.Table:
    table = pa.Table.from_batches([batch])
    return table.set_column(0, "uid", as_hex(batch.column("uid")))


def _listed(attempt: Attempt, relative: str, rows: int) -> Written:
    attempt.add(relative)
    path = attempt.file(relative)
    return Written(relative, rows, path.stat().st_size, sha256_of(path))
