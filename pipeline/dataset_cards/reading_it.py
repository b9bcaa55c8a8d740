"""How to read an export, as commands that run in its folder."""

from __future__ import annotations

from collections.abc import Iterator

from pipeline.dataset_cards.card_facts import CardFacts
from pipeline.files.afar.endings import IMAGE_KINDS

CACHE = "CROISSANT_CACHE"
"""Where mlcroissant unpacks tars, by their names alone."""


def how_to_read(facts: CardFacts) -> Iterator[str]:
    """Say how `datasets`, `webdataset`, DuckDB and mlcroissant read it."""
    first, last = (one.name.removesuffix(".tar") for one in (facts.tars[0], facts.tars[-1]))
    tars = f"{first}.tar" if first == last else f"{{{first}..{last}}}.tar"
    images = ";".join(kind for kind in IMAGE_KINDS if kind in facts.kinds)
    yield "## Reading it\n"
    yield from _block(
        "import webdataset",
        "",
        f'samples = webdataset.WebDataset("{tars}", shardshuffle=False).decode("pil").to_tuple("{images}", "txt")',
    )
    if facts.uniform:
        yield from _block(
            "from datasets import load_dataset",
            "",
            'samples = load_dataset("webdataset", data_files="*.tar", split="train")',
        )
    else:
        yield (
            "`datasets` reads no tars whose samples have members of different kinds, as these have. It reads the "
            "tables:\n"
        )
    yield from _block(
        "from datasets import load_dataset",
        "",
        'listing = load_dataset("parquet", data_files="*.parquet", split="train")',
    )
    yield from _block("import duckdb", "", "found = duckdb.sql(\"SELECT uid, caption FROM '*.parquet'\")")
    yield (
        f"mlcroissant unpacks tars into the folder that `{CACHE}` names, `~/.cache/croissant` by default, and knows "
        "them by their names alone: give each dataset a folder of its own.\n"
    )
    yield from _block(
        "import mlcroissant",
        "",
        'samples = mlcroissant.Dataset("croissant.json").records("samples")',
    )


def _block(*lines: str) -> Iterator[str]:
    yield "```python"
    yield from lines
    yield "```\n"
