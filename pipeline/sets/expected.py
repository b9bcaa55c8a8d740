"""What of a set is missing or does not belong there, by name, where it is known what there must be."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from curation.classes import IMAGENET_1K, class_list

_NAMED = 5
_WNID = re.compile(r"n[0-9]{8}")
_COUNTS = "SELECT label, count(*) FROM read_parquet($parts, hive_partitioning = false) GROUP BY label ORDER BY label"
_KEYS = "SELECT key FROM read_parquet($parts, hive_partitioning = false)"


def problems_of(db: Any, parts: list[str], expect: Mapping[str, Any], rows: int) -> Iterator[str]:
    """Say what does not hold of what is expected, each with the names of what is wrong as far as they are known.

    Args:
        db: A DuckDB connection.
        parts: Files of the set's rows, with `key` and `label`.
        expect: As `Expect` has it.
        rows: Samples that there are.
    """
    found: dict[str | None, int] = dict(db.execute(_COUNTS, {"parts": parts}).fetchall())
    keys = (
        (key for (key,) in db.execute(_KEYS, {"parts": parts}).fetchall()) if expect.get("numbered") else ()
    )
    return problems_in(found, keys, expect, rows)


def problems_in(
    found: Mapping[str | None, int], keys: Iterable[str], expect: Mapping[str, Any], rows: int
) -> Iterator[str]:
    """Say it of a set whose samples have been counted.

    Args:
        found: Samples of each label.
        keys: Their keys; looked at only where images are numbered.
        expect: As `Expect` has it.
        rows: Samples that there are.
    """
    labels = {label for label in found if label is not None}
    missing, strange = (
        _numbered(keys, expect["numbered"], expect["samples"]) if expect.get("numbered") else ([], [])
    )
    # ImageNet's validation images are published in one folder: their numbers alone say which they are.
    if labels or not expect.get("numbered"):
        yield from _class_problems(labels, expect)
    uneven = [
        f"{label} has {found[label]} of {expect['per_class']}"
        for label in sorted(labels)
        if expect.get("per_class") not in (None, found[label])
    ]
    if expect.get("samples") not in (None, rows):
        yield f"{rows} samples, expected {expect['samples']}{_told(missing or strange or uneven)}"
    elif missing:
        yield f"other images than those expected{_told(missing, strange)}"
    elif uneven:
        yield f"classes of another size than {expect['per_class']}{_told(uneven)}"


def _class_problems(labels: Collection[str], expect: Mapping[str, Any]) -> Iterator[str]:
    wanted = _wanted(expect)
    missing, strange = _astray(labels, wanted)
    number = expect.get("classes") or len(wanted)
    if expect.get("classes") not in (None, len(labels)) or missing or strange:
        if len(labels) == 1 and number > 1 and set(labels).isdisjoint(wanted):
            inside = f"all its images are in the folder {min(labels)}"
            yield f"1 class, expected {number} ({inside}; name that as its path, if the classes are in it)"
        else:
            yield f"{len(labels)} classes, expected {number}{_told(missing, strange)}"


def _wanted(expect: Mapping[str, Any]) -> tuple[str, ...]:
    told = expect.get("labels") or ()
    if told == "positions":
        return tuple(map(str, range(expect["classes"] or 0)))
    return class_list(IMAGENET_1K, "", "expect.labels").ids if told == IMAGENET_1K else tuple(told)


def _astray(labels: Collection[str], wanted: Collection[str]) -> tuple[list[str], list[str]]:
    """List classes that are missing, and those that the set does not have."""
    if not wanted or not _alike(labels, wanted):
        return [], []
    missing = [f"{label} is missing" for label in wanted if label not in labels]
    return missing, [f"{label} is none of its classes" for label in sorted(set(labels) - set(wanted))]


def _alike(labels: Iterable[str], wanted: Collection[str]) -> bool:
    """Tell whether folders are called in the publishers' manner: who renamed all of them may."""
    return any(label in wanted for label in labels) or not labels or _ids(labels) == _ids(wanted)


def _ids(labels: Iterable[str]) -> bool:
    return all(_WNID.fullmatch(label) for label in labels)


def _numbered(keys: Iterable[str], pattern: str, count: int | None) -> tuple[list[str], list[str]]:
    """Name the numbered images that are not there, and images that are called otherwise; none where all are."""
    head, digits, tail = re.fullmatch(r"([^#]*)(#+)(.*)", pattern).groups()  # type: ignore[union-attr]
    named = re.compile(rf"{re.escape(head)}([0-9]{{{len(digits)}}}){re.escape(tail)}", re.IGNORECASE)
    found = {key: named.fullmatch(key.rpartition("/")[2]) for key in keys}
    there = {int(match[1]) for match in found.values() if match}
    if not there and any("/" in key for key in found):
        return [], []  # who called them otherwise, all of them, may, where folders say the class
    missing = (number for number in range(1, (count or 0) + 1) if number not in there)
    strange = sorted(
        key for key, match in found.items() if not match or not 0 < int(match[1]) <= (count or 0)
    )
    return (
        [f"{head}{number:0{len(digits)}d}{tail} is missing" for number in missing],
        [f"{key} is none of its images" for key in strange],
    )


def _told(*named: list[str]) -> str:
    """Name the first of each list."""
    said = [
        ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else "")
        for names in named
        if names
    ]
    return f" ({', '.join(said)})" if said else ""
