"""Malformed inputs of all kinds, shared out among processes; one that hangs or dies is named, and the others go on."""

from __future__ import annotations

import faulthandler
import multiprocessing
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import malformed_sets
import numpy as np
from malformed_images import odd_image
from malformed_runs import RUNS, run_outcome

from pipeline.files.images import ImageRejected, decode

IMAGE = "image"
EVERY_KIND = (*malformed_sets.KINDS, IMAGE, *RUNS)
RUN_SECONDS = 240.0
"""How long a whole run may take; on a quiet machine it takes one or two."""
_CHUNK = 25
Chunk = tuple[str, tuple[int, ...]]


def shares(inputs: int, first: int, runs: float, kinds: Sequence[str]) -> list[Chunk]:
    """Share inputs out: so much of them to whole runs, the others evenly to what is read alone."""
    whole = [kind for kind in kinds if kind in RUNS]
    alone = [kind for kind in kinds if kind not in RUNS]
    part = runs if alone and whole else float(bool(whole))
    counts = _evenly(round(inputs * part), whole) | _evenly(inputs - round(inputs * part), alone)
    chunks = []
    for kind, count in counts.items():
        size = _CHUNK if kind not in RUNS else 3
        seeds = range(first, first + count)
        chunks += [(kind, tuple(seeds[start : start + size])) for start in range(0, count, size)]
    return chunks


def _evenly(inputs: int, kinds: Sequence[str]) -> dict[str, int]:
    return {kind: inputs // len(kinds) + (place < inputs % len(kinds)) for place, kind in enumerate(kinds)}


def survey(chunks: Iterable[Chunk], processes: int) -> tuple[dict[str, int], list[str]]:
    """Read or run every input.

    Returns:
        How many came to which outcome, by kind; and each that did what it should not, with its seed, in words.
    """
    counts, wrong = Counter[str](), list[str]()
    for kind, outcomes in _answers(list(chunks), processes):
        for seed, outcome in outcomes:
            is_fault = ":" in outcome
            counts[f"{kind} {'wrong' if is_fault else outcome}"] += 1
            wrong += [f"{kind} {seed}: {outcome}"] if is_fault else []
    return dict(sorted(counts.items())), wrong


def _answers(chunks: list[Chunk], processes: int) -> Iterator[tuple[str, list[tuple[int, str]]]]:
    """Do the chunks in processes of their own; where one dies, its inputs are tried one by one."""
    if processes < 2:
        yield from ((kind, outcomes(kind, seeds)) for kind, seeds in chunks)
        return
    again = []
    with _workers(processes) as pool:
        for chunk, future in [(chunk, pool.submit(outcomes, *chunk)) for chunk in chunks]:
            try:
                yield chunk[0], future.result()
            except BrokenProcessPool:
                again.append(chunk)
    for kind, seed in [(kind, seed) for kind, seeds in again for seed in seeds]:
        with _workers(1) as pool:
            try:
                yield kind, pool.submit(outcomes, kind, (seed,)).result()
            except BrokenProcessPool:
                yield kind, [(seed, "died: the process crashed, or did not answer before its deadline")]


def _workers(processes: int) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(processes, multiprocessing.get_context("spawn"))


def outcomes(kind: str, seeds: Sequence[int]) -> list[tuple[int, str]]:
    """Find the outcome of each: a word, or for what no user should see `SomeError: what it says`."""
    with tempfile.TemporaryDirectory() as folder:
        inputs = Kind(kind, Path(folder))
        return [(seed, inputs.outcome(seed)) for seed in seeds]


class Kind:
    """Inputs of one kind, with what they share."""

    def __init__(self, kind: str, folder: Path) -> None:
        self._kind, self._folder = kind, folder
        plain = kind in malformed_sets.KINDS
        self._sets = malformed_sets.valid_sets(folder / "valid") if plain else {}

    def outcome(self, seed: int) -> str:
        # A hang inside a library answers no signal: the process ends, and says where it was.
        faulthandler.dump_traceback_later(2 * RUN_SECONDS, exit=True)
        try:
            return self._outcome(seed)
        except Exception as error:  # noqa: BLE001 - any of them is a finding
            return f"{type(error).__name__}: {(str(error).splitlines() or [''])[0][:300]}"
        finally:
            faulthandler.cancel_dump_traceback_later()

    def _outcome(self, seed: int) -> str:
        if self._kind == IMAGE:
            return image_outcome(seed)
        if self._kind in RUNS:
            with malformed_sets.deadline(RUN_SECONDS):
                return run_outcome(self._kind, seed, self._folder / "run")
        return malformed_sets.outcome(self._kind, seed, self._sets, self._folder / "scratch")


def image_outcome(seed: int) -> str:
    """Decode one image: `read` as RGB, or `refused` with a word for quarantine."""
    content = odd_image(np.random.default_rng([0, seed]))
    with malformed_sets.deadline():
        try:
            image = decode(content)
        except ImageRejected as rejected:
            if len(rejected.reason) < 5:
                raise AssertionError(f"a reason says what is wrong, not '{rejected.reason}'") from rejected
            return "refused"
    if image.mode != "RGB" or min(image.size) < 1:
        raise AssertionError(f"decoded to {image.mode}, {image.size}")
    return "read"
