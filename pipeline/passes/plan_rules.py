"""What the rules of a plan read, and whether it is there: checked before anything is read."""

from __future__ import annotations

import pyarrow as pa

from curation import rules
from curation.measure import schema_of
from curation.rule import Rule, Scope
from indexes.errors import PlanError
from pipeline.execution.context import RunContext
from pipeline.execution.work import Json
from pipeline.files.database import parse_predicate
from pipeline.passes.located import measured_sets, sets_of_rules
from pipeline.plan import Split
from pipeline.sets.unify import values_of
from pipeline.splits.binding import check
from pipeline.splits.pool_columns import measure_column, own_columns


def measures_of(run: RunContext, split: Split) -> list[str]:
    """Name the measures whose columns the rules of a split read, in the plan's order."""
    scope = _scope(run, "")
    read = {path[0].lower() for rule in split.rules for path in rule.resolved(scope).paths(scope)}
    return [name for name in run.instances() if name.lower() in read]


def _scope(run: RunContext, where: str, columns: Json | None = None, looked: bool = False) -> Scope:
    benchmarks, reference = tuple(run.plan.benchmarks), run.plan.reference is not None
    known = sets_of_rules(run) if looked else ()
    sets = {name: _columns_of(run, name) if name in known else None for name in run.plan.further_sets()}
    return Scope(benchmarks, reference, where, parse_predicate, columns, sets)


def _columns_of(run: RunContext, name: str) -> Json:
    measured = [one for level in measured_sets(run).get(name, ()) for one in level]
    measures = {one.name: measure_column(one.name, schema_of(one.measure)) for one in measured}
    own = own_columns([pa.schema(list(run.columns(name).items()))], measures, values_of(()))
    return {column.name: column.type for column in (*own, *measures.values())}


def check_rules(run: RunContext) -> None:
    """Check every rule against the columns that there will be, before anything is read.

    Raises:
        PlanError: If a predicate names a column that is not there, or does what no predicate may.
    """
    measures = {name: measure_column(name, schema_of(one.measure)) for name, one in run.instances().items()}
    own = own_columns([pa.schema(list(run.columns("pool").items()))], measures, values_of(()))
    columns = {column.name: column.type for column in (*own, *measures.values())}
    for name, split in run.plan.splits.items():
        for position, rule in enumerate(split.rules):
            where = f"splits.{name}[{position}].{rules.dump(rule)[0]}"
            check(rule, _scope(run, where, columns, looked=True))
            _check_known(run, rule, where)


def _check_known(run: RunContext, rule: Rule, where: str) -> None:
    """Refuse a rule that cuts a column below what its measure tells apart."""
    for (name, column), level in rule.cuts().items():
        one = run.instances().get(name)
        lowest = one.measure.lowest().get(column) if one else None
        if lowest is not None and level < lowest:
            raise PlanError(
                f"{where} cuts {name}.{column} at {level}, and measures.{name} tells apart what is above {lowest} alone"
                f". Set measures.{name}.at_least to {level} or lower, or cut at {lowest} or higher"
            )
