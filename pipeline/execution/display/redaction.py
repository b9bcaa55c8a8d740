"""Take credentials out of text before it reaches a terminal, a log or a report.

Texts are strangers': each is gone through once, whatever is in it. A pattern that looked for a name's last part by
itself would take hours over a link of some kilobytes that was made for it.
"""

from __future__ import annotations

import re

HIDDEN = "***"

# To the last @ before the path: a password may hold one.
_USER = re.compile(r"//[^/\s?#]*@")
_PARAMETER = re.compile(r"([?&;#])([^=?&;#\s\"'<>]*)=[^?&;#\s\"'<>]+")
_SECRETS = (
    *(
        "sig",
        "signature",
        "token",
        "secret",
        "password",
        "passwd",
        "pwd",
        "credential",
        "credentials",
        "auth",
    ),
    *(
        "authorization",
        "accesskeyid",
        "accesskey",
        "access_key",
        "access-key",
        "apikey",
        "api_key",
        "api-key",
    ),
    *("key-pair-id", "policy", "_key", "-key", ".key"),
)
"""How names of parameters end that are kept to oneself; `key` is one too."""


def redact(text: str) -> str:
    """Hide user names, passwords and signatures of every URL in `text`; the rest stays as it is."""
    return _PARAMETER.sub(_hidden, _USER.sub(f"//{HIDDEN}@", text))


def _hidden(found: re.Match[str]) -> str:
    name = found[2].lower()
    return f"{found[1]}{found[2]}={HIDDEN}" if name == "key" or name.endswith(_SECRETS) else found[0]
