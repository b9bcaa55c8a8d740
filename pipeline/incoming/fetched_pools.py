"""Pools that `nearfar ingest` fetched onto a store: read by their records, under the names that readers know."""

from __future__ import annotations

from pathlib import Path

from pipeline.commit import check_sound, commit_folder, records
from pipeline.commit.holding import open_output
from pipeline.files.inputs import Ledger, stamp_of
from pipeline.stores.brought_sets import check_room
from pipeline.stores.store_addresses import is_address, parse_address
from pipeline.stores.working_copies import connected

POOL = "shards"
"""The folder of a fetched pool that plans read."""


def brought_pool(text: str) -> str | None:
    """Give the path of this machine at which a pool can be read that was fetched onto a store; None for other sets.

    Its objects have digests in their names, so that readers would not know them. Files that are here are hashed once,
    and brought again where they are not what was committed.

    Raises:
        OutputError: If the store cannot be read, there is no room for the pool, or an object is not what was committed.
    """
    if not is_address(text):
        return None
    above, _, last = str(parse_address(text)).rpartition("/")
    if last != POOL or not connected(above).listing(f"{commit_folder('fetch')}/"):
        return None
    out = open_output(above).absolute()
    _bring(out, above)
    return str(out / POOL)


def _bring(out: Path, address: str) -> None:
    ledger = Ledger(out)
    named = {
        str(out / output.path): output
        for record in records(out, "fetch")
        for output in record.outputs
        if output.path.startswith(f"{POOL}/")
    }
    unknown = [one for path, one in named.items() if ledger.content(path, path) != one.sha256]
    check_room(out, address, sum(one.bytes for one in unknown if not (out / one.path).exists()))
    check_sound(out, unknown)
    ledger.note([[path, *stamp_of(path), one.sha256] for path, one in named.items() if one in unknown])
    ledger.save()
