"""From YAML, or from code, to a plan that has been checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from indexes.errors import PlanError
from pipeline.documents.overrides import apply_overrides
from pipeline.documents.problems import explain
from pipeline.documents.yaml_safe import Document, load_yaml
from pipeline.plan.checks import check, rule_scope, split_order
from pipeline.plan.manifests import is_manifest, with_expected_counts
from pipeline.plan.measured import parse_measures
from pipeline.plan.model import EncoderChoice, Plan
from pipeline.plan.reader_keys import key_problems, written_sets
from pipeline.plan.recipes import parse_splits
from pipeline.readers import format_of, options_of
from pipeline.sets.plain_text import plain_text
from pipeline.sets.source import Source


def load_plan(path: str | Path, overrides: Sequence[str] = ()) -> Plan:
    """Read and check the plan file at `path`.

    Args:
        path: A YAML file (see `pipeline.documents.yaml_safe` for what of YAML is read).
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
    if is_manifest(document.value):
        raise PlanError(
            f"{document.source}: this is the manifest of a set, not a plan; name it in one, as the manifest of its "
            "pool, reference or a benchmark"
        )
    try:
        plan = Plan.model_validate({**document.value, "splits": {}, "measures": {}})
    except ValidationError as failure:
        unknown = (one for place, given in written_sets(document.value) for one in key_problems(place, given))
        raise PlanError(explain(failure, Plan, document, unknown)) from failure
    asked = parse_measures(document.value.get("measures"), document)
    splits = parse_splits(document.value.get("splits", {}), document)
    plan = plan.model_copy(update={"splits": splits, "measures": asked})
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
            "sources": {
                name: with_expected_counts(source, f"sources.{name}") for name, source in plan.sources.items()
            },
            "splits": {name: plan.splits[name].resolved(name, scope) for name in split_order(plan.splits)},
        }
    )


def with_absolute_paths(plan: Plan) -> Plan:
    """Make the paths of a plan hold from any folder, as its lock file must.

    A name of open_clip stays a name unless there is a file of that name; a reader's path inside its set stays as it is.

    Raises:
        PlanError: If that of a set or of the output is not UTF-8, since the current folder is called so.
    """
    _absolute(plan.output)

    def absolute(source: Source) -> Source:
        found = {"path": _absolute(source.path)}
        if source.images is not None:
            found["images"] = str(Path(source.images).absolute())
        for key in options_of(format_of(source)).paths if source.options else ():
            value = source.options.get(key)
            if value is not None and not (Path(source.path) / value).exists() and Path(value).exists():
                found[key] = str(Path(value).absolute())
        return Source(**(source.model_dump() | found))

    def local(choice: EncoderChoice) -> EncoderChoice:
        names = {key: value for key in ("model", "pretrained") if (value := getattr(choice, key)) is not None}
        there = {key: str(Path(value).absolute()) for key, value in names.items() if Path(value).exists()}
        return choice.model_copy(update=there)

    return plan.model_copy(
        update={
            "pool": absolute(plan.pool),
            "reference": None if plan.reference is None else absolute(plan.reference),
            "benchmarks": {name: absolute(source) for name, source in plan.benchmarks.items()},
            "sources": {name: absolute(source) for name, source in plan.sources.items()},
            "audit": plan.audit.model_copy(update=_absolute_tables(plan)),
            "encoder": None if plan.encoder is None else local(plan.encoder),
            "encoders": {name: local(choice) for name, choice in plan.encoders.items()},
        }
    )


def _absolute(path: str) -> str:
    found = str(Path(path).absolute())
    if plain_text(found) != found:
        raise PlanError(
            f"the path {found!a} is not UTF-8, as a plan is; rename that folder, or run from another one"
        )
    return found


def _absolute_tables(plan: Plan) -> dict[str, str]:
    """Write out the paths of the tables that a user brings for the report."""
    given = {"accuracies": plan.audit.accuracies, "results": plan.audit.results}
    return {key: str(Path(path).absolute()) for key, path in given.items() if path is not None}


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
        **options: Other keys of a plan: `name`, `measures`, `encoders`, `neighbours`, `audit`, `engine`.

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
    return build_plan(Document(given, "audit"))
