"""What was lost of a set, what was noted about it, and which splits have too little, in words.

The terminal and the report say it alike.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from curation.losses import AllowLost, Lost
from pipeline.report.drawing.text import brief, count, percent, reasons_said
from pipeline.report.outcomes import Rows

# So many reasons are named, the most frequent first; the report's tables and audit.json have them all.
REASONS_SAID = 3
# So many notes are said of a set; its provenance has them all.
NOTES_SAID = 3


def loss_lines(rows: Mapping[str, Rows]) -> list[str]:
    """Say what each set lost: one line for a set that lost rows, none for one that did not.

    Args:
        rows: Per set, what became of its rows; in the order in which they are to be said.
    """
    return [line for line, _ in weighed_losses(rows)]


def weighed_losses(rows: Mapping[str, Rows]) -> list[tuple[str, bool]]:
    """Give the lines of `loss_lines`, each with whether so much is gone that a verdict means little.

    That is what `--fail-above` fails of where nothing else is said: any row of a benchmark, 5 % of another set.
    """
    allowed = AllowLost()
    return [
        (
            _line(name, found),
            Lost(found.lost, found.listed).share
            > (allowed.benchmark if name.startswith("benchmark ") else allowed.pool),
        )
        for name, found in rows.items()
        if found.lost
    ]


def note_lines(notes: Mapping[str, Sequence[str]]) -> list[str]:
    """Say what is to be known of each set's files: one line for a set of which something was noted."""
    return [f"{brief(name)}: {_notes(found)}" for name, found in notes.items() if found]


def short_lines(splits: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Say which splits keep nothing, and which of their rules found less than they were to take: a line for each.

    Args:
        splits: Each split's `split.json`, in the order in which they are to be said.
    """
    listed = {name: facts["waterfall"] for name, facts in splits.items()}
    told = {
        name: ["keeps no sample"] * (not one["kept"]) + list(_short(one["dropped"]))
        for name, one in listed.items()
    }
    return [f"split {brief(name)}: {'; '.join(said)}" for name, said in told.items() if said]


def _short(steps: Any) -> Iterator[str]:
    """Go through rules, and those by which a set is cut that a rule adds."""
    for step in steps if isinstance(steps, list) else ():
        if lacking := int(step.get("short", 0)):
            # A rule that cuts the rarest values counts those; any other counts samples.
            values = "rarest" in step
            wanted = int(step["cut"]) + lacking if values else int(step["wanted"])
            what = f"{'values' if values else 'samples'} fewer than the {count(wanted)} that it was to take"
            yield f"{brief(step['reason'])} found {count(lacking)} {what}{_of(step.get('shortages', {}), lacking)}"
        yield from _short(step.get("of_the_set", []))


def _of(shortages: Mapping[str, int], lacking: int) -> str:
    first = sorted(shortages.items(), key=lambda each: (-each[1], each[0]))[:REASONS_SAID]
    rest = lacking - sum(number for _, number in first)
    named = [f"{brief(value)} lacks {count(number)}" for value, number in first]
    return f" ({', '.join(named + [f'others {count(rest)}'] * bool(rest))})" if named else ""


def _notes(found: Sequence[str]) -> str:
    rest = len(found) - NOTES_SAID
    said = [brief(note) for note in found[:NOTES_SAID]]
    return " | ".join(said + ([f"{count(rest)} more in audit.json"] if rest > 0 else []))


def _line(name: str, rows: Rows) -> str:
    """Say how many rows a set lost of all that it lists, and why."""
    return (
        f"{brief(name)}: {count(rows.lost)} of {count(rows.listed)} rows lost ({percent(rows.lost / rows.listed)}): "
        f"{_reasons(rows)}"
    )


def _reasons(rows: Rows) -> str:
    return reasons_said(Counter(rows.failed) + Counter(rows.quarantined), REASONS_SAID)
