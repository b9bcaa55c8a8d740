"""The kinds of option that rules share, checked when the plan is read."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

Name = Annotated[str, Field(strict=True, min_length=1)]
Benchmarks = Annotated[tuple[Name, ...], Field(min_length=1)] | Literal["all"]
Count = Annotated[int, Field(strict=True, ge=1)]
Fraction = Annotated[float, Field(strict=True, gt=0, le=1)]
Threshold = Annotated[float, Field(strict=True, ge=-1, le=1)]
ClassValue = Annotated[int, Field(strict=True)] | Name
"""A class as its column holds it: a position, or a text."""
Seed = Annotated[int, Field(strict=True, ge=0, lt=2**63)]


def at_most_one(**options: object) -> None:
    """Refuse options that exclude each other.

    Raises:
        ValueError: If more than one of `options` is given; pydantic turns it into a plan error.
    """
    given = [name for name, value in options.items() if value is not None]
    if len(given) > 1:
        raise ValueError(f"{' and '.join(given)} exclude each other; give one of: {', '.join(options)}")


def exactly_one(**options: object) -> None:
    """Like `at_most_one`, and refuse that none is given."""
    at_most_one(**options)
    if all(value is None for value in options.values()):
        raise ValueError(f"it does not say how many samples stay; give one of: {', '.join(options)}")
