"""What is not fetched, by lists that a user brings: URLs, hosts with all that is below them, contents."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from indexes.errors import DataError, PlanError

KINDS = ("urls", "hosts", "sha256")


@dataclass(frozen=True, slots=True)
class Denied:
    """Lists of one value a line; blank lines and those that begin with # say nothing."""

    urls: frozenset[str] = frozenset()
    hosts: frozenset[str] = frozenset()
    sha256: frozenset[str] = frozenset()

    def denies(self, url: str, host: str) -> bool:
        """Say whether a URL is listed, or its host, or a domain that the host is in."""
        labels = host.split(".")
        return url in self.urls or any(".".join(labels[at:]) in self.hosts for at in range(len(labels)))


def check_kinds(paths: Mapping[str, str]) -> None:
    """Refuse lists of an unknown kind.

    Raises:
        PlanError: If there is one.
    """
    unknown = sorted(set(paths) - set(KINDS))
    if unknown:
        raise PlanError(f"unknown list '{unknown[0]}' under deny; available: {', '.join(KINDS)}")


def read_denied(paths: Mapping[str, str]) -> Denied:
    """Read the lists.

    Raises:
        DataError: If one cannot be read.
    """
    found = {kind: frozenset(_values(Path(path), kind)) for kind, path in paths.items()}
    return Denied(**found)


def digest_of(path: str) -> str:
    """Hash a list, for the fingerprint of what was fetched under it."""
    return hashlib.sha256(_content(Path(path))).hexdigest()


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"cannot read the deny list '{path}': {error.strerror}; correct its path") from error


def _values(path: Path, kind: str) -> list[str]:
    lines = (line.strip() for line in _content(path).decode("utf-8-sig", "replace").splitlines())
    values = [line for line in lines if line and not line.startswith("#")]
    return values if kind == "urls" else [value.lower().strip(".") for value in values]
