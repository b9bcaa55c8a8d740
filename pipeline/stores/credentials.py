"""Who one is to a store: from the environment, or from the profile files that every client of S3 reads.

The library looks into the environment by itself (AWS_ACCESS_KEY_ID and so on, roles of machines and containers). What
it does not read are `~/.aws/credentials` and `~/.aws/config`.
"""

from __future__ import annotations

import configparser
import os
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from pipeline.stores.store_addresses import Address

_WORDS = {"s3": "AWS_", "gs": "GOOGLE_", "az": "AZURE_"}
"""What the names of the environment begin with that a client of a store reads."""
_ENDPOINTS = {
    "s3": ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"),
    "gs": ("GOOGLE_BASE_URL",),
    "az": ("AZURE_STORAGE_ENDPOINT", "AZURE_ENDPOINT"),
}
"""Those that say which server it is."""
_ACCOUNT = "AZURE_STORAGE_ACCOUNT_NAME"
_REGIONS = ("AWS_REGION", "AWS_DEFAULT_REGION")
_OTHER_WAYS = (
    "AWS_ACCESS_KEY_ID",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_SKIP_SIGNATURE",
)
_KEYS = ("access_key_id", "secret_access_key", "session_token")
_BELIEVED = timedelta(minutes=10)
"""For how long keys of a profile are taken to hold; the client asks for them again five minutes before that."""
_NAMES = {f"aws_{key}": key for key in _KEYS} | {"region": "region", "endpoint_url": "endpoint"}


def configuration(address: Address) -> dict[str, Any]:
    """Give what a client of a store is told beside its address: how long it waits, and for S3 what the profile says."""
    # Options that are given replace those of the environment, of which this one is the user's.
    plain = os.environ.get(f"{_WORDS[address.scheme]}ALLOW_HTTP", "").lower() in ("1", "true", "yes", "on")
    client = {"client_options": {"timeout": "60s", "connect_timeout": "10s", "allow_http": plain}}
    return client | (_of_s3() if address.scheme == "s3" else {})


def server_of(address: Address) -> str:
    """Say what tells the server of a bucket from others that may have one of that name, as far as that is given."""
    endpoint = next(filter(None, map(os.environ.get, _ENDPOINTS[address.scheme])), None)
    if address.scheme == "az":
        return " ".join(filter(None, (endpoint, os.environ.get(_ACCOUNT))))
    return endpoint or configuration(address).get("config", {}).get("endpoint", "")


def given() -> tuple[tuple[str, str], ...]:
    """List what the environment says to clients of stores, by name."""
    begin = tuple(_WORDS.values())
    return tuple(sorted((name, value) for name, value in os.environ.items() if name.startswith(begin)))


def _of_s3() -> dict[str, Any]:
    said = (("region", _REGIONS), ("endpoint", _ENDPOINTS["s3"]), *((key, _OTHER_WAYS) for key in _KEYS))
    elsewhere = {key for key, names in said if any(os.environ.get(name) for name in names)}
    found = {key: value for key, value in _profile().items() if key not in elsewhere}
    keys = {key: found.pop(key) for key in _KEYS if key in found}
    told: dict[str, Any] = {"config": found} if found else {}
    return told | ({"credential_provider": partial(_keys, keys)} if set(_KEYS[:2]) <= keys.keys() else {})


def _keys(last: dict[str, str]) -> dict[str, Any]:
    """Read the keys of a profile: those of short life are renewed there, by other programs, while a run works."""
    now = {key: value for key, value in _profile().items() if key in _KEYS}
    if set(_KEYS[:2]) <= now.keys():
        last.clear()
        last.update(now)
    id_, secret, token = (last.get(key) for key in _KEYS)
    until = datetime.now(UTC) + _BELIEVED
    return {"access_key_id": id_, "secret_access_key": secret, "token": token, "expires_at": until}


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
