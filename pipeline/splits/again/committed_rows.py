"""What a split's committed files say of its rows: who was dropped by which rule, and which caption a rule gave."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from indexes.errors import OutputError
from pipeline import layout
from pipeline.files.parquet import read_parquet
from pipeline.splits.split_columns import REWRITTEN

SHOWN = 3
"""Samples that are named; of the others nothing is said."""


def facts_of(out: Path, name: str) -> dict[str, Any]:
    """Read a split's `split.json`.

    Raises:
        OutputError: If it cannot be read.
    """
    path = out / layout.split(name, "split.json")
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise OutputError(f"{path} cannot be read: {error}; run the plan again to cut the split") from error
    return found


def other_reasons(wanted: Sequence[tuple[str, str]], name: str, out: Path) -> list[str]:
    """Say which samples are not dropped as they should be; `wanted` are uids (hex) with the rule that drops each."""
    table = _rows_of(out, name, "dropped/part-", ["uid", "rule"])
    said = Counter(zip(table.column("uid").to_pylist(), table.column("rule").to_pylist(), strict=True))
    due = Counter(wanted)
    more = [
        f"{uid} is said to be dropped by {rule} in split {name}, and is not"
        for uid, rule in sorted(said - due)
    ]
    less = [
        f"{uid} is dropped by {rule} in split {name}, and it is not said" for uid, rule in sorted(due - said)
    ]
    return [*more, *less][:SHOWN]


def other_captions(wanted: dict[str, str | None], name: str, out: Path) -> list[str]:
    """Say which samples have another new caption than a rule gives them; `wanted` has it by uid (hex)."""
    table = _rows_of(out, name, "part-", ["uid", REWRITTEN])
    said = zip(table.column("uid").to_pylist(), table.column(REWRITTEN).to_pylist(), strict=True)
    different = [uid for uid, caption in said if caption != wanted.get(uid)]
    return [f"{uid} has another {REWRITTEN} in split {name} than by its rules" for uid in different[:SHOWN]]


def _rows_of(out: Path, name: str, stem: str, columns: list[str]) -> pa.Table:
    """Read columns of the files that a split lists whose names begin so."""
    under = layout.split(name, stem)
    paths = [path for path in facts_of(out, name)["files"] if path.startswith(under)]
    return pa.concat_tables([read_parquet(out / path, columns=columns) for path in paths])
