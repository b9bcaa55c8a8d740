"""The last line of a command with `--json`: one object that says what its lines say, and why it ends as it does.

Its shape is the dataclasses that it is made of; `nearfar schema answer` prints it as JSON Schema.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Annotated, Any

from pydantic import Field, TypeAdapter

from pipeline.ending.atlas_lines import Drawn
from pipeline.ending.exported_lines import Exported
from pipeline.ending.found import RunAnswer
from pipeline.execution.work import Json

EVENT = "finished"


@dataclass(frozen=True, slots=True)
class StageAhead:
    """What a run would do of one stage."""

    stage: str
    units: Annotated[int, Field(description="Units in all.")]
    done: Annotated[int, Field(description="Units that stand.")]
    todo: Annotated[int, Field(description="Units that a run would do.")]
    rows: Annotated[int, Field(description="Rows that these look at, one for each of them.")]
    reads: Annotated[int, Field(description="Bytes that they read.")]
    writes: Annotated[int, Field(description="Bytes that they write, roughly.")]
    seconds: Annotated[
        float | None, Field(description="How long they take, by the rates; null where none tells.")
    ]
    exact: Annotated[bool, Field(description="Whether a run does just these; else earlier stages will tell.")]


@dataclass(frozen=True, slots=True)
class MeasuredRates:
    """What was measured on one shard, per second."""

    read_bytes: float
    images: Annotated[
        float | None, Field(description="Images embedded; null where nothing is left to embed.")
    ]
    products: Annotated[float, Field(description="Multiply-adds of the search.")]


@dataclass(frozen=True, slots=True)
class Planned:
    """What `nearfar plan` says."""

    stages: tuple[StageAhead, ...]
    rates: Annotated[MeasuredRates | None, Field(description="Null where nothing is left to do.")]
    to_fetch: Annotated[dict[str, str], Field(description="Sets to fetch first, with their folders.")]


@dataclass(frozen=True, slots=True)
class Ingested:
    """What `nearfar ingest` says."""

    pool: Annotated[str, Field(description="Where its tars are.")]
    hosts: Annotated[str, Field(description="The table of hosts and reasons.")]
    count: Annotated[int, Field(description="URLs of the list.")]
    successes: Annotated[int, Field(description="Those that gave an image.")]
    failed_to_download: int
    failed_to_resize: int
    passing: Annotated[int, Field(description="Failures that `--retry-failed` tries again.")]
    status_dict: Annotated[dict[str, int], Field(description="URLs by outcome: `success`, or a reason.")]


@dataclass(frozen=True, slots=True)
class UnitsAgain:
    """Units of a kind that were done again."""

    again: int
    of: Annotated[int, Field(description="Units of the kind.")]
    left: Annotated[str, Field(description="Why some never are; empty where none is left for good.")]


@dataclass(frozen=True, slots=True)
class DecidedAgain:
    """What became of deciding a split again."""

    rows: Annotated[int, Field(description="Samples that were decided again.")]
    whole: Annotated[bool, Field(description="Whether these are all, and no draw.")]
    rules: Annotated[dict[str, int], Field(description="By rule, how many samples it decided again.")]
    left: Annotated[dict[str, str], Field(description="Rules that were not, each with the reason.")]
    problems: Annotated[tuple[str, ...], Field(description="What is wrong, a sentence each.")]


@dataclass(frozen=True, slots=True)
class Verified:
    """What `nearfar verify` says."""

    files: Annotated[int, Field(description="Committed files, and inputs, that were hashed again.")]
    decisions: Annotated[int, Field(description="Samples whose scores were computed again.")]
    thresholds: Annotated[int, Field(description="Queries whose threshold was computed again.")]
    images: Annotated[int, Field(description="Images of a fetched pool held against its lists.")]
    problems: Annotated[tuple[str, ...], Field(description="What is wrong, a sentence each.")]
    damaged: Annotated[tuple[str, ...], Field(description="Units of which a file is not what was committed.")]
    wrong: Annotated[
        tuple[str, ...], Field(description="Units whose files hold what their inputs do not give.")
    ]
    again: Annotated[dict[str, UnitsAgain], Field(description="Units that were done again, by kind.")]
    splits: Annotated[dict[str, DecidedAgain], Field(description="Splits that were decided again, by name.")]


Answer = RunAnswer | Planned | Exported | Drawn | Ingested | Verified
ANSWERS: dict[str, Any] = {
    "run": RunAnswer,
    "audit": RunAnswer,
    "report": RunAnswer,
    "plan": Planned,
    "export": Exported,
    "atlas": Drawn,
    "ingest": Ingested,
    "verify": Verified,
}
"""What each command answers."""


def say_last(command: str | None, answer: Answer | Json, code: int = 0, reasons: Sequence[str] = ()) -> None:
    """Print the last object of a command.

    Args:
        command: Its name; None where there is none.
        answer: What it found; empty where it was refused, failed or interrupted.
        code: Its exit code.
        reasons: Why that is not 0, as standard error says it.
    """
    facts = answer if isinstance(answer, dict) else asdict(answer)
    ended = {"event": EVENT, "command": command, "exit": {"code": code, "reasons": list(reasons)}}
    print(json.dumps(ended | facts, sort_keys=True), flush=True)


def answer_schema() -> Json:
    """Describe the last object of every command as JSON Schema: an answer, or none and the reason."""
    shared: Json = {}
    whole = [_with_answer(command, kind, shared) for command, kind in ANSWERS.items()]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "nearfar: the last line of --json",
        "description": (
            "Event, command and exit, then the command's answer. A command that was refused, failed or was interrupted "
            "has no answer, and one that was called wrongly no name."
        ),
        "anyOf": [*whole, _ended({"type": ["string", "null"]}, {}, [])],
        "$defs": shared,
    }


def _with_answer(command: str, kind: Any, shared: Json) -> Json:
    found = TypeAdapter(kind).json_schema(ref_template="#/$defs/{model}")
    shared |= found.pop("$defs", {})
    return _ended({"const": command}, found["properties"], found["required"])


def _ended(command: Json, properties: Json, required: Sequence[str]) -> Json:
    code = {"enum": [0, 1, 2, 130, 143], "description": "0 done, 1 failed, 2 bad input, else interrupted."}
    reasons = {"type": "array", "items": {"type": "string"}, "description": "Why it is not 0, one a line."}
    ended: Json = {
        "event": {"const": EVENT},
        "command": command,
        "exit": {
            "type": "object",
            "properties": {"code": code, "reasons": reasons},
            "required": ["code", "reasons"],
            "additionalProperties": False,
        },
    }
    return {
        "type": "object",
        "properties": ended | properties,
        "required": [*ended, *required],
        "additionalProperties": False,
    }
