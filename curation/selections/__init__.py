"""One file per kind of selection: its SQL, its plain oracle, its words."""

from __future__ import annotations

import sys

from curation.plugin_options import plugin_class
from curation.selection import Selection
from indexes import registry

__all__ = ["examples", "kind", "names"]


def names() -> tuple[str, ...]:
    """List the kinds of selection there are."""
    return registry.names(sys.modules[__name__])


def kind(name: str) -> type[Selection]:
    """Import the selection of that name.

    Raises:
        UnknownNameError: If there is none; the message lists what there is.
    """
    return plugin_class(registry.load(sys.modules[__name__], "selection", name), Selection)  # type: ignore[type-abstract]


def examples(name: str) -> tuple[Selection, ...]:
    """Return the examples that a selection's file holds: `EXAMPLES`, over the columns of the conformance test.

    Those are `score` and `other` (numbers with NULL and NaN), `label` (text with NULL), `tags` (lists of text with
    NULL), `width` (whole numbers with NULL), `key` and `caption`.

    Raises:
        TypeError: If the file holds none; that is its author's mistake.
    """
    found = vars(registry.load(sys.modules[__name__], "selection", name)).get("EXAMPLES", ())
    if not found:
        raise TypeError(
            f"curation/selections/{name.replace('-', '_')}.py must hold EXAMPLES of its selection"
        )
    return tuple(found)
