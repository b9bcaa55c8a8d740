"""A cap on each value, language by language, so that every language has the share of tail that one of them has."""

# SQL is put together from quoted identifiers, checked predicates and numbers.
# ruff: noqa: S608

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import accumulate

import numpy as np

from curation.expressions import text
from curation.selection import Decision, InMemory, ReachingRows, Selection, Times, keeping
from curation.selections import _groups
from curation.selections.entry_cap import WHOLE


@dataclass(frozen=True, slots=True)
class EntryCapByLanguage(Selection):
    """Thin each value of each language as `EntryCap` does, by a cap of that language's own.

    This is MetaCLIP 2's rule (arXiv 2507.22062). A value's samples are counted in each language apart. For the
    language `anchor` the cap is `most`, and its tail is the share p of its counts that lies in values with
    fewer samples than that (`t_to_p`). For every other language the cap is the count at which the running share
    of its counts, the lowest first, comes nearest to p; of two as near, the lower (`p_to_t`). Shares are
    compared in whole numbers. Where no sample is of the anchor's language, `most` is the cap of all. A sample
    without a language is dropped.

    Attributes:
        by: SQL of a column of values, or of an expression over columns.
        language: SQL of a column of languages.
        most: The cap of `anchor`.
        anchor: The language, in lower case.
        seed: Of the draws.
        said: `by` in words.
    """

    by: str
    language: str
    most: int
    anchor: str = "en"
    seed: int = 0
    said: str = field(default="", compare=False)

    def expressions(self) -> tuple[str, ...]:
        """The values, the language, and what is hashed."""
        return (self.by, self.language, "uid")

    def decide(self, rows: ReachingRows) -> Decision:
        """Count each value in each language, find each language's cap, then draw from the values above it."""
        query = _groups.listed(rows, self.by, self._spoken())
        counts, caps, kept = rows.scratch(), rows.scratch(), rows.scratch()
        rows.db.execute(
            f"CREATE TEMP TABLE {counts} AS SELECT k, g, count(*) AS n FROM ({query}) GROUP BY k, g"
        )
        rows.db.execute(f"CREATE TEMP TABLE {caps} AS {self._caps(counts)}")
        draw = f"md5_number_lower(uid::VARCHAR || ':{self.seed:d}:' || (g)::VARCHAR)"
        drawn = f"n <= cap OR {draw}::UHUGEINT * n::UHUGEINT < cap::UHUGEINT * {WHOLE}::UHUGEINT"
        joined = f"FROM ({query}) JOIN {counts} USING (k, g) JOIN {caps} USING (k) WHERE"
        rows.db.execute(f"CREATE TEMP TABLE {kept} AS SELECT DISTINCT uid {joined} {drawn}")
        found = rows.db.execute(f"SELECT k, cap FROM {caps} ORDER BY k").fetchall()
        facts = {"most": self.most, "caps": {str(k): int(cap) for k, cap in found}}
        decided = f"({self._spoken()}) || ' ' || ({self.by})::VARCHAR"
        return Decision(f"NOT (uid IN (SELECT uid FROM {kept}))", facts, decided)

    def _spoken(self) -> str:
        return f"lower(({self.language})::VARCHAR)"

    def _caps(self, counts: str) -> str:
        """Return the query of each language's cap: `below` of `whole` is p, `running` of `own` a running share."""
        anchor, most = text(self.anchor), int(self.most)
        share = (
            f"SELECT coalesce(sum(n) FILTER (n < {most}), 0)::HUGEINT AS below, sum(n)::HUGEINT AS whole "
            f"FROM {counts} WHERE k = {anchor}"
        )
        running = (
            f"SELECT k, n, sum(n) OVER (PARTITION BY k ORDER BY n, g ROWS UNBOUNDED PRECEDING)::HUGEINT AS running, "
            f"sum(n) OVER (PARTITION BY k)::HUGEINT AS own FROM {counts}"
        )
        nearest = "min(struct_pack(apart := abs(running * whole - below * own), n := n)).n"
        cap = f"CASE WHEN k = {anchor} OR any_value(whole) IS NULL THEN {most} ELSE {nearest} END"
        return f"SELECT k, ({cap})::BIGINT AS cap FROM ({running}), ({share}) GROUP BY k"

    def times(self, columns: InMemory) -> Times:
        """Draw for each value of each sample."""
        spoken = columns.of(self._spoken()).to_pylist()
        by_value = _groups.members(columns, self.by, self._spoken(), highest=False)
        groups: dict[tuple[str, str], list[int]] = {}
        for value, rows in by_value.items():
            for row in rows:
                groups.setdefault((spoken[row], value), []).append(row)
        sizes = {group: len(rows) for group, rows in groups.items()}
        chosen = set[int]()
        for (language, value), rows in groups.items():
            cap = self._cap_of(language, sizes)
            chosen |= {
                row
                for row in rows
                if _groups.entry_draw(columns.uids[row], self.seed, value) * len(rows) < cap * WHOLE
            }
        return keeping(len(columns.uids), np.array(sorted(chosen), np.int64))

    def _cap_of(self, language: str, sizes: dict[tuple[str, str], int]) -> int:
        """Find a language's cap from how many samples each of its values has."""
        anchored = [n for (of, _), n in sizes.items() if of == self.anchor]
        if language == self.anchor or not anchored:
            return self.most
        below, whole = sum(n for n in anchored if n < self.most), sum(anchored)
        own = sorted(n for (of, _), n in sizes.items() if of == language)
        apart = [abs(running * whole - below * sum(own)) for running in accumulate(own)]
        return own[apart.index(min(apart))]

    def words(self) -> str:
        """Say what the caps are."""
        what = self.said or self.by
        return (
            f"thins each value of {what} to about {self.most:,} in {self.anchor}, others as far into the tail"
        )


EXAMPLES = (
    EntryCapByLanguage("tags", "label", 2, "a"),
    EntryCapByLanguage("tags", "label", 1, "none such", seed=3),
    EntryCapByLanguage("width", "key", 1, "k1"),
)
