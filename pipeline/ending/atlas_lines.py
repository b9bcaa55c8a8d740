"""What an atlas says at its end: where it is, of how many samples, and how to open it."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import Field

from pipeline import layout
from pipeline.execution.work import Json


@dataclass(frozen=True, slots=True)
class Drawn:
    """What `nearfar atlas` says."""

    split: str
    file: Annotated[str, Field(description="The Parquet file.")]
    samples: Annotated[int, Field(description="Samples in it.")]
    of: Annotated[int, Field(description="Samples of the pool that the split keeps.")]
    without_vector: Annotated[
        int, Field(description="Drawn samples without an embedding, which are not in it.")
    ]
    columns: Annotated[tuple[str, ...], Field(description="Its columns.")]


def drawn_by(out: Path, facts: Json) -> Drawn:
    """Read what came of an atlas."""
    file = f"{out}/{layout.atlas(facts['split'])}"
    counts = (facts["samples"], facts["of"], facts["without_vector"])
    return Drawn(facts["split"], file, *counts, tuple(facts["columns"]))


def say_drawn(found: Drawn) -> None:
    """Print where an atlas is, what is in it, and how to open it."""
    print(f"{found.samples:,} of {found.of:,} samples of the pool: {found.file}")
    if found.without_vector:
        print(f"left out, since they have no embedding: {found.without_vector:,}")
    print(f"to look at it: {viewers_command(found)}")


def viewers_command(found: Drawn) -> str:
    """Write the command by which embedding-atlas opens it."""
    options = ["--x", "projection_x", "--y", "projection_y", "--neighbors", "neighbors", "--text", "caption"]
    options += ["--image", "image"] if "image" in found.columns else []
    return shlex.join(["embedding-atlas", found.file, *options])
