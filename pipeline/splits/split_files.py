"""The files of a split: what it keeps and what it drops, sorted by uid, with counts that add up."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from curation.expressions import quoted
from pipeline.commit import Attempt
from pipeline.files.digests import sha256_of
from pipeline.sets.uids import as_hex
from pipeline.splits.accounting import Losses, waterfall
from pipeline.splits.candidates import TEXT, Rows
from pipeline.splits.emit import Batch, Target, Written, write_files
from pipeline.splits.kept_names import KeptNames

DROPPED = pa.schema([("uid", pa.string()), ("reason", pa.string())])
BATCH_ROWS = 131_072
OUTSIDE = "from"
"""Reason of samples that are not in the splits that this one starts from."""
INTERNAL = ("label", "image_sha256")
"""Columns of the samples that a split does not carry."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a split came to.

    Attributes:
        name: The split.
        rows: What stays, and what does not.
        steps: Each rule in order, with its options and cutoffs.
        losses: Rows that no rule saw.
    """

    name: str
    rows: Rows
    steps: tuple[dict[str, Any], ...]
    losses: Losses

    def reasons(self) -> list[str]:
        """Reasons by step: outside of `from` first, then each rule's place and name."""
        return [OUTSIDE, *(f"{place}:{step['rule']}" for place, step in enumerate(self.steps, 1))]


def write_split(
    outcome: Outcome, attempt: Attempt, threads: int | None, facts: dict[str, Any]
) -> dict[str, Any]:
    """Write all files of a split and return what `split.json` holds.

    Raises:
        RunFailedError: If a row is unaccounted for.
    """
    writers = threads or os.cpu_count() or 1
    kept, files = _write_kept(outcome, attempt, writers)
    counts, dropped_files = _write_dropped(outcome, attempt, writers)
    steps = _steps(outcome, counts, kept)
    facts = facts | {
        "rows_in": outcome.losses.rows_in,
        "kept": kept,
        "waterfall": waterfall(outcome.losses, steps, kept),
        "files": {written.path: written.facts() for written in (*files, *dropped_files)},
    }
    relative = f"splits/{outcome.name}/split.json"
    text = json.dumps(facts, indent=2, sort_keys=True, ensure_ascii=False)
    attempt.file(relative).write_text(f"{text}\n", encoding="utf-8", newline="\n")
    attempt.add(relative)
    return facts


def _steps(outcome: Outcome, counts: Sequence[int], kept: int) -> list[dict[str, Any]]:
    reached = kept + sum(counts)
    first = {"rule": OUTSIDE, "options": {}}
    steps = []
    for reason, step, dropped in zip(outcome.reasons(), (first, *outcome.steps), counts, strict=True):
        if step is not first or outcome.rows.member:
            steps.append(
                {"reason": reason, "rows_in": reached, "dropped": dropped, "left": reached - dropped, **step}
            )
        reached -= dropped
    return steps


def _write_kept(outcome: Outcome, attempt: Attempt, writers: int) -> tuple[int, tuple[Written, ...]]:
    rows, folder = outcome.rows, f"splits/{outcome.name}"
    carried = [column for column in rows.columns if column.stored not in INTERNAL]
    carried.sort(key=lambda column: column.stored not in TEXT)  # stable: the pool's own keep their order
    schema = pa.schema(
        [("uid", pa.string()), *((column.name, column.type) for column in carried), *rows.scores.items()]
    )
    columns = [f"{quoted(column.raw)} AS {quoted(column.name)}" for column in carried]
    names = ", ".join(["uid", *columns, *map(quoted, rows.scores)])
    query = f"{rows.surviving(names, wide=bool(carried))} ORDER BY uid"
    uids, keys = f"{folder}/uids.npy", f"{folder}/keys.txt"
    with KeptNames(attempt.file(uids), attempt.file(keys) if carried else None) as kept:

        def noted() -> Iterator[Batch]:
            for batch in rows.db.sql(query).to_arrow_reader(BATCH_ROWS):
                kept.add(batch)
                yield batch

        files = write_files(Target(attempt, f"{folder}/part", schema, _hex_uid), noted(), writers)
    lists = [_listed(attempt, uids, kept.rows)]
    if carried:
        lists.append(_listed(attempt, keys, kept.rows))
    return kept.rows, (*files, *lists)


def _write_dropped(outcome: Outcome, attempt: Attempt, writers: int) -> tuple[list[int], tuple[Written, ...]]:
    """Write uid and reason of what rules drop; return how many each step drops."""
    reasons = pa.array(outcome.reasons(), pa.string())
    counts = np.zeros(len(reasons), np.int64)

    def counted() -> Iterator[Batch]:
        rows = outcome.rows
        for batch in rows.db.sql(f"{rows.lost()} ORDER BY uid").to_arrow_reader(BATCH_ROWS):
            np.add(counts, np.bincount(batch.column("step").to_numpy(), minlength=len(counts)), out=counts)
            yield batch

    def shaped(batch: Batch) -> pa.Table:
        columns = [as_hex(batch.column("uid")), reasons.take(batch.column("step"))]
        return pa.table(columns, schema=DROPPED)

    files = write_files(
        Target(attempt, f"splits/{outcome.name}/dropped", DROPPED, shaped), counted(), writers
    )
    return [int(count) for count in counts], files


def _hex_uid(batch: Batch) -> pa.Table:
    table = pa.Table.from_batches([batch])
    return table.set_column(0, "uid", as_hex(batch.column("uid")))


def _listed(attempt: Attempt, relative: str, rows: int) -> Written:
    attempt.add(relative)
    path = attempt.file(relative)
    return Written(relative, rows, path.stat().st_size, sha256_of(path))
