"""Take credentials out of text before it reaches a terminal, a log or a report."""

from __future__ import annotations

import re

HIDDEN = "***"

_USER = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]*://)[^/\s@]+@", re.IGNORECASE)
_HIDING = (
    "sig|signature|token|secret|password|passwd|pwd|credential|credentials|auth|authorization|accesskeyid|"
    "access[_-]?key|api[_-]?key|key-pair-id|policy"
)
_PARAMETER = re.compile(
    rf"(?P<name>[?&;](?:[a-z0-9_.%-]*[_.-])?(?:[a-z0-9]*(?:{_HIDING})|key)=)[^&;\s\"'<>]+", re.IGNORECASE
)


def redact(text: str) -> str:
    """Hide user names, passwords and signatures of every URL in `text`; the rest stays as it is."""
    return _PARAMETER.sub(rf"\g<name>{HIDDEN}", _USER.sub(rf"\g<scheme>{HIDDEN}@", text))
