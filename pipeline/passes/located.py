"""Where the committed parts of a set and their vectors lie, for the stages that read them."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain
from pathlib import Path

import numpy as np

from curation.measure import VECTORS
from indexes.errors import DataError
from pipeline import layout
from pipeline.commit import Output, fingerprint, output_of
from pipeline.execution.context import RunContext, digests, inside
from pipeline.files.inputs import Input
from pipeline.files.parquet import read_parquet
from pipeline.files.vectors import VectorFile
from pipeline.further.read_of_sets import of_sets
from pipeline.measuring import Instance, default_encoder, encoder_name
from pipeline.readers import Shard
from pipeline.sets.parts import Part, Stored

_ARRAYS = {"image": "img", "text": "txt"}
"""DataComp's ending of an array's name for each kind: `l14_img` is the image embedding of the encoder `l14`."""


def unit_name(name: str, number: int) -> str:
    """Call the unit that reads a part of a set."""
    return f"{name}-{number:04d}"


def wanted_vectors(run: RunContext) -> dict[str, dict[str, set[str]]]:
    """Say, for each set, which kinds of embeddings of which encoder the plan's measures look at."""
    return run.once("wanted vectors", lambda: _wanted_vectors(run))


def _wanted_vectors(run: RunContext) -> dict[str, dict[str, set[str]]]:
    found: dict[str, dict[str, set[str]]] = {name: {} for name in run.sets()}
    if run.plan.audit.spectra:
        found["pool"][default_encoder(run.plan)] = {"image"}
    for one in run.instances().values():
        kinds = set(one.vectors(named_arrays(run)))
        if kinds:
            found["pool"].setdefault(one.encoder, set()).update(kinds)
        if one.searches:
            for name in ("reference", one.name, *offered_sets(run)):
                if name in found:
                    found[name].setdefault(one.encoder, set()).add("image")
        if one.target is not None:
            found[one.target].setdefault(one.encoder, set()).add("image")
    for name, one in ((name, one) for name, levels in measured_sets(run).items() for one in chain(*levels)):
        if kinds := set(one.vectors()):
            found[name].setdefault(one.encoder, set()).update(kinds)
    return found


def measured_sets(run: RunContext) -> dict[str, list[list[Instance]]]:
    """List the measures of further sets that rules read, by set and in waves."""
    return run.once("measures of further sets", lambda: of_sets(run.plan))


def indexed_sets(run: RunContext) -> tuple[str, ...]:
    """Name the sets that get an index: the benchmarks, and each further set that a measure takes whole."""
    targets = {one.target for one in run.instances().values()}
    return (*run.plan.benchmarks, *(name for name in run.plan.further_sets() if name in targets))


def offered_sets(run: RunContext) -> tuple[str, ...]:
    """Name the further sets that some split adds."""
    added = {name for split in run.plan.splits.values() for _, name in split.adds()}
    return tuple(name for name in run.plan.further_sets() if name in added)


def sets_of_rules(run: RunContext) -> tuple[str, ...]:
    """Name the further sets that some split adds, or counts."""
    found = {*offered_sets(run), *(name for split in run.plan.splits.values() for name in split.counts_of())}
    return tuple(name for name in run.plan.further_sets() if name in found)


def named_arrays(run: RunContext) -> set[str]:
    """List the arrays that the pool brings under names of their own."""
    return {key for shard in run.shards("pool")[:1] for key in shard.vectors} - set(VECTORS)


def own_key(run: RunContext, name: str, shard: Shard, encoder: str, kind: str) -> str | None:
    """Find the array of a shard that holds an encoder's embeddings; None where the set does not bring them."""
    if kind in shard.vectors and (kind not in VECTORS or encoder == encoder_name(run.plan, name)):
        return kind
    named = f"{encoder}_{_ARRAYS.get(kind, kind)}"
    return named if named in shard.vectors else None


def embeds_while_reading(run: RunContext, name: str) -> bool:
    """Say whether a set's images are embedded in the pass that reads its rows: by its own encoder."""
    encoder = encoder_name(run.plan, name)
    if "image" not in wanted_vectors(run)[name].get(encoder, ()):
        return False
    return any(own_key(run, name, shard, encoder, "image") is None for shard in run.shards(name))


def groups_of(run: RunContext, name: str) -> list[tuple[int, list[Shard]]]:
    """List a set's parts: number and shards."""
    return run.once(f"groups of {name}", lambda: _groups_of(run, name))


