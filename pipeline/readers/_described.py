"""What a sample's own json and txt say of it, in whatever encoding people saved them."""

from __future__ import annotations

import codecs
import json
from collections import Counter
from collections.abc import Mapping
from typing import Any

from pipeline.sets import columns

ROLES = ("url", "caption", "label", "uid")
_MARKED = (
    (codecs.BOM_UTF8, "utf-8", "UTF-8 with a byte order mark"),
    (codecs.BOM_UTF16_LE, "utf-16-le", "UTF-16"),
    (codecs.BOM_UTF16_BE, "utf-16-be", "UTF-16"),
)


def described(texts: Mapping[str, bytes], odd: Counter[str]) -> dict[str, str | None]:
    """Find url, caption, label and uid of a sample; a json that cannot be read counts as none.

    Args:
        texts: Bytes of the sample's `json` and `txt`, where it has them.
        odd: Counts, by what it was, each text that is not plain UTF-8 and each caption that is not one text.
    """
    found = of_fields(_fields(texts.get("json"), odd), odd, "txt" not in texts)
    if found["caption"] is None and "txt" in texts:
        found["caption"] = decoded(texts["txt"], odd)
    return found


def of_fields(fields: Mapping[str, Any], odd: Counter[str], numbers: bool = True) -> dict[str, str | None]:
    """Find url, caption, label and uid among named values; a caption may be a number where `numbers` says so."""
    names = list(fields)
    found: dict[str, str | None] = dict.fromkeys(ROLES)
    for role in ROLES:
        place = columns.find(names, columns.ALIASES[role])
        value = None if place is None else fields[names[place]]
        if role == "caption" and isinstance(value, list):
            value = next((one for one in value if isinstance(one, str)), None)
            odd["captions that are lists, of which the first text is taken"] += 1
        found[role] = columns.plain_text(value) if isinstance(value, str) else None
        if role == "caption" and value is not None and found[role] is None and numbers:
            found[role] = _number(value, odd)
    return found


def decoded(content: bytes, odd: Counter[str]) -> str:
    """Read a text by its byte order mark; without one as UTF-8, and as Latin-1 where it is not that."""
    for mark, encoding, kind in _MARKED:
        if content.startswith(mark):
            odd[f"texts in {kind}"] += 1
            return content[len(mark) :].decode(encoding, "replace")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        odd["texts that are not UTF-8 and were read as Latin-1"] += 1
        return content.decode("latin-1")


def _fields(content: bytes | None, odd: Counter[str]) -> dict[str, Any]:
    if content is None:
        return {}
    counted: Counter[str] = Counter()
    try:
        found = json.loads(decoded(content, counted))
    except (ValueError, RecursionError):
        odd["json that cannot be read"] += 1
        return {}
    odd.update(counted)
    return {str(name): value for name, value in found.items()} if isinstance(found, dict) else {}


def _number(value: Any, odd: Counter[str]) -> str | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    odd["captions that are numbers, taken as text"] += 1
    return str(value)
