"""How fast captions are told their classes, against the plain loops that they replace, as JSON with the machine.

    python benchmarks/classes.py --out classes.json [--captions FILE.parquet --column TEXT] [--names NAMES.json]

The measure `classes` is timed as a run applies it, Arrow columns in and out, on as many processes as there are cores:
captions a second by `laionet`, by `frequency` (with `--names`, the published names), and by `metaclip` with 500,000
entries. Beside the first two stands the loop that their authors wrote, over every name for every caption, in the same
processes on the first of the same captions; each answer is compared. A rate is the best of three, by the clock on all
cores (`captions_a_second`), and by a process's own time on one (`on_one_core`), which a busy machine changes little.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import string
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from curation import measures
from curation.classes import IMAGENET_1K, class_list, digest_of
from curation.classes._wordnet import NOUN, lexicon, shortest_noun
from curation.classes.frequency import CONTRACTIONS, VETOES
from curation.classes.laionet import unique_names
from curation.measure import Block

ENTRIES, REPEATS, PLAIN_ROWS = 500_000, 3, 300
CORES = len(os.sched_getaffinity(0))


@cache
def named(source: str) -> Any:
    """Read a class list once a process."""
    return class_list(source, digest_of(source, "names"), "names")


@cache
def measure(matcher: str, source: str) -> Any:
    """Build a measure once a process."""
    return measures.parse("classes", {"matcher": matcher, "names": source})


def apply(texts: pa.Array, matcher: str, source: str) -> list[list[int]]:
    """Find the classes as a run does; those of the first captions are given."""
    block = Block(np.zeros((len(texts), 2), np.uint64), {}, {"caption": texts})
    found: list[list[int]] = measure(matcher, source).apply(block, {})["found"][:PLAIN_ROWS].to_pylist()
    return found


def plain_laionet(texts: pa.Array, matcher: str, source: str) -> list[list[int]]:
    """Try every name on every caption."""
    names, answers = unique_names(named(source)), []
    for text in texts.to_pylist():
        spaced = " " + text.translate(str.maketrans(dict.fromkeys(string.punctuation, " "))) + " "
        answers.append(sorted({position for name, position in names.items() if f" {name} " in spaced}))
    return answers


def plain_frequency(texts: pa.Array, matcher: str, source: str) -> list[list[int]]:
    """Try every name of every class on every caption, with its words lemmatised one by one."""
    classes = named(source)
    bags = _named_bags(source)
    answers = []
    for text in texts.to_pylist():
        bag = _bag(text)
        answers.append(
            [
                position
                for position, names in enumerate(bags)
                if any(words and all(word in bag for word in words) for words in names)
                and not any(word in bag for word in VETOES.get(classes.ids[position], "").split())
            ]
        )
    return answers


@cache
def _named_bags(source: str) -> list[list[set[str]]]:
    return [[_bag(name) for name in names] for names in named(source).names]


def _bag(text: str) -> set[str]:
    letters = "".join(letter if letter in string.ascii_lowercase else " " for letter in text.lower())
    words = [part for word in letters.split() for part in CONTRACTIONS.get(word, (word,))]
    return {shortest_noun(lexicon(NOUN), word) for word in words}


Finder = Callable[[pa.Array, str, str], list[list[int]]]


def timed(find: Finder, texts: list[str], matcher: str, source: str) -> tuple[float, float, list[list[int]]]:
    """Find the classes; give seconds by the clock and of the process, and the first answers."""
    column = pa.array(texts)
    find(column[:50], matcher, source)
    began, own = time.perf_counter(), time.process_time()
    found = find(column, matcher, source)
    return time.perf_counter() - began, time.process_time() - own, found[:PLAIN_ROWS]


def rates(pool: ProcessPoolExecutor, find: Finder, texts: list[str], matcher: str, source: str) -> Any:
    """Count captions a second over all cores and on one, and give the first answers of the first process."""
    parts = [texts[start::CORES] for start in range(CORES)]
    clocks, owns, first = [], [], []
    for _ in range(REPEATS):
        each = list(pool.map(timed, [find] * CORES, parts, [matcher] * CORES, [source] * CORES))
        clocks.append(max(clock for clock, _, _ in each))
        owns.append(sum(own for _, own, _ in each))
        first = each[0][2]
    return {
        "captions_a_second": round(len(texts) / min(clocks)),
        "on_one_core": round(len(texts) / min(owns)),
    }, first


def compared(matcher: str, plain: Finder, texts: list[str], source: str) -> dict[str, Any]:
    """Time a matcher and its plain loop in the same processes."""
    with ProcessPoolExecutor(CORES) as pool:
        fast, found = rates(pool, apply, texts, matcher, source)
        slow, expected = rates(pool, plain, texts[:PLAIN_ROWS], matcher, source)
    assert found[: len(expected)] == expected, "the plain loop finds the same"
    ratio = {f"ratio_{key}": round(fast[key] / slow[key], 1) for key in fast}
    return {**fast, "plain_loop": slow, **ratio}


def entries(texts: list[str], folder: Path) -> str:
    """Write 500,000 entries: words and pairs of words of the captions, WordNet's nouns, and numbers to fill up."""
    words = [text.split() for text in texts]
    listed = dict.fromkeys(word for each in words for word in each)
    listed |= dict.fromkeys(f"{a} {b}" for each in words for a, b in pairwise(each))
    listed |= dict.fromkeys(noun.replace("_", " ") for noun in lexicon(NOUN).first)
    listed |= dict.fromkeys(f"entry {number}" for number in range(ENTRIES))
    path = folder / "entries.json"
    path.write_text(json.dumps(list(listed)[:ENTRIES]), encoding="utf-8")
    return str(path)


def captions(chosen: argparse.Namespace) -> list[str]:
    """Read captions, or make some of ImageNet's names; as many as are asked for."""
    if chosen.captions:
        column = pq.read_table(chosen.captions, columns=[chosen.column]).column(chosen.column)
        known = [text for text in column.to_pylist() if text]
    else:
        names = [name for each in named(IMAGENET_1K).names for name in each]
        rng = np.random.default_rng(0)
        known = [
            f"a photo of {names[n]}, beside the {names[m]}"
            for n, m in rng.integers(len(names), size=(10_000, 2))
        ]
    return (known * (chosen.rows // len(known) + 1))[: chosen.rows]


def main() -> None:
    """Run, and print the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path)
    parser.add_argument("--captions", type=Path)
    parser.add_argument("--column", default="TEXT")
    parser.add_argument("--names", default=IMAGENET_1K)
    parser.add_argument("--rows", type=int, default=40_000)
    chosen = parser.parse_args()
    texts = captions(chosen)
    found = {
        "laionet": compared("laionet", plain_laionet, texts, IMAGENET_1K),
        "frequency": compared("frequency", plain_frequency, texts, chosen.names),
    }
    with tempfile.TemporaryDirectory() as folder, ProcessPoolExecutor(CORES) as pool:
        source = entries(texts, Path(folder))
        found["metaclip"] = {"entries": ENTRIES, **rates(pool, apply, texts, "metaclip", source)[0]}
    whole = {
        "captions": "real" if chosen.captions else "made",
        "rows": len(texts),
        "mean_characters": round(sum(map(len, texts)) / len(texts), 1),
        **found,
        "machine": {"cpu": platform.processor() or platform.machine(), "cores": CORES},
        "versions": {package: version(package) for package in ("nearfar", "numpy", "pyarrow", "timm")},
    }
    text = json.dumps(whole, indent=2)
    print(text)
    if chosen.out:
        chosen.out.write_text(text + "\n")


if __name__ == "__main__":
    main()
