"""Images that an earlier attempt at a piece has fetched: they are taken over and not asked for again."""

from __future__ import annotations

from pathlib import Path

from pipeline.fetching.crew import Fetched
from pipeline.fetching.spool import Spool
from pipeline.fetching.web_request import host_of
from pipeline.files.parquet import read_parquet
from pipeline.readers._tars import tar_samples
from pipeline.readers._tars.tar_members import opened

_OURS = ("width", "height", "original_width", "original_height", "sha256")


def earlier_images(tar: Path, spool: Spool) -> dict[int, Fetched]:
    """Copy the images of a committed tar into the spool.

    Args:
        tar: The tar of the same piece, with its Parquet beside it.
        spool: Where images go.

    Returns:
        What was fetched, by row.
    """
    table = read_parquet(tar.with_suffix(".parquet"))
    rows = {key: at for at, key in enumerate(table.column("key").to_pylist())}
    final = [name for name in ("final_url",) if name in table.column_names]  # older pools have none
    facts = table.select([*_OURS, "url", *final]).to_pylist()
    found: dict[int, Fetched] = {}
    with opened(str(tar)) as file:
        for sample in tar_samples.walk(file, str(tar), tar_samples.Wanted(images=True)):
            at, kind, content = rows[sample.key], sample.kind, sample.content
            if kind is not None and content is not None:  # as nearfar wrote it
                own = {name: facts[at][name] for name in _OURS}
                url, place = facts[at]["url"], spool.add(content)
                own["final_url"] = facts[at].get("final_url")
                found[at] = Fetched(url, host_of(url), "success", place=place, kind=kind, **own)
    return found
