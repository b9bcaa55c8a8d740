"""How far a screened score can be from the exact similarity, with its proof.

Let s = x · q be the exact similarity, x' and q' the operands that the tile multiplies (x rounded to bfloat16 or to
multiples of a power of two, or x itself in float32), and a the tile's answer. With residuals r = x − x', t = q − q':

    s − x'·q' = x'·t + r·q,     so by Cauchy and Schwarz     |s − x'·q'| <= ‖x'‖ ‖t‖ + ‖r‖ ‖q‖.

Products of two bfloat16 are exact in float32 (8 + 8 bits of 24), products of float32 are fused with the sum; either
way a is a sum of d exact products with at most d roundings on the path of each, each of relative size at most u.
Hence (Higham, Accuracy and Stability of Numerical Algorithms, section 3.1)

    |a − x'·q'| <= γ Σ |x'_i q'_i| <= γ ‖x'‖ ‖q'‖,     γ = (d + 2) u / (1 − (d + 2) u).

Integers up to 2^15 have products whose sum int32 holds: a row's are scaled to a norm below 2^15, so by Cauchy and
Schwarz no partial sum exceeds 2^30. Such a sum rounds once, when it becomes a float32; scaling it back by a power of
two rounds nothing.

u is taken as 2^-23, twice the unit roundoff, which covers truncating hardware as well as rounding to nearest.
Denormals cannot occur: all terms are multiples of 2^-48, so flushing them changes nothing.

Comparisons are made in float32: a − τ, cuts and floors carry at most four roundings of numbers no larger than
B = ‖x‖ ‖q‖ + max |τ| + 1, so 2^-21 B covers them. The sum of the three is the bound `error`.

What follows from |a − s| <= error, for any set of pairs seen so far:
* the pair of the largest s has a >= s − error >= max(a) − 2 error, and a >= e − error for every exact value e known;
* a sample whose s is at least a query's k-th best f has a >= f − error.
So what lies below these cuts decides nothing, and everything else is computed exactly.
"""

from __future__ import annotations

from indexes.cpu.packing import Sizes


def error_bound(samples: Sizes, queries: Sizes, width: int, threshold: float) -> float:
    """Bound the difference between screened and exact scores.

    Args:
        samples: Largest norms among the samples.
        queries: Largest norms among the queries.
        width: Columns of an embedding.
        threshold: Largest absolute threshold.

    Returns:
        A bound that holds for every pair, for similarities and for margins.
    """
    lost = samples.packed * queries.residual + samples.residual * queries.whole
    steps = (width + 2) * 2.0**-23
    summed = steps / (1 - steps) * samples.packed * queries.packed
    compared = 2.0**-21 * (samples.whole * queries.whole + threshold + 1)
    return lost + summed + compared
