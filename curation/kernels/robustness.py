"""Effective robustness: how far a model's accuracy under a shift lies above what its accuracy without one lets expect.

ρ = acc_shift - β(acc), β(a) = sigmoid(slope · logit(a) + intercept), an ordinary least-squares line through logit
accuracies of standard models (Taori et al. 2020; fits of arXiv 2205.01397's code over imagenet-testbed). A model's line
for ImageNet-A is one of two, split at 91.86 % on ImageNet-A's classes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from curation.kernels.pairwise import NORMAL

A_SPLIT = 91.86


@dataclass(frozen=True, slots=True)
class RobustnessLine:
    """The accuracy that standard models have under a shift.

    Attributes:
        shift: The shift.
        against: The accuracy that it is predicted from: on ImageNet's validation set, or on the shift's classes of it.
        slope: Of the line through logits.
        intercept: Of the same.
        images: Images of the shift, and of what it is predicted from.
        low: The line holds for `against` above this, in percent.
        high: And up to this.
    """

    shift: str
    against: str
    slope: float
    intercept: float
    images: tuple[int, int]
    low: float = 0.0
    high: float = 100.0

    def expected(self, accuracy: float) -> float:
        """Return β: percent under the shift for `accuracy` percent without it, both within (0, 100)."""
        return 100 / (1 + math.exp(-self.slope * logit(accuracy) - self.intercept))

    def holds(self, accuracy: float) -> bool:
        """Say whether this line is the one for an accuracy."""
        return self.low < accuracy <= self.high and 0 < accuracy < 100

    def effective(self, accuracy: float, under_shift: float) -> tuple[float, float]:
        """Return ρ in percentage points, and the half width of its 95 % interval.

        The interval is that of drawing the images: both accuracies are binomial, and β is followed to first order:
        var ρ = y(1 - y)/n_shift + β'(x)² x(1 - x)/n. The line itself is taken as it is.
        """
        expected = self.expected(accuracy)
        x, y, beta = accuracy / 100, under_shift / 100, expected / 100
        steep = self.slope * beta * (1 - beta) / (x * (1 - x))
        variance = y * (1 - y) / self.images[0] + steep**2 * x * (1 - x) / self.images[1]
        return under_shift - expected, 100 * NORMAL * math.sqrt(variance)


V2 = "imagenetv2-matched-frequency-format-val"
SKETCH, R, A, OBJECTNET = "imagenet-sketch", "imagenet-r", "imagenet-a", "objectnet-1.0-beta"
VAL = "val"
LINES = (
    RobustnessLine(V2, VAL, 0.9232287729753482, -0.497689881660077, (10_000, 50_000)),
    RobustnessLine(SKETCH, VAL, 1.0709154135668684, -2.370072912552283, (50_889, 50_000)),
    RobustnessLine(
        R, "val-on-imagenet-r-classes", 0.6368439842816461, -2.1077156197680718, (30_000, 10_000), 75.0
    ),
    RobustnessLine(
        OBJECTNET, "val-on-objectnet-classes", 0.9809103795406257, -1.9282889065475395, (18_574, 5_650), 55.0
    ),
    RobustnessLine(
        A, "val-on-imagenet-a-classes", 0.689446499098937, -5.140046172254442, (7_500, 10_000), 0.0, A_SPLIT
    ),
    RobustnessLine(
        A, "val-on-imagenet-a-classes", 2.9559595169134276, -10.277397088606449, (7_500, 10_000), A_SPLIT
    ),
)
"""The published lines; R's and ObjectNet's were fitted to models of at least 75 and 55 %, and say nothing below."""


def logit(accuracy: float) -> float:
    """Return ln(a / (1 - a)) of a percentage within (0, 100)."""
    return math.log(accuracy / (100 - accuracy))


def fit_line(accuracy: NDArray[np.float64], under_shift: NDArray[np.float64]) -> tuple[float, float]:
    """Fit slope and intercept of logit(y) on logit(x) by ordinary least squares; both `(n,)` in percent."""
    x, y = np.log(accuracy / (100 - accuracy)), np.log(under_shift / (100 - under_shift))
    a, b = x - x.mean(), y - y.mean()
    slope = math.fsum((a * b).tolist()) / math.fsum((a * a).tolist())
    return slope, float(y.mean() - slope * x.mean())
