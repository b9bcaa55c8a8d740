"""Which classes a caption names: one file per matcher, each a rule of its own, as exact as its source."""

from __future__ import annotations

import sys
from functools import cache

from curation.classes._class_lists import (
    BUILT_IN,
    IMAGENET_1K,
    NamedClasses,
    built_in_file,
    class_list,
    digest_of,
)
from curation.classes._matcher import Matcher
from curation.classes._wordnet import wordnet_digest
from curation.plugin_options import plugin_class
from indexes import registry
from indexes.errors import UnknownNameError

__all__ = [
    "BUILT_IN",
    "IMAGENET_1K",
    "Matcher",
    "NamedClasses",
    "built_in_file",
    "class_list",
    "digest_of",
    "kind_of_matcher",
    "names",
    "wordnet_digest",
]


def names() -> tuple[str, ...]:
    """List the matchers there are, as plans write them: `laionet`, `whole_word`."""
    return tuple(name.replace("-", "_") for name in registry.names(sys.modules[__name__]))


@cache
def kind_of_matcher(name: str, where: str = "measures.classes.matcher") -> type[Matcher]:
    """Find a matcher by the name of its file.

    Raises:
        UnknownNameError: If there is no such matcher; the message lists what there is.
    """
    if name.replace("-", "_") not in names():
        raise UnknownNameError("matcher", name, names(), f"Write one of these at {where}")
    return plugin_class(registry.load(sys.modules[__name__], "matcher", name), Matcher)  # type: ignore[type-abstract]
