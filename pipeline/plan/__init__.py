"""The plan: one YAML file that says what to measure, against what, and which splits to cut."""

from pipeline.plan.apart import check_output_apart
from pipeline.plan.encoders import check_weights
from pipeline.plan.loading import audit_plan, build_plan, load_plan, resolve, with_absolute_paths
from pipeline.plan.lock_file import Lock, dump_lock, is_damaged, load_lock
from pipeline.plan.model import AuditOptions, EncoderChoice, EngineOptions, Plan, PlannedExport
from pipeline.plan.recipes import SetAlgebra, Split, sets_in
from pipeline.plan.schema import plan_schema, schema_text
from pipeline.plan.sources import check_sources, missing_sources

__all__ = [
    "AuditOptions",
    "EncoderChoice",
    "EngineOptions",
    "Lock",
    "Plan",
    "PlannedExport",
    "SetAlgebra",
    "Split",
    "audit_plan",
    "build_plan",
    "check_output_apart",
    "check_sources",
    "check_weights",
    "dump_lock",
    "is_damaged",
    "load_lock",
    "load_plan",
    "missing_sources",
    "plan_schema",
    "resolve",
    "schema_text",
    "sets_in",
    "with_absolute_paths",
]
