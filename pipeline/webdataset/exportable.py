"""Whether a split can be exported at all: known before anything is read."""

from __future__ import annotations

from indexes.errors import DataError
from pipeline import layout
from pipeline.execution.context import RunContext
from pipeline.plan import sets_in
from pipeline.readers._folders.download import is_download

TARS = "img2dataset"
EXPORTED = (TARS, "image-folder")
"""Formats of a further set whose samples are exported; a pool has tars."""


def check_exportable(run: RunContext, split: str) -> None:
    """Find samples that can be written: in tars of the pool's, in tars or image files of further sets.

    Raises:
        DataError: If a set has neither.
    """
    plan, out = run.plan, run.out
    if run.found("pool").format != TARS:
        raise DataError(
            f"the pool '{plan.pool.path}' is {run.found('pool').format}, which holds no tars to export from; train on "
            f"its files by {out / layout.split(split, 'uids.npy')} (DataComp's subset file) or keys.txt beside "
            f"it, or fetch the pool with img2dataset (output_format webdataset) and run the plan on that"
        )
    for name in sets_in(plan.splits, split):
        kind = run.found(name).format
        if kind not in EXPORTED or (kind == "image-folder" and any(map(is_download, run.shards(name)))):
            raise DataError(
                f"the split {split} has samples of {name}, and '{run.sets()[name].path}' is {kind} without tars or "
                f"plain image files to export from; bring that set as one of {', '.join(EXPORTED)} and run the plan "
                "again, then export"
            )
