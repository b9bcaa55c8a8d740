"""Sets that lie on object stores, as folders of this machine before a plan reads them."""

from __future__ import annotations

from pipeline.incoming.fetched_pools import brought_pool
from pipeline.plan import Plan
from pipeline.sets.source import Source
from pipeline.stores.brought_sets import brought


def with_brought(plan: Plan) -> Plan:
    """Have the sets of a plan that are named by an address as folders here, and give the plan that reads those.

    Of a set that is still to be fetched, the list of URLs is brought; where it is fetched to stays as it is.

    Raises:
        BadInputError: If an address is none of a store that is known.
        DataError: If nothing lies at an address.
        OutputError: If a store cannot be read, or there is no room for a set.
    """
    return plan.with_sets({place: _brought(source) for place, source in plan.sources_by_place().items()})


def _brought(source: Source) -> Source:
    images, ingest = source.images, source.ingest
    told = {
        "path": source.path if ingest is not None else _here(source.path),
        "images": None if images is None else _here(images),
        "ingest": None
        if ingest is None
        else ingest.model_copy(update={"urls": brought(ingest.urls, whole=True)}),
    }
    return (
        source if told == {name: getattr(source, name) for name in told} else source.model_copy(update=told)
    )


def _here(text: str) -> str:
    return brought_pool(text) or brought(text)