def _groups_of(run: RunContext, name: str) -> list[tuple[int, list[Shard]]]:
    return [(group.number, shards) for group, shards in run.groups(name, embeds_while_reading(run, name))]


def parts_of(run: RunContext, name: str) -> list[Part]:
    """List a set's committed parts."""
    return run.once(f"parts of {name}", lambda: _parts_of(run, name))


def _parts_of(run: RunContext, name: str) -> list[Part]:
    repeated = _repeated(run, name)
    found = []
    for number, _ in groups_of(run, name):
        record = run.record("read", unit_name(name, number))
        path = layout.samples(name, number)
        output = output_of(record, path)
        skip = repeated.get(number, ())
        found.append(Part(number, run.path(path), record.facts["rows"], skip, output.sha256))
    return found


def _repeated(run: RunContext, name: str) -> dict[int, tuple[int, ...]]:
    record = run.record("catalog", name)
    if not record.facts["duplicates"]:
        return {}
    run.check_sound([output_of(record, layout.duplicates(name))])
    table = read_parquet(Path(run.path(layout.duplicates(name))), columns=["part", "row"])
    # They are listed part by part; a look at all of them for each part takes minutes where there are many of both.
    parts, starts = np.unique(table.column("part").to_numpy(), return_index=True)
    rows = np.split(table.column("row").to_numpy(), starts[1:])
    return {int(part): tuple(own.tolist()) for part, own in zip(parts, rows, strict=True)}


def stored(run: RunContext, name: str, number: int, shards: list[Shard], encoder: str, kind: str) -> Stored:
    """Find the vectors of a part: the set's own, or those that the run made.

    Raises:
        DataError: If there are none.
    """
    key = f"vectors of {name} {number} {encoder} {kind}"
    return run.once(key, lambda: _stored(run, name, number, shards, encoder, kind))


def _stored(run: RunContext, name: str, number: int, shards: list[Shard], encoder: str, kind: str) -> Stored:
    keys = [own_key(run, name, shard, encoder, kind) for shard in shards]
    if all(keys):
        files = tuple(shard.vectors[key] for shard, key in zip(shards, keys, strict=True) if key)
        root = run.sets()[name].path
        return Stored(files, True, tuple(inside(file.path, root) for file in files))
    relative = layout.embedding(name, encoder, kind, number)
    for stage, unit in (
        ("read", unit_name(name, number)),
        ("embed", embedding_unit(name, number, encoder, kind)),
    ):
        record = run.done.get(stage, {}).get(unit)
        if record is not None and digests([record], relative):
            width = record.facts["width"]
            file = VectorFile(run.path(relative), None, output_of(record, relative).rows or 0, width, "<f2")
            return Stored((file,), False)
    raise DataError(
        f"{name} has no {kind} embeddings of the encoder '{encoder}' that a measure needs; bring them, or give "
        "the plan an encoder"
    )


def embedding_unit(name: str, number: int, encoder: str, kind: str) -> str:
    """Call the unit that embeds a part of a set after it was read."""
    return f"{unit_name(name, number)} {encoder} {kind}"


def stored_identity(run: RunContext, found: Stored) -> str:
    """Say what of a part's vectors goes into a unit's identity: what the run made, by its content."""
    return run.once(f"identity of {id(found)}", lambda: _stored_identity(run, found))


def _stored_identity(run: RunContext, found: Stored) -> str:
    if found.names:
        described = ([f.array, f.rows, f.width, f.dtype] for f in found.files)
        return fingerprint(*zip(found.names, described, strict=True))
    return run.outputs([found.files[0].path])[0].sha256


def committed_of(run: RunContext, part: Part, found: Iterable[Stored]) -> tuple[Output, ...]:
    """Name a part's committed files: its rows, and those of its vectors that the run made."""
    made = [file.path for one in found if not one.names for file in one.files]
    return run.outputs([part.samples, *made])


def inputs_of(run: RunContext, found: Iterable[Stored]) -> tuple[Input, ...]:
    """List the user's files among some vectors, each once; units that read the same ones share the list."""
    held = tuple(found)
    return run.once(f"inputs {[id(one) for one in held]}", lambda: _inputs_of(held))


def _inputs_of(held: tuple[Stored, ...]) -> tuple[Input, ...]:
    inputs = {}
    for one in held:
        for name, file in zip(one.names, one.files, strict=False):
            array = file.array or ""
            each = Input(file.path, f"{name}::{array}", array, file.nbytes)
            inputs[each.key] = each
    return tuple(inputs.values())
