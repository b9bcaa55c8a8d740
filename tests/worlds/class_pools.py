"""Pools whose samples have classes: a rule of a plan carried out by SQL, and again by its selection's plain oracle."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from selection_pools import MORE, SCHEMA, Opened, desk, opened

from curation import rules
from curation.rule import Scope
from pipeline.files.database import parse_predicate

COLUMNS = {field.name: field.type for field in SCHEMA if field.name not in ("uid", "row")}
SCOPE = Scope(where="splits.x[0]", parse=parse_predicate, columns=COLUMNS, sets={"more": COLUMNS})
BLANK = dict.fromkeys(COLUMNS)


def sample(uid: int, **values: Any) -> dict[str, Any]:
    """A row that knows only what is given."""
    return BLANK | values | {"uid": uid}


class Kept:
    """What rules keep of one pool."""

    def __init__(self, pool: Opened) -> None:
        self.pool = pool

    def by(self, name: str, options: Mapping[str, Any]) -> set[int]:
        """The uids that a rule keeps; SQL and oracle must agree."""
        selection = selected(name, options)
        kept = self.pool.kept(selection)
        assert kept == self.pool.oracle(selection)
        return set(kept)

    def facts(self, name: str, options: Mapping[str, Any]) -> dict[str, Any]:
        """What `split.json` would say of it."""
        selection = selected(name, options)
        return selection.decide(self.pool.rows.reaching(selection)).facts


def selected(name: str, options: Mapping[str, Any]) -> Any:
    """The selection that a rule gives over these columns."""
    scope = replace(SCOPE, where=f"splits.x[0].{name}")
    return rules.parse(name, dict(options), "splits.x[0]").resolved(scope).selection(scope)


@contextmanager
def pool_of(
    folder: Path, rows: Sequence[dict[str, Any]], more: Sequence[dict[str, Any]] = MORE
) -> Iterator[Kept]:
    """Load a pool, and a further set beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    with desk(folder, more) as at, opened(at, [rows]) as pool:
        yield Kept(pool)
