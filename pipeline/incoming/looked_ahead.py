"""What is refused before anything is read: whatever a plan, the footers of files and their names tell of."""

from __future__ import annotations

from collections import Counter

from pipeline.commit import records
from pipeline.execution.context import RunContext
from pipeline.passes.fitting import check_measures
from pipeline.passes.plan_rules import check_rules
from pipeline.passes.report_columns import check_report_columns
from pipeline.readers import reader_of
from pipeline.sets.expected import problems_in
from pipeline.stages.catalog import refuse_other_than_expected
from pipeline.webdataset.exportable import check_exports


def check_ahead(run: RunContext) -> None:
    """Look at measures, rules, columns, exports, and what lists of images tell of their sets.

    Raises:
        NearfarError: With the first thing that is wrong.
    """
    check_measures(run)
    check_rules(run)
    check_report_columns(run)
    check_exports(run)
    check_listed(run)


def check_listed(run: RunContext) -> None:
    """Look at the lists of images: a wrong folder is not found out only when the pool is embedded.

    Raises:
        DataError: If a set that is not cataloged yet is not what is expected, by the names of its files.
    """
    expecting = {name: (each, each.expect) for name, each in run.sets().items() if each.expect is not None}
    done = {record.name for record in records(run.out, "catalog")} if expecting else set()
    for name, (source, expected) in expecting.items():
        if name in done:
            continue
        listed = getattr(reader_of(str(run.found(name).format)), "listed", None)
        told = [listed(source, shard) for shard in run.shards(name)] if listed else [None]
        if all(one is not None for one in told):
            images = [image for one in told for image in one or ()]
            labels = Counter(label for _, label in images)
            expect = expected.model_dump(mode="json")
            found = problems_in(labels, (key for key, _ in images), expect, len(images))
            refuse_other_than_expected(f"{name} ({source.path})", found)
