"""The plan: one YAML file that says what to measure, against what, and which splits to cut."""

from pipeline.plan.loading import audit_plan, build_plan, load_plan, measuring_part, resolve
from pipeline.plan.lock_file import Lock, dump_lock, load_lock
from pipeline.plan.model import AuditOptions, EncoderChoice, EngineOptions, Plan
from pipeline.plan.recipes import SetAlgebra, Split
from pipeline.plan.schema import SCHEMA_FILE, plan_schema, schema_text, write_schema
from pipeline.plan.sources import check_sources, missing_sources

__all__ = [
    "SCHEMA_FILE",
    "AuditOptions",
    "EncoderChoice",
    "EngineOptions",
    "Lock",
    "Plan",
    "SetAlgebra",
    "Split",
    "audit_plan",
    "build_plan",
    "check_sources",
    "dump_lock",
    "load_lock",
    "load_plan",
    "measuring_part",
    "missing_sources",
    "plan_schema",
    "resolve",
    "schema_text",
    "write_schema",
]
