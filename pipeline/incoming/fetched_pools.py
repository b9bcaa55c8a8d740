"""Pools that `nearfar ingest` fetched onto a store: read by their records, under the names that readers know.

Where this machine has all that was fetched, as it fetched it, it is read where it lies. Anywhere else there are
stand-ins for the tars, as of any set on a store; what is brought of them is held against the sha256 of its record.
"""

from __future__ import annotations

from pathlib import Path

from pipeline.commit import Output, check_sound, commit_folder, records
from pipeline.commit.holding import open_output
from pipeline.commit.on_stores import object_name
from pipeline.files.inputs import Ledger, stamp_of
from pipeline.stores.brought_sets import bring, root_of
from pipeline.stores.far_files import FarObject
from pipeline.stores.set_states import FILES, SetFile
from pipeline.stores.store_addresses import is_address, parse_address
from pipeline.stores.working_copies import connected

POOL = "shards"
"""The folder of a fetched pool that plans read."""


def brought_pool(text: str) -> str | None:
    """Give the path of this machine at which a pool can be read that was fetched onto a store; None for other sets.

    Its objects have digests in their names, so that readers would not know them. Files that are here are hashed once,
    and brought again where they are not what was committed.

    Raises:
        DataError: If an object is not what its record names.
        OutputError: If the store cannot be read, there is no room for the pool, or an object is not what was committed.
    """
    if not is_address(text):
        return None
    above, _, last = str(parse_address(text)).rpartition("/")
    if last != POOL or not connected(above).listing(f"{commit_folder('fetch')}/"):
        return None
    out = open_output(above).absolute()
    every = [
        output
        for record in records(out, "fetch")
        for output in record.outputs
        if output.path.startswith(f"{POOL}/")
    ]
    if all((out / output.path).is_file() for output in every):
        _check(out, every)
        return str(out / POOL)
    return _stood_for(text, above, every)


def _check(out: Path, every: list[Output]) -> None:
    ledger = Ledger(out)
    named = {str(out / output.path): output for output in every}
    unknown = [one for path, one in named.items() if ledger.content(path, path) != one.sha256]
    check_sound(out, unknown)
    ledger.note([[path, *stamp_of(path), one.sha256] for path, one in named.items() if one in unknown])
    ledger.save()


def _stood_for(text: str, above: str, every: list[Output]) -> str:
    objects, address = connected(above), parse_address(text)
    seen = {one.name: one for one in objects.listing(f"{POOL}/")}

    def file_of(output: Output) -> SetFile:
        name = object_name(output.path, output.sha256)
        found = seen.get(name) or objects.seen(name)  # a listing may lack the newest
        mark = "" if found is None else found.mark
        file = SetFile(output.path.removeprefix(f"{POOL}/"), name, mark, output.sha256)
        if found is None or found.bytes != output.bytes:
            raise FarObject(objects, file).changed()
        return file

    bring(objects, root_of(address), [file_of(output) for output in every], address)
    return str(root_of(address) / FILES)
