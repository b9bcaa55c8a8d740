"""From YAML, or from code, to a plan that has been checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from indexes.errors import PlanError
from pipeline.plan.checks import check, rule_scope, split_order
from pipeline.plan.manifests import with_expected_counts
from pipeline.plan.model import EncoderChoice, Plan
from pipeline.plan.overrides import apply_overrides
from pipeline.plan.problems import explain
from pipeline.plan.recipes import parse_splits
from pipeline.plan.yaml_safe import Document, load_yaml
from pipeline.sets.source import Source


def load_plan(path: str | Path, overrides: Sequence[str] = ()) -> Plan:
    """Read and check the plan file at `path`.

    Args:
        path: A YAML file (see `pipeline.plan.yaml_safe` for what of YAML is read).
        overrides: `key=value` texts that replace values of the file, as `--set` gives them.

    Raises:
        PlanError: If the plan is wrong; the message has the file, line and column.
    """
    document = load_yaml(path)
    apply_overrides(document, overrides)
    return build_plan(document)


def build_plan(document: Document) -> Plan:
    """Check what `document` says and make it a plan.

    Raises:
        PlanError: With the place of what is wrong.
    """
    if not isinstance(document.value, Mapping):
        raise PlanError(
            f"{document.mark(())}: a plan is a map of keys such as name, pool and benchmarks; got none"
        )
    try:
        plan = Plan.model_validate({**document.value, "splits": {}})
    except ValidationError as failure:
        raise PlanError(explain(failure, Plan, document)) from failure
    plan = plan.model_copy(update={"splits": parse_splits(document.value.get("splits", {}), document)})
    check(plan, document)
    return plan


def resolve(plan: Plan) -> Plan:
    """Write out what `plan` leaves to be understood.

    `to: all` becomes the names of the benchmarks, a manifest's counts are expected of its set, and the splits
    are put in an order in which each comes after those it is computed from.

    Raises:
        PlanError: If the parts of the plan do not go together, or a manifest cannot be read.
    """
    check(plan)
    scope = rule_scope(plan)
    return plan.model_copy(
        update={
            "pool": with_expected_counts(plan.pool, "pool"),
            "reference": None
            if plan.reference is None
            else with_expected_counts(plan.reference, "reference"),
            "benchmarks": {
                name: with_expected_counts(source, f"benchmarks.{name}")
                for name, source in plan.benchmarks.items()
            },
            "splits": {name: plan.splits[name].resolved(name, scope) for name in split_order(plan.splits)},
        }
    )


def measuring_part(plan: Plan) -> dict[str, Any]:
    """Give what two plans must share for the one to cut its splits from what the other measured."""
    keys = ("name", "pool", "reference", "encoder", "benchmarks", "neighbours")
    whole = plan.model_dump(mode="json", include=set(keys))
    return {key: whole[key] for key in keys}


def audit_plan(
    pool: Source | Mapping[str, Any],
    benchmarks: Mapping[str, Source | Mapping[str, Any]],
    output: str,
    *,
    reference: Source | Mapping[str, Any] | None = None,
    encoder: EncoderChoice | None = None,
    **options: Any,
) -> Plan:
    """Make the plan of an audit: it measures and reports, and cuts no split.

    Args:
        pool: The pool to audit: a source, or what a plan file would say of it.
        benchmarks: The evaluation sets by name.
        output: Folder for everything that is written.
        reference: The set that calibrates the thresholds, if there is one.
        encoder: The model that embeds images, where a set brings no embeddings.
        **options: Other keys of a plan: `name`, `neighbours`, `audit`, `engine`.

    Raises:
        PlanError: If a name or an option is wrong.
    """
    given: dict[str, Any] = {
        "name": "audit",
        "pool": pool,
        "benchmarks": dict(benchmarks),
        "output": output,
        "reference": reference,
        "encoder": encoder,
        **options,
    }
    try:
        plan = Plan.model_validate(given)
    except ValidationError as failure:
        raise PlanError(explain(failure, Plan, Document(given, "audit"))) from failure
    check(plan)
    return plan
