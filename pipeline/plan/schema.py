"""The JSON Schema of a plan, for editors; each rule's own part comes from its file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import curation.rules as rules_package
from pipeline.plan.model import Plan
from pipeline.plan.names import NAME_PATTERN
from pipeline.plan.recipes import OPERATIONS

SCHEMA_FILE = Path(__file__).parent.parent / "plan.schema.json"
_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def plan_schema() -> dict[str, Any]:
    """Give the JSON Schema (draft 2020-12) of a plan file."""
    schema = Plan.model_json_schema()
    definitions = schema.setdefault("$defs", {})
    rules = {name: _hoisted(part, definitions) for name, part in rules_package.rule_schemas().items()}
    definitions["rule"] = {"oneOf": [_rule_schema(name, rules[name]) for name in sorted(rules)]}
    definitions["split"] = _split_schema()
    schema["properties"]["splits"] = {
        "type": "object",
        "description": Plan.model_fields["splits"].description,
        "propertyNames": {"pattern": f"^{NAME_PATTERN}$"},
        "additionalProperties": {"$ref": "#/$defs/split"},
    }
    return {"$schema": _DIALECT, "title": "nearfar plan", **{k: v for k, v in schema.items() if k != "title"}}


def schema_text() -> str:
    """Give the schema as the committed file has it."""
    return json.dumps(plan_schema(), indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def write_schema(path: Path = SCHEMA_FILE) -> None:
    """Write the schema to `path`."""
    path.write_text(schema_text(), encoding="utf-8")


def _rule_schema(name: str, options: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {name: options},
        "required": [name],
        "additionalProperties": False,
    }


def _split_schema() -> dict[str, Any]:
    split_names = {"type": "array", "items": {"type": "string"}, "minItems": 2}
    combined = [_rule_schema(operation, split_names) for operation in OPERATIONS]
    rules = {"type": "array", "items": {"$ref": "#/$defs/rule"}}
    mapped = {
        "type": "object",
        "properties": {"from": {"oneOf": [{"type": "string"}, *combined]}, "rules": rules},
        "required": ["from"],
        "additionalProperties": False,
    }
    return {
        "description": "Rules, or rules that start from other splits.",
        "oneOf": [rules, mapped],
    }


def _hoisted(part: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    """Move a rule's own definitions to the schema's, where its references look for them."""
    definitions.update(part.get("$defs", {}))
    return {key: value for key, value in part.items() if key != "$defs"}
