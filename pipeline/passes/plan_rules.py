"""What the rules of a plan read, and whether it is there: checked before anything is read."""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa

from curation import rules
from curation.measure import schema_of
from curation.rule import Rule, Scope
from curation.selections.repeat import Repeat
from indexes.errors import PlanError
from pipeline.execution.context import RunContext
from pipeline.execution.work import Json
from pipeline.files.database import parse_predicate
from pipeline.measuring import Instance
from pipeline.passes.located import measured_sets, sets_of_rules
from pipeline.plan import Split, sets_in
from pipeline.sets.unify import values_of
from pipeline.splits.binding import check
from pipeline.splits.joined_columns import join_columns
from pipeline.splits.pool_columns import PoolColumns, measure_column, own_columns
from pipeline.splits.split_columns import split_columns


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
    return _columns_of_set(run, name).types()


def _columns_of_set(run: RunContext, name: str) -> PoolColumns:
    measured = [one for level in measured_sets(run).get(name, ()) for one in level]
    return _columns(run, name, {one.name: one for one in measured})


def _columns_of_pool(run: RunContext) -> PoolColumns:
    return _columns(run, "pool", run.instances())


def _columns(run: RunContext, name: str, measured: Mapping[str, Instance]) -> PoolColumns:
    measures = {each: measure_column(each, schema_of(one.measure)) for each, one in measured.items()}
    own = own_columns([pa.schema(list(run.columns(name).items()))], measures, values_of(()))
    return PoolColumns(own, measures)


def columns_of_split(run: RunContext, name: str) -> pa.Schema:
    """Say which columns the files of a split will have behind its uid, known before anything is read."""
    columns, split, scope = _columns_of_pool(run), run.plan.splits[name], _scope(run, "")
    sets = sets_in(run.plan.splits, name)
    for one in sets:
        columns = join_columns(columns, _columns_of_set(run, one), one).columns
    resolved = [rule.resolved(scope) for rule in split.rules]
    named = columns.named({path for rule in resolved for path in rule.paths(scope)})
    repeats = any(isinstance(rule.selection(scope), Repeat) for rule in resolved)
    found = split_columns(columns, named, "1" if repeats else "", "", bool(sets))
    return pa.schema([(column.name, column.type) for column in found])


def check_rules(run: RunContext) -> None:
    """Check every rule against the columns that there will be, before anything is read.

    Raises:
        PlanError: If a predicate names a column that is not there, or does what no predicate may.
    """
    columns = _columns_of_pool(run).types()
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
