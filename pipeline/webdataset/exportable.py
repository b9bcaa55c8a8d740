"""Whether a split can be exported at all: known before anything is read."""

from __future__ import annotations

from indexes.errors import DataError
from pipeline import layout
from pipeline.execution.context import RunContext
from pipeline.plan import sets_in
from pipeline.readers._folders.download import is_download
from pipeline.webdataset.export_request import CSV, ExportRequest

TARS, IMAGES = "img2dataset", "image-folder"
EXPORTED = (TARS, IMAGES)
"""Formats of a further set whose samples are exported; a pool has tars."""


def check_exportable(run: RunContext, request: ExportRequest) -> None:
    """Find samples that can be written: in tars of the pool's, in tars or image files of further sets.

    Raises:
        DataError: If a set has neither, or none of the kind that is asked for.
    """
    if request.form == CSV:
        _check_files(run, request)
        return
    plan, out, split = run.plan, run.out, request.split
    if run.found("pool").format != TARS:
        raise DataError(
            f"the pool '{plan.pool.path}' is {run.found('pool').format}, which holds no tars to export from; train on "
            f"its files by {out / layout.split(split, 'uids.npy')} (DataComp's subset file) or keys.txt beside "
            f"it, or fetch the pool with img2dataset (output_format webdataset) and run the plan on that"
            + (
                ". Or list its image files for open_clip's reader of CSV: add --csv"
                if _has_files(run)
                else ""
            )
        )
    for name in sets_in(plan.splits, split):
        kind = run.found(name).format
        if kind not in EXPORTED or (kind == IMAGES and any(map(is_download, run.shards(name)))):
            raise DataError(
                f"the split {split} has samples of {name}, and '{run.sets()[name].path}' is {kind} without tars or "
                f"plain image files to export from; bring that set as one of {', '.join(EXPORTED)} and run the plan "
                "again, then export"
            )


def _has_files(run: RunContext) -> bool:
    return run.found("pool").format == IMAGES


def _check_files(run: RunContext, request: ExportRequest) -> None:
    """Find image files of every set that the split has samples of."""
    split = request.split
    if request.cls:
        raise DataError(
            "open_clip's reader of CSV takes an image and a caption, and no class; leave --cls out"
        )
    for name in ("pool", *sets_in(run.plan.splits, split)):
        kind = run.found(name).format
        if kind != IMAGES:
            instead = (
                "export tars, without --csv" if run.found("pool").format == TARS else f"bring it as {IMAGES}"
            )
            raise DataError(
                f"--csv lists image files, and the split {split} has samples of {name}: '{run.sets()[name].path}' is "
                f"{kind}, in which images are no files of their own; {instead}"
            )
