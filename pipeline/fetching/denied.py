"""What is not fetched: the deny lists of the measure `listed`, looked at before and after a connection is made."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from curation.measures.told._deny_lists import Kind, deny_list, hit, list_digest
from indexes.errors import PlanError

KINDS: tuple[Kind, ...] = ("url", "host", "sha256", "md5")


@dataclass(frozen=True, slots=True)
class Denied:
    """Lists by kind."""

    lists: Mapping[Kind, frozenset[str]] = field(default_factory=dict)

    def denies_url(self, url: str) -> bool:
        """Say whether a URL is listed, or its host, or a domain that the host is in."""
        of: tuple[Kind, ...] = ("url", "host")
        return any(bool(hit(kind, url, self.lists[kind])) for kind in of if kind in self.lists)

    def denies_content(self, content: bytes, sha256: str) -> bool:
        """Say whether a file is listed by its digest."""
        if sha256 in self.lists.get("sha256", ()):
            return True
        listed = self.lists.get("md5")
        return listed is not None and hashlib.md5(content, usedforsecurity=False).hexdigest() in listed


def digests_of(paths: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """Hash the lists, by kind, for the fingerprint of what was fetched under them.

    Raises:
        PlanError: If there is a list of an unknown kind, or one cannot be read.
    """
    unknown = sorted(set(paths) - set(KINDS))
    if unknown:
        raise PlanError(f"unknown list '{unknown[0]}' under deny; available: {', '.join(KINDS)}")
    return tuple((kind, list_digest(path, f"deny.{kind}")) for kind, path in sorted(paths.items()))


def read_denied(paths: Mapping[str, str]) -> Denied:
    """Read the lists.

    Raises:
        PlanError: If one cannot be read, or holds what is not of its kind.
    """
    digests = dict(digests_of(paths))
    of = (kind for kind in KINDS if kind in paths)
    return Denied({kind: deny_list(kind, paths[kind], digests[kind], f"deny.{kind}") for kind in of})
