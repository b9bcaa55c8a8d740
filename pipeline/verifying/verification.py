"""What came of looking at an output folder again."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from pipeline.execution.work import Work
from pipeline.splits.again.recheck import Rechecked


@dataclass(slots=True)
class Share:
    """How many units of a kind were done again, and of how many; `left` says why, where some never are."""

    again: int = 0
    of: int = 0
    left: str = ""


@dataclass(slots=True)
class Verification:
    """What was checked, and each thing that is wrong, in words.

    Attributes:
        files: Committed files, and inputs, that were hashed again.
        decisions: Samples whose scores were computed again by the plain float64 path.
        thresholds: Queries whose threshold was.
        again: By kind of unit (`measure/captions`), how many were done again and compared value for value.
        splits: By name, what became of deciding a split again, rule by rule.
        images: Images of a fetched pool that were held against its lists.
        problems: One sentence each; empty if all is well.
        damaged: Units (`stage/name`) of which a file is not what was committed.
        wrong: Units whose files are what was committed, and hold what their inputs do not give.
        doubtful: Whether something is wrong that names no unit.
        walked: Every unit that was looked at, in the order in which they depend on each other.
        parts: The set and the number of the part that a unit is for, of those that are for one.
        waves: The units themselves, as they were planned.
        contents: What is in the user's files, by key.
    """

    files: int = 0
    decisions: int = 0
    thresholds: int = 0
    again: dict[str, Share] = field(default_factory=dict)
    splits: dict[str, Rechecked] = field(default_factory=dict)
    images: int = 0
    problems: list[str] = field(default_factory=list)
    damaged: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    doubtful: bool = False
    walked: list[str] = field(default_factory=list)
    parts: dict[str, tuple[str, int]] = field(default_factory=dict)
    waves: list[list[Work[Any, Any]]] = field(default_factory=list)
    contents: dict[str, str] = field(default_factory=dict)

    def counts(self) -> dict[str, Any]:
        """Say what was checked and what is wrong, for programs."""
        plain = ("files", "decisions", "thresholds", "images", "problems", "damaged", "wrong")
        numbers = {name: getattr(self, name) for name in plain}
        again = {kind: asdict(share) for kind, share in self.again.items()}
        return numbers | {"again": again, "splits": {name: asdict(one) for name, one in self.splits.items()}}
