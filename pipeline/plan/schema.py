"""The JSON Schema of a plan, for editors; what a rule, measure or format takes comes from its own file."""

from __future__ import annotations

import json
from typing import Any

import curation.measures as measures_package
import curation.rules as rules_package
from pipeline import readers
from pipeline.plan.measured import KIND, measures_of_plans
from pipeline.plan.model import Plan
from pipeline.plan.names import NAME_PATTERN
from pipeline.plan.recipes import OPERATIONS

_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def plan_schema() -> dict[str, Any]:
    """Describe a plan file as JSON Schema (draft 2020-12)."""
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
    schema["properties"]["measures"] = _measures_schema(definitions)
    definitions["Source"] = _source_schema(definitions["Source"], definitions)
    return {"$schema": _DIALECT, "title": "nearfar plan", **{k: v for k, v in schema.items() if k != "title"}}


def schema_text() -> str:
    """Write the schema as `nearfar schema` prints it; the same plugins always give the same text."""
    return json.dumps(plan_schema(), indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def _measures_schema(definitions: dict[str, Any]) -> dict[str, Any]:
    """Under its own name a measure has its options; under another name it says which measure it is."""
    parts = measures_package.measure_schemas()
    known = {name: _hoisted(parts[name], definitions) for name in measures_of_plans()}
    named = {text: _named_measure(name, part) for name, part in known.items() for text in _spellings(name)}
    return {
        "type": ["object", "null"],
        "description": Plan.model_fields["measures"].description,
        "properties": {name: {"anyOf": [named[name], {"type": "null"}]} for name in sorted(named)},
        "propertyNames": {"pattern": f"^{NAME_PATTERN}$"},
        "additionalProperties": {
            "anyOf": [
                _named_measure(name, part) | {"required": [*part.get("required", []), KIND]}
                for name, part in sorted(known.items())
            ]
        },
    }


def _named_measure(name: str, options: dict[str, Any]) -> dict[str, Any]:
    """Add to a measure's options the key that says which measure it is."""
    kind = {"enum": _spellings(name), "description": "Which measure it is."}
    return options | {"properties": {KIND: kind, **options.get("properties", {})}}


def _spellings(name: str) -> list[str]:
    return sorted({name, name.replace("-", "_")})


def _source_schema(schema: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    """A set has its own keys, and those of its format; which go together is checked when the plan is read."""
    found: dict[str, list[dict[str, Any]]] = {}
    for name in readers.names():
        options = _hoisted(readers.options_of(name).model_json_schema(), definitions)
        for key, described in options.get("properties", {}).items():
            words = f"{name}: {described.get('description', '')}"
            found.setdefault(key, []).append(described | {"description": words})
    own = {key: many[0] if len(many) == 1 else {"anyOf": many} for key, many in found.items()}
    return schema | {"properties": {**own, **schema["properties"]}, "additionalProperties": False}


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
