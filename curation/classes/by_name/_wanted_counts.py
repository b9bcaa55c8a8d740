"""How many samples of each class are wanted: a histogram that a user or another pool gave."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from indexes.errors import PlanError

FORMS = (
    'JSON ({"dog": 30}, or [30, 0, 12] by position), or lines of a class, a tab and a whole number (.tsv; a header may '
    "stand first)"
)

MOST = 10**15
"""More samples than any pool has."""


def counts_digest(path: str, where: str) -> str:
    """Hash a file of counts: sha256, 64 hex digits.

    Raises:
        PlanError: If it cannot be read.
    """
    return hashlib.sha256(_read(path, where)).hexdigest()


def wanted_counts(path: str, where: str) -> dict[str, int]:
    """Read how many samples of each class are wanted, in the file's order.

    Args:
        path: A JSON object of numbers by class, a JSON list of numbers by position, or TSV.
        where: Place in the plan, for messages.

    Raises:
        PlanError: If the file has another form, a class is empty or stands twice, a number is none, or all are 0.
    """
    place = f"{where}: '{path}'"
    try:
        text = _read(path, where).decode("utf-8-sig")
        pairs = list(_of_json(json.loads(text, object_pairs_hook=list), place)) if _is_json(text) else None
    except ValueError as error:
        raise PlanError(f"{place} cannot be read in UTF-8 ({error}); counts are {FORMS}") from None
    return _checked(_of_lines(text, place) if pairs is None else pairs, place)


def _read(path: str, where: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise PlanError(
            f"{where} is '{path}', which cannot be read ({error.strerror}); name a file of counts: {FORMS}"
        ) from None


def _is_json(text: str) -> bool:
    return text.lstrip()[:1] in ("{", "[")


def _of_json(found: Any, place: str) -> Iterator[tuple[str, Any]]:
    """An object comes as a list of pairs, so that a class that stands twice is seen."""
    for at, each in enumerate(found):
        pair = isinstance(each, tuple)
        yield (each[0], each[1]) if pair else (str(at), each)
    if not found:
        raise PlanError(f"{place} names no class; counts are {FORMS}")


def _of_lines(text: str, place: str) -> Iterator[tuple[str, Any]]:
    for line, cells in enumerate(csv.reader(io.StringIO(text), delimiter="\t", quoting=csv.QUOTE_NONE), 1):
        if not any(cell.strip() for cell in cells):
            continue
        if len(cells) != 2:
            raise PlanError(f"{place}, line {line} has {len(cells)} columns; counts are {FORMS}")
        number = cells[1].strip()
        if number.isdecimal():
            yield cells[0].strip(), int(number)
        elif line > 1:
            yield cells[0].strip(), number


def _checked(pairs: Iterable[tuple[str, Any]], place: str) -> dict[str, int]:
    found: dict[str, int] = {}
    for name, number in pairs:
        if not name.strip():
            raise PlanError(f"{place} has an empty class name; name the class, or take the line out")
        if name in found:
            raise PlanError(f"{place} has the class {name!r} twice; give each class one number")
        if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number <= MOST:
            raise PlanError(
                f"{place}: the class {name!r} has {number!r}; write a whole number from 0 to 10^15"
            )
        found[name] = number
    if not any(found.values()):
        raise PlanError(
            f"{place} asks for 0 samples of every class, which keeps nothing; ask for 1 or more of one"
        )
    return found
