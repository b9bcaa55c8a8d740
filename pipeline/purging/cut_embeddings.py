"""Embeddings without the rows of purged samples: those that were made after their part was read, and forgotten ones."""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from indexes.errors import NearfarError
from pipeline import layout
from pipeline.commit import Record, Unit, attempt, records, retire
from pipeline.execution.context import RunContext
from pipeline.execution.work import Place, Work
from pipeline.files.inputs import Ledger
from pipeline.files.parquet import read_parquet
from pipeline.plan import load_lock
from pipeline.sets.tombstones import Stones, cut_vectors, stays
from pipeline.stages import embed
from pipeline.stages.read import encoder_identity

PartName = tuple[str, int]
_NUMBER = re.compile(r"_(\d+)\.(?:npy|parquet)$")


def part_of(record: Record) -> PartName:
    """Name the set and the number of the part that a record is for."""
    name, number = record.facts["part"]
    return str(name), int(number)


def embeddings_of(out: Path, part: Record) -> list[Record]:
    """List the records of what was embedded of a part after it was read."""
    return [record for record in records(out, "embed") if part_of(record) == part_of(part)]


def cut_embedding(
    out: Path, embedded: Record, part: Record, mask: NDArray[np.bool_], digests: tuple[str, str]
) -> None:
    """Cut the vectors of a part, and make them those of the part as it will be.

    Args:
        out: The output folder.
        embedded: Their record; one that no longer holds goes, with its file.
        part: The part's record.
        mask: Which of its rows stay.
        digests: sha256 of the part's samples before and after.
    """
    before, after = (_fingerprint(out, embedded, part, digest) for digest in digests)
    if embedded.fingerprint == after:
        return  # cut before an interruption
    if before is None or after is None or embedded.fingerprint != before:
        retire(out, "embed", lambda record: record.name == embedded.name)
        return
    with attempt(out, Unit("embed", embedded.name, after)) as into:
        path = embedded.outputs[0].path
        kept = cut_vectors(out / path, into.file(path), mask)
        into.add(path, rows=len(kept))
        missing = int(np.isnan(kept).all(axis=1).sum())
        into.commit(embedded.facts | {"rows": len(kept), "missing": missing})


def _fingerprint(out: Path, embedded: Record, part: Record, digest: str) -> str | None:
    """Name the unit that embeds rows of this digest; None where its encoder is not in the plan, or not to be found."""
    encoder, kind = embedded.name.removeprefix(f"{part.name} ").rsplit(" ", 1)
    plan, place = load_lock(out / layout.LOCK_FILE).plan, Place(str(out))
    if encoder not in plan.encoder_map():
        return None
    run = RunContext(plan, out, Ledger(out), place, "")
    try:
        described = encoder_identity(run, encoder)
    except NearfarError:
        return None
    name, number = part_of(part)
    identity = embed.Identity(name, encoder, kind, number, digest, described)
    return Work("embed", embedded.name, identity, None, place).unit().fingerprint


def unowned_embeddings(out: Path, stones: Stones, parts: Collection[PartName]) -> list[str]:
    """List embeddings that no record names and that a purged sample is among.

    Embeddings stay when their part goes, so that they need not be made again; nothing of them can be cut that is sure
    to be right. Those of a part that was just cut are what an interruption left.
    """
    stages = ("read", "embed", "catalog")
    owned = {output.path for stage in stages for record in records(out, stage) for output in record.outputs}
    root = out / layout.EMBEDDINGS
    loose = {
        path: (path.relative_to(root).parts[0], path.parents[1], int(number.group(1)))
        for path in sorted(root.rglob("*"))
        if path.is_file()
        and path.relative_to(out).as_posix() not in owned
        and (number := _NUMBER.search(path.name))
    }
    named = {
        (folder, number)
        for path, (_, folder, number) in loose.items()
        if path.suffix == ".parquet" and not stays(read_parquet(path, ["uid"]).column("uid"), stones).all()
    }
    return [
        path.relative_to(out).as_posix()
        for path, (name, folder, number) in loose.items()
        if (folder, number) in named or (name, number) in parts
    ]
