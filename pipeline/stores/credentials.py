"""Who one is to a store: from the environment, or from the profile files that every client of S3 reads.

The library looks into the environment by itself (AWS_ACCESS_KEY_ID and so on, roles of machines and containers). What
it does not read are `~/.aws/credentials` and `~/.aws/config`.
"""

from __future__ import annotations

import configparser
import os
from pathlib import Path
from typing import Any

from pipeline.stores.store_addresses import Address

_OTHER_WAYS = (
    "AWS_ACCESS_KEY_ID",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_SKIP_SIGNATURE",
)
_NAMES = {
    "aws_access_key_id": "access_key_id",
    "aws_secret_access_key": "secret_access_key",
    "aws_session_token": "session_token",
    "region": "region",
    "endpoint_url": "endpoint",
}


def configuration(address: Address) -> dict[str, Any]:
    """Give what a client of a store is told beside its address: how long it waits, and for S3 what the profile says."""
    # Options that are given replace those of the environment, of which this one is the user's.
    plain = os.environ.get("AWS_ALLOW_HTTP", "").lower() in ("1", "true", "yes", "on")
    client = {"client_options": {"timeout": "60s", "connect_timeout": "10s", "allow_http": plain}}
    return client | (_of_s3() if address.scheme == "s3" else {})


def _of_s3() -> dict[str, Any]:
    found = {} if any(os.environ.get(name) for name in _OTHER_WAYS) else _profile()
    for name, key in (
        ("AWS_REGION", "region"),
        ("AWS_DEFAULT_REGION", "region"),
        ("AWS_ENDPOINT_URL", "endpoint"),
    ):
        if os.environ.get(name):
            found.pop(key, None)
    return {"config": found} if found else {}


def _profile() -> dict[str, str]:
    name = os.environ.get("AWS_PROFILE") or "default"
    home = Path.home() / ".aws"
    files = (
        (
            os.environ.get("AWS_CONFIG_FILE") or home / "config",
            name if name == "default" else f"profile {name}",
        ),
        (os.environ.get("AWS_SHARED_CREDENTIALS_FILE") or home / "credentials", name),
    )
    found: dict[str, str] = {}
    for file, section in files:
        parser = configparser.RawConfigParser()
        try:
            parser.read(file, encoding="utf-8")
        except (configparser.Error, UnicodeDecodeError):
            continue
        if parser.has_section(section):
            found |= {_NAMES[key]: value for key, value in parser.items(section) if key in _NAMES}
    return found
