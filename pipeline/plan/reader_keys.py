"""Keys of a set that are its reader's: refused where its format does not have them, before any file is looked at."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import ValidationError

from pipeline.documents.problems import closest, sentence
from pipeline.documents.yaml_safe import Place
from pipeline.readers import names, options_of
from pipeline.sets.source import Source


def key_problems(place: Place, given: Mapping[str, Any]) -> Iterator[tuple[Place, str]]:
    """Find what is wrong with the keys of a set that are not common to all sets.

    Where the plan names no format, a key is refused here only if no format has it; the rest is checked once the files
    have been looked at (`check_sources`).

    Args:
        place: Place of the set in the plan.
        given: The set's keys as the plan has them; those that are None say nothing.

    Yields:
        Place and problem.
    """
    options = {
        key: value for key, value in given.items() if key not in Source.model_fields and value is not None
    }
    named = given.get("format")
    if not isinstance(named, str) or named.replace("_", "-") not in names():
        yield from _unknown_to_all(place, options)
        return
    kind = options_of(named)
    try:
        kind.model_validate(options)
    except ValidationError as failure:
        for problem in failure.errors(include_url=False):
            key = str(problem["loc"][0])
            known = key in kind.model_fields
            yield (*place, key), sentence(problem, key, kind) if known else _unknown(key, named)


def written_sets(value: Mapping[str, Any]) -> Iterator[tuple[Place, Mapping[str, Any]]]:
    """List the sets of a plan file that is not a plan yet: a mistyped `path` is both missing and unknown.

    Args:
        value: What the file holds.

    Yields:
        Place and keys of each set that is a map.
    """
    sets: list[tuple[Place, Any]] = [((key,), value.get(key)) for key in ("pool", "reference")]
    for kind in ("benchmarks", "sources"):
        held = value.get(kind)
        sets += [((kind, name), held[name]) for name in held] if isinstance(held, Mapping) else []
    yield from ((place, given) for place, given in sets if isinstance(given, Mapping))


def option_paths(source: Source) -> Iterator[tuple[str, str]]:
    """List a set's options that are paths, with their keys, as far as its format, or some format, has them."""
    formats = (source.format,) if source.format is not None else names()
    known = {key for name in formats for key in options_of(name).paths}
    yield from ((key, str(value)) for key, value in source.options.items() if key in known)


def _unknown(key: str, format_name: str) -> str:
    """Say that a set of a format has no such key, which keys it has, and which format has it."""
    known = {*Source.model_fields, *options_of(format_name).model_fields}
    owners = [name for name in names() if key in options_of(name).model_fields]
    advice = f"'{key}' is a key of: {', '.join(owners)}" if owners else closest(key, known)
    has = ", ".join(sorted(known))
    return f"unknown key '{key}'; a set of format {format_name} has the keys: {has}. {advice}".rstrip(". ")


def _unknown_to_all(place: Place, options: Mapping[str, Any]) -> Iterator[tuple[Place, str]]:
    known = {*Source.model_fields, *(key for name in names() for key in options_of(name).model_fields)}
    for key in options:
        if key not in known:
            has = ", ".join(sorted(known))
            said = f"unknown key '{key}'; the keys here are: {has}. {closest(key, known)}"
            yield (*place, key), said.rstrip(". ")
