"""The column that a plan names for its report alone: looked for before anything is read."""

from __future__ import annotations

import pyarrow as pa

from indexes.errors import PlanError
from pipeline.execution.context import RunContext


def check_report_columns(run: RunContext) -> None:
    """Look whether the column that the report is to read will be there, and holds lists.

    Raises:
        PlanError: If it is not, or does not.
    """
    wanted = run.plan.audit.image_classes
    if wanted is None:
        return
    own = dict(run.columns("pool"))
    there = own | {
        f"{name}.{column.name}": column.type
        for name, one in run.instances().items()
        for column in one.measure.columns()
    }
    lists = sorted(
        name for name, kind in there.items() if pa.types.is_list(kind) or pa.types.is_large_list(kind)
    )
    if wanted not in lists:
        got = f"holds {there[wanted]}" if wanted in there else "is not there"
        raise PlanError(
            f"audit.image_classes: the column '{wanted}' {got}; it should be a list of what is seen in an image: a "
            f"column of the pool or of a measure. There are: {', '.join(lists) or 'none'}. Name one, or leave it out"
        )
