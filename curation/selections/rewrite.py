"""Another caption beside a sample's own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from curation.selection import Decision, InMemory, ReachingRows, Selection, Times


@dataclass(frozen=True, slots=True)
class Rewrite(Selection):
    """Give each sample a new caption, `caption_rewritten`, beside `caption`, which stays as it is; nothing is dropped.

    Where the expression is NULL, so is the new caption. A later such rule takes the place of an earlier one, and reads
    the original caption too.

    Attributes:
        text: SQL of a text.
        said: The expression in words.
        reads: The columns, or expressions over them, that it is made of; empty where the text itself says it. One that
            lists a thousand names is longer than the parser takes.
    """

    text: str
    said: str = field(default="", compare=False)
    reads: tuple[str, ...] = ()

    def expressions(self) -> tuple[str, ...]:
        """What the text reads."""
        return self.reads or (self.text,)

    def decide(self, rows: ReachingRows) -> Decision:
        """Drop nothing."""
        return Decision("false", decided="NULL", caption=f"({self.text})::VARCHAR")

    def times(self, columns: InMemory) -> Times:
        """Every sample stays once."""
        return np.ones(len(columns.uids), np.int64)

    def words(self) -> str:
        """Say what the caption becomes."""
        return f"rewrites each caption as {self.said or self.text}"

    def again(self, columns: InMemory, facts: Mapping[str, Any]) -> NDArray[np.bool_]:
        """Every sample stays."""
        return np.ones(len(columns.uids), bool)


EXAMPLES = (Rewrite("upper(caption)"), Rewrite("label || ': ' || caption"))
