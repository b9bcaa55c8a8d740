"""What measures ask of a set's vectors and columns and of one another, looked at before anything is read."""

from __future__ import annotations

from collections.abc import Collection
from itertools import chain

from curation.measure import VECTORS
from curation.measures.told._told import ToldMeasure
from indexes.errors import DataError, NearfarError
from pipeline.embedding.weights import find
from pipeline.execution.context import RunContext
from pipeline.measuring import Instance
from pipeline.passes.located import measured_sets, named_arrays, own_key
from pipeline.plan.told_tables import told_columns


def check_measures(run: RunContext) -> None:
    """Refuse a plan whose measures cannot have what they look at.

    Raises:
        PlanError: If two measures do not go together.
        DataError: If there are no embeddings that a measure needs and no encoder to make them, or they have another
            width than the measure's own vectors.
    """
    others = {name: one.measure for name, one in run.instances().items()}
    for one in run.instances().values():
        one.measure.check_beside(others, f"measures.{one.name}")
        if isinstance(one.measure, ToldMeasure):
            told_columns(one.measure.told(), f"measures.{one.name}")
        if not one.searches:
            _check_there(run, one)
            _check_width(run, one)
    for name, levels in measured_sets(run).items():
        found = {one.name: one for one in chain(*levels)}
        for one in found.values():
            one.measure.check_beside(
                {each.name: each.measure for each in found.values()}, f"measures.{one.name}"
            )
            _check_there(run, one, name)
            _check_width(run, one, name)
            _check_columns(run, one, name, found)


def _check_columns(run: RunContext, one: Instance, name: str, beside: Collection[str]) -> None:
    """Look whether a further set has the columns that a measure of it looks at."""
    has = run.columns(name)
    for column in one.measure.requires():
        if column not in (*beside, *VECTORS, *has):
            raise DataError(
                f"the measure {one.name} looks at '{column}', which is no measure and no column of {name}; it has: "
                f"{', '.join(sorted(has))}. Correct the measure's options"
            )


def _check_there(run: RunContext, one: Instance, name: str = "pool") -> None:
    if one.encoder in run.plan.encoder_map():
        return
    if one.measure.phrases():
        raise DataError(
            f"measures.{one.name} compares samples with texts that the text tower of '{one.encoder}' has to embed, and "
            "the plan has no encoder: add encoder: {model: ..., pretrained: ...}, the one that made the pool's "
            "embeddings, or give the texts' vectors as a file under head"
        )
    if "text" in one.vectors() and any(
        own_key(run, name, shard, one.encoder, "text") is None for shard in run.shards(name)
    ):
        raise DataError(
            f"measures.{one.name} looks at the captions' embeddings, and {_called(run, name)} has no text "
            f"embeddings of the encoder '{one.encoder}': bring them, add encoder: {{model: ..., pretrained: ...}} to "
            "make them, or take the measure and the rules that read it out of the plan"
        )


def _called(run: RunContext, name: str) -> str:
    return f"{'the pool' if name == 'pool' else name} ({run.sets()[name].path})"


def _check_width(run: RunContext, one: Instance, name: str = "pool") -> None:
    """Compare a measure's own vectors with those of a set, or with those that the encoder will make."""
    made = _made_width(run, one.encoder)
    wanted = one.measure.width() or (made if one.measure.phrases() else None)
    if wanted is None:
        return
    of = "the pool" if name == "pool" else name
    for kind in one.vectors(named_arrays(run) if name == "pool" else ()):
        for shard in run.shards(name):
            key = own_key(run, name, shard, one.encoder, kind)
            width = made if key is None else shard.vectors[key].width
            if width not in (None, wanted):
                raise DataError(
                    f"measures.{one.name} has vectors of width {wanted} for its classes, and the {kind} "
                    f"embeddings of {of} have {width}: they come from different encoders. Give a head, or an encoder, "
                    f"of the one that made {of}'s"
                )


def _made_width(run: RunContext, encoder: str) -> int | None:
    """Look up an encoder's width; None where it is not here, which is said where its vectors are to be made."""
    choice = run.plan.encoder_map().get(encoder)
    if choice is None:
        return None
    try:
        return int(find(choice.spec()).architecture["embed_dim"])
    except NearfarError:
        return None
