"""A table that says which domain some samples are of, as a user brings it."""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import csv

from indexes.errors import PlanError

NAMING = ("uid", "key")
_UID = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class DomainLabels:
    """Labels by sample.

    Attributes:
        by: What names a sample: `uid` or `key`.
        domain_of: The domain of each sample that has a label.
    """

    by: str
    domain_of: Mapping[str, str]

    def domains(self) -> tuple[str, ...]:
        """List the domains, by name."""
        return tuple(sorted(set(self.domain_of.values())))

    def joined(self, groups: Mapping[str, list[str]], where: str) -> DomainLabels:
        """Put several domains under one name; one that no group names stays as it is.

        Raises:
            PlanError: If a group names a domain that no label says, or two groups name one.
        """
        into: dict[str, str] = {}
        for group, members in groups.items():
            for member in members:
                if member not in self.domains():
                    raise PlanError(
                        f"{where}.groups.{group} names the domain '{member}', which no label says; there are: "
                        f"{', '.join(self.domains())}. Name one of these"
                    )
                if into.setdefault(member, group) != group:
                    raise PlanError(
                        f"{where}.groups has '{member}' under both {into[member]} and {group}; leave it in one"
                    )
        return DomainLabels(self.by, {name: into.get(of, of) for name, of in self.domain_of.items()})


def labels_digest(path: str, where: str) -> str:
    """Hash the table's file: sha256, 64 hex digits.

    Raises:
        PlanError: If it cannot be read.
    """
    return hashlib.sha256(_content(path, where)).hexdigest()


@lru_cache(maxsize=4)
def read_labels(path: str, digest: str, where: str) -> DomainLabels:
    """Read a table with the columns `uid` or `key`, and `domain`: Parquet or CSV.

    Args:
        path: The file.
        digest: Of the file, so that one that changed is read again.
        where: Place in the plan, for messages.

    Raises:
        PlanError: If it is no such table, a row lacks a name or a domain, or one sample has two domains.
    """
    table = _table(path, where)
    by = next((name for name in NAMING if name in table.column_names), None)
    if by is None or "domain" not in table.column_names:
        raise PlanError(
            f"{where} is '{path}', whose columns are {', '.join(table.column_names) or 'none'}; it needs the columns "
            "uid or key, and domain. Rename its columns"
        )
    names, domains = (table.column(name).cast(pa.string()).to_pylist() for name in (by, "domain"))
    found: dict[str, str] = {}
    for row, (name, domain) in enumerate(zip(names, domains, strict=True), 1):
        known = _normal(name, by)
        if not known or not domain:
            what = "domain" if known else by
            raise PlanError(
                f"{where}: row {row:,} of '{path}' has no {what}; complete the row, or leave it out"
            )
        if found.setdefault(known, domain) != domain:
            raise PlanError(
                f"{where}: '{path}' says of {by} '{name}' both {found[known]} and {domain}; leave one of both out"
            )
    return DomainLabels(by, found)


def _normal(name: str | None, by: str) -> str:
    if by == "key" or name is None:
        return name or ""
    plain = name.strip().lower().replace("-", "")
    return plain if _UID.fullmatch(plain) else ""


def _table(path: str, where: str) -> Any:
    content = _content(path, where)
    try:
        return pq.read_table(io.BytesIO(content)) if path.lower().endswith(".parquet") else _csv(content)
    except (pa.ArrowException, OSError) as error:
        raise PlanError(
            f"{where} is '{path}', which is no table ({str(error)[:200]}); give Parquet, or CSV with a header"
        ) from None


def _csv(content: bytes) -> Any:
    """Every column is text: keys of digits are no numbers."""
    header = csv.open_csv(io.BytesIO(content)).schema.names
    types = dict.fromkeys(header, pa.string())
    return csv.read_csv(io.BytesIO(content), convert_options=csv.ConvertOptions(column_types=types))


def _content(path: str, where: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise PlanError(
            f"{where} is '{path}', which cannot be read ({error.strerror}); give a table with the columns uid or key, "
            "and domain, as Parquet or CSV"
        ) from None
