"""The lines that a run, an audit and a report end with: splits, benchmarks, what was lost, where the report is."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console
from rich.table import Table

from pipeline.ending.exported_lines import say_exported
from pipeline.ending.found import ListedPairs, RunAnswer, rows_said
from pipeline.report.drawing.text import count, percent
from pipeline.report.loss_lines import weighed_losses

# Beside a name so wide, all columns of numbers fit into 80 characters.
_NAME_WIDTH = 32
# So many benchmarks are said one by one.
_FEW = 6


def say(found: RunAnswer) -> None:
    """Print what a run found: its splits, its headline, what each set lost, what was noted, where the report is."""
    if found.splits:
        Console(highlight=False).print(_splits(found))
        print(f"splits: {found.output}/splits")
    if found.benchmarks:
        Console(highlight=False).print(_benchmarks(found))
        print(found.headline.text)
    if found.pairs is not None:
        print(_pairs(found.pairs))
    print(_read(found))
    for line, heavy in weighed_losses(rows_said(found)):
        style = "bold red" if heavy else None
        Console(highlight=False).print(line, style=style, markup=False, soft_wrap=True)
    for line in found.headline.notes:
        print(line)
    print(f"report: {found.report}")
    for one in found.exported:
        say_exported(one)


def _splits(found: RunAnswer) -> Table:
    """Tabulate what each split keeps of all rows that the pool lists and that join it, and what each rule keeps."""
    table = _named("split", found.splits)
    for title in ("kept", "of", "share", "kept by rule"):
        table.add_column(title)
    for name, split in found.splits.items():
        rows = split.rows + sum(step.offered for step in split.rules)
        share = percent(split.kept / rows) if rows else "-"
        rules = ", ".join(f"{step.rule} {count(step.kept)}" for step in split.rules)
        table.add_row(name, count(split.kept), count(rows), share, rules)
    return table


def _benchmarks(found: RunAnswer) -> Table:
    """Tabulate what the pool holds near each benchmark: queries by degree, as the report's summary counts them."""
    hard, soft = (f"> {level:g}" for level in (found.levels.hard, found.levels.soft))
    table = _named("benchmark", found.benchmarks)
    for title in ("queries", hard, soft):
        table.add_column(title)
    with_reference = any(one.nearer_than_reference is not None for one in found.benchmarks.values())
    if with_reference:
        table.add_column("nearer than reference")
        table.add_column("pool samples above a threshold")
    for name, one in found.benchmarks.items():
        cells = [one.queries, one.hard, one.soft]
        cells += [one.nearer_than_reference or 0, one.samples_above_threshold or 0] if with_reference else []
        table.add_row(name, *map(count, cells))
    return table


def _named(title: str, names: Iterable[str]) -> Table:
    """Begin a table of names: they stay whole as long as the other columns have room."""
    table = Table(box=None, pad_edge=False)
    widest = min(_NAME_WIDTH, max(map(len, [title, *names])))
    table.add_column(title, min_width=widest, overflow="fold")
    return table


def _pairs(found: ListedPairs) -> str:
    """Say where all near pairs are listed, and what the list may lack."""
    line = f"pairs above {found.above:g}: {count(found.pairs)}, in {' and '.join(found.files)}"
    if not found.queries_cut:
        return line
    return (
        f"{line}; {count(found.queries_cut)} queries have more than the {found.neighbours} that are listed of each: "
        "`--set neighbours=N` lists more"
    )


def _read(found: RunAnswer) -> str:
    """Say how many rows of each set take part, of how many."""
    rows = {name: (one.measured, one.listed) for name, one in found.rows.items()}
    benchmarks = [name for name in rows if name.startswith("benchmark ")]
    if len(benchmarks) > _FEW:
        together = [rows.pop(name) for name in benchmarks]
        rows[f"{len(together)} benchmarks"] = sum(one for one, _ in together), sum(of for _, of in together)
    said = (
        f"{name} {count(measured)}" + (f" of {count(listed)}" if measured < listed else "")
        for name, (measured, listed) in rows.items()
    )
    return f"rows that take part: {', '.join(said)}"
