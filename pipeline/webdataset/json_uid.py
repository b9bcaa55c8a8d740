"""The `json` of an exported sample: the source's bytes, and the sample's uid, which DataComp's resharder looks for."""

from __future__ import annotations

import json

# A larger one is not parsed.
MAX_JSON_BYTES = 16 << 20
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
    own = f'"uid": "{uid}"'
    if content is None:
        return f"{{{own}}}".encode(), MADE
    found = _parsed(content)
    if found is None:
        return content, LEFT
    if "uid" in found and str(found["uid"]).lower() == uid:
        return content, SAME
    if "uid" in found or not _is_utf8(content):
        return json.dumps(found | {"uid": uid}).encode(), REPLACED
    inside = content.index(b"{") + 1
    return content[:inside] + own.encode() + (b", " if found else b"") + content[inside:], ADDED


def _parsed(content: bytes) -> dict[str, object] | None:
    if len(content) > MAX_JSON_BYTES:
        return None
    try:
        found = json.loads(str(content, "utf-8", "surrogatepass") if _is_plain(content) else content)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _is_utf8(content: bytes) -> bool:
    return _is_plain(content) or json.detect_encoding(content) in ("utf-8", "utf-8-sig")


def _is_plain(content: bytes) -> bool:
    """Tell by its beginning that a json is in UTF-8, as almost all are, without asking what else it could be."""
    return content[:1] == b"{" and content[1:2] != b"\0"
