"""How far a run or a fetch is, and how long the rest will take."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.command_line.past_units import Past
from pipeline.execution.work import Json


def time_to_go(found: Status, past: Past, now: float) -> tuple[float | None, tuple[str, ...]]:
    """Add up what is left of every stage: of the one at work at its rate so far, of others at that of their past.

    Returns:
        Seconds, None where nothing is known of the stage at work; and the stages that they do not cover.
    """
    total, not_timed, wave = 0.0, list[str](), found.wave
    at_hand = past.begun if wave is not None and past.begun and past.begun.stage == wave.stage else None
    for one in found.stages:
        left, each = (one.units or 0) - one.done, past.each(one.stage)
        if wave is not None and at_hand is not None and one.stage == wave.stage:
            seconds = at_hand.to_go(wave.units, wave.rows, now)
            if seconds is not None:
                each = seconds / max(1, wave.units) if each is None else each
                total, left = total + seconds, left - wave.units
        if left > 0 and each is None:
            not_timed.append(one.stage)
        total += max(0, left) * (each or 0.0)
    known = not found.unknown and (wave is None or wave.stage not in not_timed)
    return (total if known else None), tuple(not_timed)


@dataclass(frozen=True, slots=True)
class StageStatus:
    """How far one stage is.

    Attributes:
        stage: Its name.
        done: Units that are committed.
        units: Units in all; None where that cannot be told.
        exact: Whether that is certain; else earlier stages will tell.
    """

    stage: str
    done: int
    units: int | None
    exact: bool = True

    @property
    def percent(self) -> float | None:
        """Share of its units that is done; None where nothing is known of how many there will be."""
        if self.units is None or not (self.units or self.exact):
            return None
        return 100.0 * self.done / self.units if self.units else 100.0


@dataclass(frozen=True, slots=True)
class WaveLeft:
    """What is left of the units that are next, or at work: they are of one stage, and none waits for another.

    Attributes:
        stage: Their stage.
        units: How many are not committed.
        rows: Rows of those.
    """

    stage: str
    units: int
    rows: int


@dataclass(frozen=True, slots=True)
class Status:
    """How far a run or a fetch is.

    Attributes:
        name: Name of the plan; for a fetch that of the folder.
        finished: Whether all is done.
        stages: The stages, in their order.
        wave: What is next; None where all is done, or nothing can be told.
        unknown: Why totals are not known; empty where they are.
        counts: What a fetch has counted so far; None for a run.
    """

    name: str
    finished: bool
    stages: tuple[StageStatus, ...]
    wave: WaveLeft | None
    unknown: str = ""
    counts: Json | None = None

    @property
    def done(self) -> int:
        """Units that are committed, of all stages."""
        return sum(stage.done for stage in self.stages)

    @property
    def units(self) -> int | None:
        """Units in all; None where that is not known."""
        return None if self.unknown else sum(stage.units or 0 for stage in self.stages)


@dataclass(frozen=True, slots=True)
class AtWork:
    """The process that is at work.

    Attributes:
        pid: Its number.
        host: Its machine.
        stage: The stage that it is in; None before its first, and after its last.
        eta_seconds: How long it will take, by the units that are done and the seconds that they took; None where that
            of its stage is not known yet.
        not_timed: Stages of which no unit was ever done in this folder: theirs comes on top.
    """

    pid: int
    host: str
    stage: str | None
    eta_seconds: float | None
    not_timed: tuple[str, ...]
