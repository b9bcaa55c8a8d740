"""The lowest level above which answers are right often enough, by Wilson's lower bound on held-out answers."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from curation.kernels.pairwise import NORMAL

TURNS = 20
"""Levels that are tried: from the surest twentieth of the held-out answers down, each a twentieth more."""


@dataclass(frozen=True, slots=True)
class Proven:
    """What held-out answers prove of a level.

    Attributes:
        level: Sureness from which answers are taken; None where no level is proven.
        taken: Held-out answers that reach it; of the last level that was tried where none is proven.
        right: How many of these are right.
        bound: Wilson's lower bound of the share that is right.
    """

    level: float | None
    taken: int
    right: int
    bound: float


def wilson_lower(right: int, of: int) -> float:
    """Return the lower end of Wilson's 95 % interval for a share of `right` in `of`; 0 where there is none."""
    if not of:
        return 0.0
    square, share = NORMAL**2 / of, right / of
    spread = NORMAL * math.sqrt(share * (1 - share) / of + square / (4 * of))
    return max(0.0, (share + square / 2 - spread) / (1 + square))


def needed(precision: float) -> int:
    """Return how many answers, all of them right, bring the lower bound to `precision`, from 0 to below 1."""
    count = math.ceil(NORMAL**2 * precision / (1 - precision))
    return count if wilson_lower(count, count) >= precision else count + 1


def proven_level(sureness: NDArray[np.float64], right: NDArray[np.bool_], precision: float) -> Proven:
    """Find the lowest level whose answers are right in a share of `precision`, by Wilson's lower bound.

    A bound holds for a level that was fixed before the answers were looked at, and not for the best of many. So levels
    are tried in an order that the sureness alone fixes, the surest answers first, and the first that fails ends it: a
    false level is then passed as seldom as if one alone had been tried (a fixed sequence of tests). The first one has
    twice as many answers as must all be right to reach the bound, so that a few wrong ones do not end it.

    Args:
        sureness: `(m,)` of held-out answers, higher is surer.
        right: `(m,)` whether each is right.
        precision: Share that shall be right.
    """
    order = np.argsort(-sureness, kind="stable")
    falling, wins = sureness[order], np.cumsum(right[order])
    found = Proven(None, 0, 0, 0.0)
    for taken in _turns(falling, 2 * needed(precision)):
        hits = int(wins[taken - 1])
        tried = Proven(float(falling[taken - 1]), taken, hits, wilson_lower(hits, taken))
        if tried.bound < precision:
            return found if found.level is not None else Proven(None, taken, hits, tried.bound)
        found = tried
    return found


def _turns(falling: NDArray[np.float64], least: int) -> list[int]:
    """List how many answers each level takes, equal ones together; all of them where that is less than `least`."""
    count = len(falling)
    sizes = [-(-count * turn // TURNS) for turn in range(1, TURNS + 1)] if count else []
    # What is as sure as the last one is taken with it.
    whole = [int(np.searchsorted(-falling, -falling[size - 1], side="right")) for size in sizes]
    return [size for size in dict.fromkeys(whole) if size >= min(least, count)]
