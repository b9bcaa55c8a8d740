"""Keep what NormSim-D leaves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from curation.expressions import quoted
from curation.rule import Rule, Scope
from curation.rules._options import Name
from curation.selection import Selection
from curation.selections.drop import Drop


@dataclass(frozen=True, slots=True)
class ByNormSimD(Rule):
    """Keep the samples that remain when the rounds of the measure `norm_sim_d` are done (Wang et al. 2024).

    How many remain is an option of the measure, for each round looks at what the rounds before it left.

    * `measure`: the measure's name in the plan, where it has one of its own.
    """

    measure: Name = "norm_sim_d"
    EXAMPLE: ClassVar[Mapping[str, Any]] = {}

    def reads_measures(self) -> tuple[str, ...]:
        """The measure."""
        return (self.measure,)

    def selection(self, scope: Scope) -> Selection:
        """Drop what a round dropped."""
        when = f"{quoted(self.measure)}.{quoted('dropped_in')}"
        return Drop(f"NOT ({when} = 0)", "what a round of NormSim-D drops", when)
