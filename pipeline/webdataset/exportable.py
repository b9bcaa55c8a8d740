"""Whether a split can be exported at all: known before anything is read."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa

from indexes.errors import DataError
from pipeline import layout
from pipeline.execution.context import RunContext
from pipeline.files.afar.stand_ins import stand_in
from pipeline.passes.plan_rules import columns_of_split
from pipeline.plan import sets_in
from pipeline.readers._folders.download import is_download
from pipeline.stores.brought_sets import OF_ROOM
from pipeline.stores.held_room import VARIABLE
from pipeline.webdataset.export_request import CSV, ExportRequest, request_of

TARS, IMAGES = "img2dataset", "image-folder"
EXPORTED = (TARS, IMAGES)
"""Formats of a further set whose samples are exported; a pool has tars."""


def check_exports(run: RunContext) -> None:
    """Look at all that a plan wants to be exported, before anything is read.

    Raises:
        DataError: As `check_exportable` and `check_class_column`.
    """
    for split, asked in run.plan.export.items():
        request = request_of(split, asked)
        check_exportable(run, request)
        if request.cls:
            check_class_column(request, columns_of_split(run, split))


def check_class_column(request: ExportRequest, columns: pa.Schema) -> None:
    """Find a column of whole numbers among a split's; `measure.field` is one of a measure's.

    Raises:
        DataError: If there is none of the name that was asked for.
    """
    there = list(_whole_numbers(columns))
    if request.cls not in there:
        raise DataError(
            f"{request.spelled('cls')} {request.cls}: the files of the split {request.split} have no such column of "
            f"whole numbers, but {', '.join(there) or 'none at all'}; name one of these, or have one of its rules read "
            'another, as {where: "classes.single >= 0 OR true"} does of the measure classes, and run the plan again'
        )


def _whole_numbers(columns: pa.Schema) -> Iterator[str]:
    for column in columns:
        if pa.types.is_integer(column.type):
            yield column.name
        elif pa.types.is_struct(column.type):
            yield from (
                f"{column.name}.{field.name}" for field in column.type if pa.types.is_integer(field.type)
            )


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
                f". Or list its image files for open_clip's reader of CSV: add {request.spelled(CSV)}"
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
            "open_clip's reader of CSV takes an image and a caption, and no class; leave "
            f"{request.spelled('cls')} out"
        )
    for name in ("pool", *sets_in(run.plan.splits, split)):
        kind = run.found(name).format
        if kind != IMAGES:
            option, tars = request.spelled(CSV), run.found("pool").format == TARS
            instead = f"export tars, without {option}" if tars else f"bring it as {IMAGES}"
            raise DataError(
                f"{option} lists image files, and the split {split} has samples of {name}: "
                f"'{run.sets()[name].path}' is {kind}, in which images are no files of their own; {instead}"
            )
        found = filter(None, (stand_in(file) for shard in run.shards(name) for file in shard.files))
        away = sum(one.bytes for one in found if not one.comes)
        if away:
            raise DataError(
                f"{request.spelled(CSV)} lists image files of this machine, and {away:,} bytes of those of {name} are "
                f"read where they are, on a store; set {VARIABLE} to {OF_ROOM * away:,} or more, so that they come here"
            )
