"""What an atlas is asked for."""

from __future__ import annotations

from dataclasses import dataclass

MOST_SAMPLES = 100_000
LEAST_SAMPLES = 5
"""With fewer there is nothing to lay out."""
SEED = 0
"""Of the draw, and of the layout."""


@dataclass(frozen=True, slots=True)
class AtlasRequest:
    """A split on a plane.

    Attributes:
        split: Its name.
        most: Samples of it, at most; of more, those with the lowest hashes of uid.
        pictures: Whether a small picture of each comes along, where the pool has images.
    """

    split: str
    most: int = MOST_SAMPLES
    pictures: bool = True
