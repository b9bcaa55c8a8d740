"""Images that an earlier attempt at a piece has fetched: they are taken over and not asked for again."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from pipeline.fetching.crew import Fetched
from pipeline.fetching.spool import Spool
from pipeline.fetching.web_request import host_of
from pipeline.files.parquet import read_parquet
from pipeline.readers._tars import tar_samples
from pipeline.readers._tars.tar_members import opened

_OURS = ("width", "height", "original_width", "original_height", "sha256")


def earlier_images(tar: Path, listed: pa.Table, spool: Spool) -> dict[int, Fetched]:
    """Copy the images of a committed tar into the spool.

    Args:
        tar: The tar, with its Parquet beside it.
        listed: The piece; where its rows are no longer those of the Parquet, nothing is taken over.
        spool: Where images go.

    Returns:
        What was fetched, by row.
    """
    sidecar = tar.with_suffix(".parquet")
    if not tar.is_file() or not sidecar.is_file():
        return {}
    table = read_parquet(sidecar)
    if len(table) != len(listed):
        return {}
    rows = {key: at for at, key in enumerate(table.column("key").to_pylist())}
    facts = table.select([*_OURS, "url"]).to_pylist()
    found: dict[int, Fetched] = {}
    with opened(str(tar)) as file:
        for sample in tar_samples.walk(file, str(tar), tar_samples.Wanted(images=True)):
            at = rows.get(sample.key)
            kind = sample.kind
            if at is None or kind is None or sample.content is None or sample.fault is not None:
                continue
            own = {name: facts[at][name] for name in _OURS}
            url = facts[at]["url"]
            found[at] = Fetched(
                url, host_of(url), "success", place=spool.add(sample.content), kind=kind, **own
            )
    return found
