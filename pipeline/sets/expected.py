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
    labels = {label for label in found if label is not None}
    wanted = _wanted(expect)
    astray = _astray(labels, wanted)
    if expect.get("classes") not in (None, len(labels)) or astray:
        yield f"{len(labels)} classes, expected {expect.get('classes') or len(wanted)}{_told(astray)}"
    uneven = [
        f"{label} has {found[label]} of {expect['per_class']}"
        for label in sorted(labels)
        if expect.get("per_class") not in (None, found[label])
    ]
    if expect.get("samples") not in (None, rows):
        gone = _gone(db, parts, expect["numbered"], expect["samples"]) if expect.get("numbered") else []
        yield f"{rows} samples, expected {expect['samples']}{_told(gone or uneven)}"
    elif uneven:
        yield f"classes of another size than {expect['per_class']}{_told(uneven)}"


def _wanted(expect: Mapping[str, Any]) -> tuple[str, ...]:
    told = expect.get("labels") or ()
    if told == "positions":
        return tuple(map(str, range(expect["classes"] or 0)))
    return class_list(IMAGENET_1K, "", "expect.labels").ids if told == IMAGENET_1K else tuple(told)


def _astray(labels: Collection[str], wanted: Collection[str]) -> list[str]:
    """List classes that are missing, then those that the set does not have."""
    if not wanted or not _alike(labels, wanted):
        return []
    missing = [f"{label} is missing" for label in wanted if label not in labels]
    return missing + [f"{label} is none of its classes" for label in sorted(set(labels) - set(wanted))]


def _alike(labels: Iterable[str], wanted: Collection[str]) -> bool:
    """Tell whether folders are called in the publishers' manner: who renamed all of them may."""
    return any(label in wanted for label in labels) or not labels or _ids(labels) == _ids(wanted)


def _ids(labels: Iterable[str]) -> bool:
    return all(_WNID.fullmatch(label) for label in labels)


def _gone(db: Any, parts: list[str], pattern: str, count: int) -> list[str]:
    """Name the numbered images that are not there."""
    head, digits, tail = re.fullmatch(r"([^#]*)(#+)(.*)", pattern).groups()  # type: ignore[union-attr]
    named = re.compile(rf"{re.escape(head)}([0-9]{{{len(digits)}}}){re.escape(tail)}", re.IGNORECASE)
    there = {
        int(match[1])
        for (key,) in db.execute(_KEYS, {"parts": parts}).fetchall()
        if (match := named.fullmatch(key.rpartition("/")[2]))
    }
    missing = (number for number in range(1, count + 1) if number not in there) if there else ()
    return [f"{head}{number:0{len(digits)}d}{tail} is missing" for number in missing]


def _told(names: list[str]) -> str:
    more = f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else ""
    return f" ({', '.join(names[:_NAMED])}{more})" if names else ""
