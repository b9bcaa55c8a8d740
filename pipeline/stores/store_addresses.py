"""Places on object stores, as plans and command lines spell them: `s3://bucket/folder`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import unquote

from indexes.errors import BadInputError

SCHEMES = ("s3", "gs", "az")
"""Stores that are spoken to: S3 and what speaks its protocol, Google's, Azure's."""
_URL = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<rest>.*)", re.DOTALL)
# Somebody who meant a store would else find a folder of that name here, and nothing there.
_MEANT = re.compile(rf"({'|'.join(SCHEMES)}):", re.IGNORECASE)
# Clients read an address as a URL, of which they leave out control characters and a blank at its end; some servers take
# a backslash for a slash.
_ALTERED = re.compile(r"[\x00-\x1f\x7f\\]|\s(?:/|$)")
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,254}")


@dataclass(frozen=True, slots=True)
class Address:
    """A folder of a bucket.

    Attributes:
        scheme: One of `SCHEMES`.
        bucket: The bucket, or Azure's container.
        folder: What the names of its objects begin with, without slashes around it; may be empty.
    """

    scheme: str
    bucket: str
    folder: str

    def __str__(self) -> str:
        """Spell it as a plan does."""
        return f"{self.scheme}://{self.bucket}" + (f"/{self.folder}" if self.folder else "")


def is_address(text: str) -> bool:
    """Tell whether a text is a URL, of any kind, or begins as an address does, and is no path of this machine."""
    return _URL.fullmatch(text) is not None or _MEANT.match(text) is not None


def parse_address(text: str) -> Address:
    """Read an address.

    Raises:
        BadInputError: If the store is none that is known, or the text holds more than a bucket and a folder.
            The message does not repeat what could be a credential.
    """
    found, meant = _URL.fullmatch(text), _MEANT.match(text)
    if found is None and meant is not None:
        raise BadInputError(
            f"an address on a store has two slashes behind '{meant[0]}'; write {meant[1].lower()}://BUCKET/FOLDER, or "
            f"./{meant[0]}… for a folder of this machine that is called so"
        )
    scheme = found["scheme"].lower() if found else ""
    if found is None or scheme not in SCHEMES:
        raise BadInputError(
            f"'{scheme}://' is no store that nearfar reads or writes; name a place as one of "
            f"{', '.join(f'{one}://BUCKET/FOLDER' for one in SCHEMES)}, or a folder of this machine"
        )
    if re.search(r"[@?#]", found["rest"]):
        raise BadInputError(
            f"an address on a store is {scheme}://BUCKET/FOLDER alone: without '@', '?' and '#', and so without "
            "credentials. Give those in the environment (AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, say)"
        )
    bucket, _, folder = found["rest"].partition("/")
    parts = [part for part in folder.split("/") if part]
    if (
        not _BUCKET.fullmatch(bucket)
        or {".", ".."} & set(parts)
        or _ALTERED.search(folder)
        or unquote(folder) != folder
    ):
        raise BadInputError(
            f"'{scheme}://{bucket}/{folder}' names no bucket and folder; write {scheme}://BUCKET/FOLDER, with plain "
            "names between the slashes"
        )
    return Address(scheme, bucket, "/".join(parts))
