"""What measures ask of the pool's vectors and of one another, looked at before anything is read."""

from __future__ import annotations

from curation.measures.told._told import ToldMeasure
from indexes.errors import DataError, NearfarError
from pipeline.embedding.weights import find
from pipeline.execution.context import RunContext
from pipeline.measuring import Instance
from pipeline.passes.located import named_arrays, own_key
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


def _check_there(run: RunContext, one: Instance) -> None:
    if one.encoder in run.plan.encoder_map():
        return
    if one.measure.phrases():
        raise DataError(
            f"measures.{one.name} compares samples with texts that the text tower of '{one.encoder}' has to embed, and "
            "the plan has no encoder: add encoder: {model: ..., pretrained: ...}, the one that made the pool's "
            "embeddings, or give the texts' vectors as a file under head"
        )
    if "text" in one.vectors() and any(
        own_key(run, "pool", shard, one.encoder, "text") is None for shard in run.shards("pool")
    ):
        raise DataError(
            f"measures.{one.name} looks at the captions' embeddings, and the pool ({run.plan.pool.path}) has no text "
            f"embeddings of the encoder '{one.encoder}': bring them, add encoder: {{model: ..., pretrained: ...}} to "
            "make them, or take the measure and the rules that read it out of the plan"
        )


def _check_width(run: RunContext, one: Instance) -> None:
    """Compare a measure's own vectors with the pool's, or with those that the encoder will make."""
    made = _made_width(run, one.encoder)
    wanted = one.measure.width() or (made if one.measure.phrases() else None)
    if wanted is None:
        return
    for kind in one.vectors(named_arrays(run)):
        for shard in run.shards("pool"):
            key = own_key(run, "pool", shard, one.encoder, kind)
            width = made if key is None else shard.vectors[key].width
            if width not in (None, wanted):
                raise DataError(
                    f"measures.{one.name} has vectors of width {wanted} for its classes, and the pool's {kind} "
                    f"embeddings have {width}: they come from different encoders. Give a head, or an encoder, of the "
                    "one that made the pool's"
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
