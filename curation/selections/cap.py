"""At most so many samples of a group."""

# SQL is put together from quoted identifiers, checked predicates and numbers.
# ruff: noqa: S608

from __future__ import annotations

from dataclasses import dataclass, field

from curation.expressions import hashed
from curation.selection import Decision, InMemory, ReachingRows, Selection, Times, keeping
from curation.selections import _groups


@dataclass(frozen=True, slots=True)
class Cap(Selection):
    """Keep at most `most` samples for each value of `by`: the first by `key`.

    Where `by` is a list, each of its values counts: a sample stays if it is among the first `most` of at least one of
    them. So a value that often stands beside others may keep more than `most`, and no sample goes that some value
    would keep. A sample without a value, or with an empty list, is dropped.

    Attributes:
        by: SQL of a column, or of an expression over columns.
        most: Samples for each value.
        key: SQL of what orders the samples of a value.
        highest: Which end of the keys stays.
        said: `by` in words.
    """

    by: str
    most: int
    key: str = hashed(0)
    highest: bool = False
    said: str = field(default="", compare=False)

    def expressions(self) -> tuple[str, ...]:
        """The groups and the order."""
        return (self.by, self.key)

    def decide(self, rows: ReachingRows) -> Decision:
        """Number the samples of each value in their order."""
        groups = _groups.grouped(rows, self.by, self.key)
        table = groups.drawn(groups.table, str(int(self.most)), self.highest)
        stays = f"uid IN (SELECT uid FROM {table})"
        return Decision(f"NOT ({stays})", {"most": self.most}, f"({self.by})::VARCHAR")

    def times(self, columns: InMemory) -> Times:
        """Sort each group."""
        groups = _groups.members(columns, self.by, self.key, self.highest)
        chosen = _groups.firsts(groups, dict.fromkeys(groups, self.most))
        return keeping(len(columns.uids), chosen)

    def words(self) -> str:
        """Say how many of each value stay."""
        return f"keeps at most {self.most:,} for each value of {self.said or self.by}"


EXAMPLES = (
    Cap("label", 2),
    Cap("tags", 1, hashed(3)),
    Cap("nullif(other, 'nan'::DOUBLE)", 1, "nullif(score, 'nan'::DOUBLE)", highest=True),
)
