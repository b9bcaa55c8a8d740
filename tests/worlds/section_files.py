"""Committed files of a small run, for sections of the report: a pool, measures and splits, as tables of plain lists."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
from report_tables import write

from pipeline import layout
from pipeline.report.request import MeasureFiles, ReportRequest, SetFiles, SplitFiles
from pipeline.report.sections import ShownSection, tell


def uid(number: int) -> str:
    return f"{number:032x}"


@dataclass
class Sections:
    """A run under `out`, of `size` samples in two parts."""

    out: Path
    size: int
    request: ReportRequest = field(init=False)
    facts: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.request = ReportRequest(self.out, "plan", SetFiles("pool"), None, (), ())

    def pool(self, **columns: Any) -> None:
        """Write the pool's samples; `part` is the part's number, `row` the row's, `key` its number."""
        half = self.size // 2
        table = {
            "part": pa.array([int(at >= half) for at in range(self.size)], pa.int32()),
            "row": list(range(self.size)),
            "key": [f"key{at}" for at in range(self.size)],
            "url": pa.nulls(self.size, pa.string()),
            "caption": pa.nulls(self.size, pa.string()),
        }
        paths = self._in_parts(lambda part: layout.samples("pool", part), table | columns)
        self.request = replace(self.request, pool=SetFiles("pool", samples=paths))

    def measure(
        self, kind: str, name: str = "", options: Mapping[str, Any] | None = None, **columns: Any
    ) -> None:
        """Write a measure's columns."""
        name = name or kind
        paths = self._in_parts(lambda part: layout.measure(kind, name, part), columns)
        described = tuple((column, f"what {column} says") for column in columns)
        files = MeasureFiles(name, kind, described, paths, options or {})
        self.request = replace(self.request, measures=(*self.request.measures, files))

    def split(
        self,
        name: str,
        kept: Sequence[int],
        repeat: Sequence[int] | None = None,
        rules: Sequence[Any] = (),
        sources: Sequence[str] | None = None,
    ) -> None:
        """Write what a report reads of a split; `repeat` says how often each kept sample is in it, `sources` whose."""
        columns: dict[str, Any] = {"uid": [uid(at) for at in kept]}
        if sources is not None:
            columns["source"] = list(sources)
        if repeat is not None:
            columns["repeat"] = pa.array(repeat, pa.int64())
        part = write(self.out, f"{layout.split(name, 'part-0000')}.parquet", pa.table(columns))
        steps = [
            {"reason": f"{n}:{rule}", "rule": rule, "options": o, "dropped": 0}
            for n, (rule, o) in enumerate(rules, 1)
        ]
        waterfall = {
            "rows_in": self.size,
            "kept": len(kept),
            "failed": {},
            "quarantined": {},
            "duplicates": 0,
        }
        facts = {"split": name, "waterfall": waterfall | {"dropped": steps}}
        self.facts[name] = facts | ({"entries": sum(repeat)} if repeat is not None else {})
        if sources is not None:
            self.facts[name]["sources"] = [{"name": one} for one in dict.fromkeys(sources)]
        relative = layout.split(name, "split.json")
        (self.out / relative).write_text(json.dumps(self.facts[name]))
        files = SplitFiles(name, relative, None, None, (part,))
        self.request = replace(self.request, splits=(*self.request.splits, files))

    def tell(self, name: str) -> ShownSection:
        """Let one section say what it finds; what it says can be written as JSON."""
        found = {told.name: told for told in tell(self.request, self.facts)}[name]
        if found.panel is not None:
            json.dumps(dict(found.panel.numbers), allow_nan=False)
        return found

    def numbers(self, name: str) -> Any:
        """The section's numbers; it must not be left out."""
        told = self.tell(name)
        assert told.panel is not None, told.reason
        return told.panel.numbers

    def _in_parts(self, path: Any, columns: Mapping[str, Any]) -> tuple[str, ...]:
        table = pa.table({"uid": [uid(at) for at in range(self.size)], **columns})
        half = self.size // 2
        return tuple(
            write(self.out, path(part), each)
            for part, each in enumerate((table.slice(0, half), table.slice(half)))
        )
