"""`nearfar schema`: what a plan may say, and what `--json` ends with."""

from __future__ import annotations

import json

from pipeline.command_line.option_types import Described
from pipeline.ending.last_object import answer_schema
from pipeline.plan import schema_text


def schema(of: Described) -> str:
    """Write the JSON Schema that is asked for."""
    if of is Described.ANSWER:
        return json.dumps(answer_schema(), indent=2, sort_keys=True) + "\n"
    return schema_text()
