"""How strongly an attribute of captions and a class go together."""

from __future__ import annotations

import math
from collections.abc import Sequence


def pmi(together: int, attribute: int, of_class: int, samples: int) -> float:
    """Return the pointwise mutual information ln(p(a, c) / (p(a) p(c))) in nats; -inf where they never meet.

    0 is chance; ln 2 is twice as often as by chance.

    Args:
        together: Samples of the class with the attribute.
        attribute: Samples with the attribute.
        of_class: Samples of the class.
        samples: All samples.
    """
    if not together:
        return -math.inf
    return math.log(together * samples / (attribute * of_class))


def cramers_v(having: Sequence[int], sizes: Sequence[int]) -> float:
    """Return Cramér's V of the table of classes by whether a sample has an attribute: 0 is none, 1 is complete.

    V = sqrt(χ² / n) for a table of two columns, with χ² = Σ (o - e)² / e over both.

    Args:
        having: Samples with the attribute, by class.
        sizes: Samples, by class.
    """
    total, has = sum(sizes), sum(having)
    if not 0 < has < total:
        return 0.0
    share = has / total
    spread = math.fsum(
        (got - size * share) ** 2 / size for got, size in zip(having, sizes, strict=True) if size
    )
    return math.sqrt(spread / (share * (1 - share)) / total)
