"""The `json` of an exported sample: the source's bytes, and the sample's uid, which DataComp's resharder looks for."""

from __future__ import annotations

import json
from typing import Any

# A larger one is not parsed.
MAX_JSON_BYTES = 16 << 20
# Reads the value that a text begins with, and says where it ends.
_scan = json.JSONDecoder().raw_decode
_BLANK = " \t\n\r"
MADE, SAME, ADDED, REPLACED, LEFT = "made", "same", "added", "replaced", "left"


def with_uid(content: bytes | None, uid: str) -> tuple[bytes, str]:
    """Give a json its uid.

    Args:
        content: The source's bytes; None where the sample has no json.
        uid: 32 lowercase hex digits.

    Returns:
        The bytes, and what was done: `made` is an object that has the uid alone; `same` are the source's bytes, which
        say the uid; `added` are the source's bytes with `"uid": "…", ` behind the opening brace; `replaced` is the
        object written again, since it says another uid or is not in UTF-8; `left` are the source's bytes, which are no
        JSON object or too large to be parsed.
    """
    return marked(content, parsed(content), uid)


def marked(content: bytes | None, found: dict[str, Any] | None, uid: str) -> tuple[bytes, str]:
    """Give a json its uid, as `with_uid` does, where what it says has been read already by `parsed`."""
    own = f'"uid": "{uid}"'
    if content is None:
        return f"{{{own}}}".encode(), MADE
    if found is None:
        return content, LEFT
    if "uid" in found and str(found["uid"]).lower() == uid:
        return content, SAME
    if "uid" in found or not _is_utf8(content):
        return json.dumps(found | {"uid": uid}).encode(), REPLACED
    inside = content.index(b"{") + 1
    return content[:inside] + own.encode() + (b", " if found else b"") + content[inside:], ADDED


def parsed(content: bytes | None) -> dict[str, Any] | None:
    """Read what a json says; None where there is none, or it is no object, or too large."""
    if content is None or len(content) > MAX_JSON_BYTES:
        return None
    try:
        found = _plain_object(content) if _is_plain(content) else json.loads(content)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _plain_object(content: bytes) -> Any:
    """Read an object in UTF-8, as `json.loads` does in more steps."""
    text = str(content, "utf-8", "surrogatepass")
    found, end = _scan(text)
    if end != len(text) and text[end:].strip(_BLANK):
        raise ValueError("something follows the object")
    return found


def _is_utf8(content: bytes) -> bool:
    return _is_plain(content) or json.detect_encoding(content) in ("utf-8", "utf-8-sig")


def _is_plain(content: bytes) -> bool:
    """Tell by its beginning that a json is in UTF-8, as almost all are, without asking what else it could be."""
    return content[:1] == b"{" and content[1:2] != b"\0"
