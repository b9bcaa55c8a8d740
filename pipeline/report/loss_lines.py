"""What was lost of a set, and what was noted about it, in words: the terminal and the report say it alike."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

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
