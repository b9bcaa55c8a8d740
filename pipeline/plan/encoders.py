"""Whether the weights of a plan's encoders are on this machine."""

from __future__ import annotations

from collections.abc import Collection

from indexes.errors import BadInputError, DataError
from pipeline.embedding.weights import find
from pipeline.plan.model import Plan


def check_weights(plan: Plan, needed: Collection[str] | None = None) -> None:
    """Look for the config and the weights of a plan's encoders; nothing is loaded, and nothing is downloaded.

    An encoder under open_clip's names costs the seconds of importing open_clip, local files cost nothing; so name those
    that have something to embed, and ask on the machine that embeds.

    Args:
        plan: The plan.
        needed: Names of the encoders that have something to embed; all of the plan's if omitted.

    Raises:
        DataError: With everything that is missing, each with its place in the plan.
    """
    missing = []
    for name, choice in plan.encoder_map().items():
        if needed is not None and name not in needed:
            continue
        place = "encoder" if plan.encoder is not None else f"encoders.{name}"
        try:
            find(choice.spec())
        except BadInputError as failure:
            missing.append(f"{place}: {failure}")
    if missing:
        count = (
            "1 encoder of the plan is" if len(missing) == 1 else f"{len(missing)} encoders of the plan are"
        )
        raise DataError(f"{count} not there:\n" + "\n".join(f"- {text}" for text in missing))
