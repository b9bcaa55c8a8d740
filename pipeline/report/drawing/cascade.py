"""Where a pool's rows, and those of sets that it adds, went on their way into a split: from its `split.json`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.report.drawing.text import reasons_said

_LOSSES = ("failed: ", "quarantined: ", "repeated uid")
# So many losses or more are shown as one, with the most frequent reasons.
_FEW = 3
_SAID = 2


@dataclass(frozen=True, slots=True)
class Step:
    """One reason for rows to go, or to come.

    Attributes:
        reason: A loss, or a rule's place and name.
        before: Rows that were there before.
        dropped: Rows that it took, of those that it offered among them.
        words: What the rule does, to what and at which level; empty for a loss.
        offered: Rows of a further set that it brought in before it took any.
    """

    reason: str
    before: int
    dropped: int
    words: str = ""
    offered: int = 0

    @property
    def after(self) -> int:
        """Rows that are left."""
        return self.before + self.offered - self.dropped


@dataclass(frozen=True, slots=True)
class Waterfall:
    """From the rows that the pool lists, through losses and rules, to the samples that the split keeps."""

    rows: int
    steps: tuple[Step, ...]
    kept: int

    @property
    def adds_up(self) -> bool:
        """Whether every row is accounted for."""
        return self.rows + sum(step.offered - step.dropped for step in self.steps) == self.kept

    @property
    def joined(self) -> int:
        """Rows of further sets that were offered."""
        return sum(step.offered for step in self.steps)

    @property
    def most(self) -> int:
        """The most rows that there were at any time."""
        return max([self.rows, *(step.after for step in self.steps)])

    @property
    def gathered(self) -> Waterfall:
        """The same with all losses in one step: they are the same for every split of a pool."""
        lost = [step for step in self.steps if step.reason.startswith(_LOSSES)]
        if len(lost) < _FEW:
            return self
        said = reasons_said({step.reason: step.dropped for step in lost}, _SAID)
        one = Step("lost", self.rows, sum(step.dropped for step in lost), f"before any rule: {said}")
        return Waterfall(self.rows, (one, *self.steps[len(lost) :]), self.kept)


def waterfall(facts: Mapping[str, Any]) -> Waterfall:
    """Read the waterfall of a `split.json`."""
    listed = facts["waterfall"]
    losses = [
        (f"{kind}: {reason}", n, "", 0)
        for kind in ("failed", "quarantined")
        for reason, n in listed[kind].items()
    ]
    losses += [("repeated uid", listed["duplicates"], "", 0)] if listed["duplicates"] else []
    steps, rows = [], int(listed["rows_in"])
    for reason, dropped, words, offered in [*losses, *_rules(listed["dropped"])]:
        steps.append(Step(reason, rows, int(dropped), words, offered))
        rows = steps[-1].after
    return Waterfall(int(listed["rows_in"]), tuple(steps), int(listed["kept"]))


def _rules(dropped: Any) -> list[tuple[str, int, str, int]]:
    if isinstance(dropped, Mapping):
        return [(str(reason), int(count), "", 0) for reason, count in dropped.items()]
    return [
        (
            str(step.get("reason", step.get("rule", "rule"))),
            int(step["dropped"]),
            str(step.get("words", "")),
            int(step.get("offered", 0)),
        )
        for step in dropped
    ]
