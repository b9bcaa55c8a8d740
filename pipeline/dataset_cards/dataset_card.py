"""The dataset card: what the hub reads, in YAML, then what people read.

What strangers wrote, a reason of a loss or a name of a model, stands in code spans, and what a plan says as prose in
which no mark counts; captions and keys are not in it at all.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import yaml

from pipeline.dataset_cards.card_facts import CardFacts
from pipeline.dataset_cards.card_sections import encoders, how_it_was_made, nearness, versions
from pipeline.dataset_cards.markdown_text import code, table
from pipeline.dataset_cards.reading_it import how_to_read
from pipeline.report.drawing.text import count

# The hub's words for a number of samples, by the power of ten below which it lies.
_SIZES = (
    *("n<1K", "1K<n<10K", "10K<n<100K", "100K<n<1M", "1M<n<10M", "10M<n<100M"),
    *("100M<n<1B", "1B<n<10B", "10B<n<100B", "100B<n<1T", "n>1T"),
)
_TAGS = ("image-text", "clip", "webdataset", "croissant", "nearfar")
_LINK = re.compile(r"https?://")


def card_text(facts: CardFacts) -> str:
    """Write the card."""
    return f"---\n{_front(facts)}---\n\n{chr(10).join(_body(facts))}"


def size_category(samples: int) -> str:
    """Name a number of samples as the hub does."""
    return _SIZES[min(max(len(str(samples)) - 3, 0), len(_SIZES) - 1)]


def _front(facts: CardFacts) -> str:
    # `datasets` reads all configurations of a folder with one reader: the tars, or the tables where it refuses these.
    files = "*.tar" if facts.uniform else "*.parquet"
    front = {
        "pretty_name": facts.split,
        **_license(facts.license),
        "task_categories": ["zero-shot-image-classification"],
        "size_categories": [size_category(facts.samples)],
        "tags": list(_TAGS),
        "configs": [{"config_name": "default", "data_files": [{"split": "train", "path": files}]}],
    }
    return yaml.safe_dump(front, sort_keys=False, allow_unicode=True, width=120)


def _license(said: str) -> dict[str, str]:
    """Say the license as the hub has it: its own identifier, or `other` with a link."""
    if _LINK.match(said):
        return {"license": "other", "license_link": said}
    return {"license": said} if said else {}


def _body(facts: CardFacts) -> Iterator[str]:
    tars = "1 webdataset tar" if len(facts.tars) == 1 else f"{count(len(facts.tars))} webdataset tars"
    yield f"# {code(facts.split)}\n"
    yield (
        f"{count(facts.samples)} image-text samples in {tars}: what the split {code(facts.split)} of the plan "
        f"{code(facts.plan)} leaves of its pool, written by `nearfar export`.{_repeated(facts)}\n"
    )
    if not facts.license:
        yield "Under which license the samples may be used was not said.\n"
    yield "## Files\n"
    yield f"{_files(facts)}\n"
    yield f"{_about_samples(facts)}\n"
    if facts.tars:
        yield from how_to_read(facts)
    yield from how_it_was_made(facts)
    yield from nearness(facts)
    yield from encoders(facts)
    yield from versions(facts)


def _repeated(facts: CardFacts) -> str:
    if facts.samples == facts.kept:
        return ""
    return f" They are {count(facts.kept)} different ones, some of which count more than once."


def _files(facts: CardFacts) -> str:
    rows = [("`sizes.json`", "how many samples each tar has")]
    if facts.tars:
        members = ", ".join(f"{count(number)} {code(kind)}" for kind, number in facts.kinds.items())
        rows = [
            (_span([one.name for one in facts.tars]), f"the samples: {members}"),
            (_span([one.name for one in facts.listings]), "a table of the samples of each tar, in its order"),
            ("`…_stats.json`, `sizes.json`", "how many samples each tar has"),
        ]
    rows.append(("`croissant.json`", "this card for programs, with the SHA-256 of tars and tables"))
    return table(("file", "holds"), rows)


def _span(names: list[str]) -> str:
    return code(names[0]) if len(names) == 1 else f"{code(names[0])} … {code(names[-1])}"


def _about_samples(facts: CardFacts) -> str:
    said = [
        "A sample's `uid` is its 128-bit name, 32 hex digits, wherever it is copied; `json` has it too. Its members "
        "are called by it, those of further copies with `-1`, `-2`, … behind.",
        "The order is that of a hash, so that any tar is a random part of the whole.",
        "The tables have `key` (what the members are called), `uid`, `caption` (the `txt`), `url` and `label` (of the "
        "`json`), `image` (the member that is the image) and `json`, as text.",
    ]
    if facts.left_out:
        left = ", ".join(f"{count(number)} {code(kind)}" for kind, number in facts.left_out.items())
        said.append(f"Left out, since a loader would unpickle them, which runs what is in them: {left}.")
    return "\n".join(said)
