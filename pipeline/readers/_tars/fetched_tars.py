"""Tars that `nearfar ingest` fetched into a folder, or was to fetch: its records know of those that are gone too."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from indexes.errors import OutputError
from pipeline import layout
from pipeline.commit import Record, records
from pipeline.readers import _files
from pipeline.stores.brought_sets import set_place
from pipeline.stores.store_addresses import is_address
from pipeline.stores.working_copies import folder_of


def fetched_once(root: Path, tars: Iterable[Path]) -> tuple[str, ...]:
    """Name the tars that are not there of a pool that nearfar fetched; nothing for any other folder.

    The pieces that a list was cut into say how many there are to be: the last one leaves no gap in the numbers.
    The records lie above the pool; of one on a store, in the working copy of what is above it.
    """
    place = set_place(str(root.resolve()))
    above, _, name = place.rpartition("/")
    out = folder_of(above) if is_address(place) else Path(place).parent
    pieces = sum(
        len(found) for record in _records(out, "cut") if isinstance(found := record.facts.get("rows"), list)
    )
    wanted = {layout.fetched(number, "tar") for number in range(pieces)}
    wanted |= {
        one.path for record in _records(out, "fetch") for one in record.outputs if one.path.endswith(".tar")
    }
    if not any(path.startswith(f"{name}/") for path in wanted):
        return ()
    gone = sorted(wanted - {f"{name}/{tar.name}" for tar in tars}, key=_files.natural)
    if not gone:
        return ()
    stems = [Path(path).stem for path in gone]
    return (
        f"{len(gone):,} of {len(wanted):,} shards {_files.FETCHED_ONCE} ({_files.first_of(stems)}): their samples are "
        "missing; give the same list to nearfar ingest again, then run again",
    )


def _records(out: Path, stage: str) -> list[Record]:
    """List a stage's records; none where what is called as their folder is another's, or not to be read."""
    try:
        return records(out, stage)
    except (OutputError, PermissionError):
        return []
