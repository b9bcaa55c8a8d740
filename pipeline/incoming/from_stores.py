"""Sets that lie on object stores, brought to this machine before a plan reads them."""

from __future__ import annotations

from indexes.errors import BadInputError
from pipeline.plan import Plan
from pipeline.sets.source import Source
from pipeline.stores.brought_sets import brought
from pipeline.stores.store_addresses import is_address


def with_brought(plan: Plan) -> Plan:
    """Bring the sets of a plan that are named by an address, and give the plan that reads them here.

    Raises:
        BadInputError: If an address is none of a store that is known, or a list of URLs is to be fetched onto a store.
        DataError: If nothing lies at an address.
        OutputError: If a store cannot be read, or there is no room for a set.
    """
    sets = {place: _brought(place, source) for place, source in plan.sources_by_place().items()}
    return plan.with_sets(sets)


def _brought(place: str, source: Source) -> Source:
    if source.ingest is not None and is_address(source.path):
        raise BadInputError(
            f"{place}.path: images of a list are fetched into a folder of this machine, not onto '{source.path}'; "
            "name a folder"
        )
    images = source.images
    told = {"path": brought(source.path), "images": None if images is None else brought(images)}
    return source if told == {"path": source.path, "images": images} else source.model_copy(update=told)
