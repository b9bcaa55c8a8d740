"""Captions of a split's samples that are not their own: rewritten by a rule, or composed by the one that added them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from pipeline import layout
from pipeline.execution.context import RunContext, paths
from pipeline.files.parquet import parquet_schema, read_batches
from pipeline.splits.split_columns import REWRITTEN

CAPTION = "caption"


def caption_columns(run: RunContext, split: str, name: str) -> tuple[str, ...]:
    """List the columns of a split's files that may hold another caption than a sample's own.

    A column of the pool's own may be called like that of rewritten ones. What a set adds has its caption by the rule
    that added it.
    """
    part = paths([run.record("split", split)], layout.split(split, "part-"))[0]
    has = {each.lower() for each in parquet_schema(run.path(part)).names}
    own = {each.lower() for each in run.columns("pool")}
    rewritten = REWRITTEN in has and (REWRITTEN not in own or f"pool_{REWRITTEN}" in has)
    return (*((REWRITTEN,) if rewritten else ()), *(() if name == "pool" else (CAPTION,)))


def other_captions(
    files: Sequence[str], columns: Sequence[str], own: Mapping[str, str | None]
) -> dict[str, str]:
    """Look up the captions that stand in place of samples' own, of those that have one.

    Args:
        files: The split's files.
        columns: As `caption_columns` gives them.
        own: The samples' own captions, by uid.
    """
    wanted, found = pa.array(list(own), pa.string()), dict[str, str]()
    for file in files:
        for batch in read_batches(Path(file), ["uid", *columns]):
            for row in batch.filter(pc.is_in(batch.column("uid"), value_set=wanted)).to_pylist():
                uid = row["uid"]
                given = [row[name] for name in columns if name != CAPTION or row[name] != own[uid]]
                text = next((text for text in given if text is not None), None)
                if text is not None:
                    found[uid] = text
    return found
