"""Which samples are on a deny list."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Annotated, Any, ClassVar, Self

import pyarrow as pa
from pydantic import Field

from curation.kernels.uid_names import hex_names
from curation.measure import Block, Column, Columns, Measure, Model
from curation.measures.told._deny_lists import KINDS, Kind, deny_list, hit, list_digest
from curation.plugin_options import pinned
from indexes.errors import PlanError

File = Annotated[str, Field(strict=True, min_length=1)]
LOOKED_AT: Mapping[Kind, str] = {"url": "url", "host": "url", "sha256": "image_sha256", "md5": "md5"}
"""The column of a sample that each kind of list looks at; the uid is always there."""


@dataclass(frozen=True, slots=True)
class Listed(Measure):
    """Whether a sample is on a deny list: opt-outs, take-downs, known bad images.

    Each kind of list is a file of its own: text with an entry a line, or CSV or Parquet with a column called like the
    kind. A host stands for those below it too; links are compared in one form (`asked_url`). No entry is
    shown anywhere. A sample that has no such value as a list looks at is not known to be off it, and is NULL.

    Attributes:
        uid: A list of uids, 32 hex digits.
        url: A list of links.
        host: A list of hosts.
        sha256: A list of digests of image files, as `image_sha256` has them.
        md5: A list of digests, as the pool's own column `md5` has them.
        digest: Of all of them. It is filled in; a plan that gives it is held to it.
    """

    uid: File | None = None
    url: File | None = None
    host: File | None = None
    sha256: File | None = None
    md5: File | None = None
    digest: str | None = None
    needs: ClassVar[tuple[str, ...]] = ()

    def requires(self) -> tuple[str, ...]:
        """The columns that the lists look at."""
        return tuple(dict.fromkeys(LOOKED_AT[kind] for kind in self._files() if kind in LOOKED_AT))

    def resolved(self, where: str) -> Self:
        """Read the lists, and fill in the digest.

        Raises:
            PlanError: If there is none, one cannot be read, or they are not those of the digest.
        """
        if not self._files():
            raise PlanError(f"{where} names no list; give at least one of: {', '.join(KINDS)}")
        digests = [f"{kind} {list_digest(path, f'{where}.{kind}')}" for kind, path in self._files().items()]
        found = sha256(" ".join(digests).encode()).hexdigest()
        digest = pinned(self.digest, found, f"{where}: a list", where)
        for kind, path in self._files().items():
            deny_list(kind, path, digest, f"{where}.{kind}")
        return replace(self, digest=digest)

    def columns(self) -> tuple[Column, ...]:
        """Whether it is on any list, and on which kinds."""
        return (
            Column("listed", pa.bool_(), "the sample is on a deny list; NULL where a list cannot tell"),
            Column(
                "kinds",
                pa.list_(pa.string()),
                "kinds of the lists that it is on: uid, url, host, sha256, md5",
            ),
        )

    def apply(self, block: Block, model: Model) -> Columns:
        """Look each value up."""
        answers = {kind: self._answers(kind, path, block) for kind, path in self._files().items()}
        rows = list(zip(*answers.values(), strict=True))
        kinds = [[kind for kind, on in zip(answers, row, strict=True) if on] for row in rows]
        told = [True if any(row) else None if None in row else False for row in rows]
        return {"listed": pa.array(told, pa.bool_()), "kinds": pa.array(kinds, pa.list_(pa.string()))}

    def _answers(self, kind: Kind, path: str, block: Block) -> list[bool | None]:
        denied = deny_list(kind, path, self.digest or list_digest(path, kind), kind)
        if kind == "uid":
            return [name in denied for name in hex_names(block.uids)]
        held: Any = block.columns[LOOKED_AT[kind]]
        return [hit(kind, value, denied) for value in held.cast(pa.string()).to_pylist()]

    def _files(self) -> dict[Kind, str]:
        given: dict[Kind, str | None] = {kind: getattr(self, kind) for kind in KINDS}
        return {kind: path for kind, path in given.items() if path is not None}
