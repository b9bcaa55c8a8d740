"""What a score says of a distance between rows of whole numbers, with its proof.

Let a row x and a column y have the product s, of which y takes o off: the score is s − o. With N = ‖x‖² and
K = ‖y‖² − 2o,

    ‖x − y‖² = N + K − 2 (s − o),     so y scores b or more iff     ‖x − y‖² <= N + K − 2b.

Let u and v be their whole numbers: scale · (x − c) = u + r and scale · (y − c) = v + t. The centre c cancels out, hence

    ‖u − v‖ <= scale ‖x − y‖ + ‖r‖ + ‖t‖ <= D,     D = scale √(N + K − 2b) + ‖r‖ + ‖t‖,

with the largest K and ‖t‖ of all columns. A distance over some of the numbers is no larger than over all. So over any
first numbers, where ‖u − v‖² = ‖u‖² + ‖v‖² − 2 u·v,

    u·v − ⌊‖v‖² / 2⌋ >= ⌊‖u‖² / 2⌋ − D² / 2.

The left side is a tile's sum, and whole; what lies below the right side scores less than b. Nothing rounds but D, which
is raised for it: N and K have an error of `slack` of the norms (`points.norm_slack`), and float64 rounds numbers below
2^8 by 2^-44 at most, which 2^-40 covers. A score itself is a float64: where o is not zero, it is s − o rounded, which
2^-40 covers too.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np

from indexes.cpu.kernel import inlined

_EVERYWHERE: Final = 2.0**40
"""More than any half of a squared distance between whole numbers, which is below 2^32."""
_TINY: Final = 2.0**-40


class Reach(NamedTuple):
    """What bounds a distance by a score, for all columns.

    Attributes:
        scale: Numbers to one.
        lost: The most that was rounded off of a column, in numbers.
        high: The most of a column's square norm less twice what it takes off.
        slack: Relative error of a row's square norm.
    """

    scale: float
    lost: float
    high: float
    slack: float


@inlined
def reach_of(least: float, norm: float, lost: float, bounds: Reach) -> Any:  # pragma: no cover - machine code
    """Half of the squared distance, in numbers, within which a column must lie to score `least`.

    Args:
        least: The score; -inf for any.
        norm: The row's square norm N.
        lost: What was rounded off of it, ‖r‖.
        bounds: Those of the columns.
    """
    if least == -np.inf:
        return np.int64(_EVERYWHERE)
    apart = norm * (1.0 + bounds.slack) + bounds.high - 2.0 * least + _TINY
    distance = (bounds.scale * np.sqrt(max(apart, 0.0)) + lost + bounds.lost) * (1.0 + _TINY)
    return np.int64(min(distance * distance / 2.0, _EVERYWHERE)) + 2
