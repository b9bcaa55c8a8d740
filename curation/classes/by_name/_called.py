"""What a class of a list is called: its id, its names, its position."""

from __future__ import annotations

from collections import defaultdict
from functools import lru_cache

from curation.classes import class_list


def plain_name(name: str) -> str:
    """Bring a name into one form: either case, `_` or any white space for a blank."""
    return " ".join(name.replace("_", " ").casefold().split())


@lru_cache(maxsize=4)
def places_by_name(source: str, digest: str) -> dict[str, tuple[int, ...]]:
    """List the classes of each name, in its plain form, and of each id as it is.

    An id that is a name of other classes too goes before it.

    Args:
        source: The class list, as `class_list` takes it.
        digest: Of what is read.
    """
    classes = class_list(source, digest, "names")
    found = defaultdict[str, set[int]](set)
    for at, each in enumerate(classes.names):
        for name in each:
            found[plain_name(name)].add(at)
    ids = {each: (at,) for at, each in enumerate(classes.ids) if each not in classes.names[at]}
    return {name: tuple(sorted(at)) for name, at in found.items()} | ids


@lru_cache(maxsize=4)
def one_place(source: str, digest: str) -> dict[str, str]:
    """Give each text that says one class of a list its position, as text: `"0"`, `"n01440764"`, `"tench"`.

    A name that several classes have says none of them. A position that is a name or id of another class goes behind it.
    """
    found = {name: str(at[0]) for name, at in places_by_name(source, digest).items() if len(at) == 1}
    return {str(at): str(at) for at in range(len(class_list(source, digest, "names")))} | found
