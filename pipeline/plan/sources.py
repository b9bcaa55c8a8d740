"""What of a plan's sets is not there: the first look at the disk, before any work."""

from __future__ import annotations

import os
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path

from indexes.errors import BadInputError, DataError
from pipeline.documents.problems import placed
from pipeline.plan.encoders import check_weights
from pipeline.plan.manifests import Manifest, load_manifest
from pipeline.plan.model import Plan
from pipeline.plan.reader_keys import key_problems, option_paths
from pipeline.plan.user_tables import read_accuracies, read_results
from pipeline.readers import format_of
from pipeline.sets.source import Source


def check_sources(plan: Plan, weights: bool = False) -> None:
    """Look whether every set of `plan` is there, in the format that the plan names or in one that is clear.

    Args:
        plan: The plan.
        weights: Whether to look for the weights of its encoders too, as `check_weights` does by itself.

    Raises:
        DataError: With everything that is missing: the path, and where a user gets it if a manifest says so.
        PlanError: If a table for the report cannot be read.
    """
    missing = missing_sources(plan)
    if missing:
        count = "1 set of the plan is" if len(missing) == 1 else f"{len(missing)} sets of the plan are"
        raise DataError(f"{count} not there as the plan says:\n" + "\n".join(f"- {text}" for text in missing))
    if plan.audit.accuracies is not None:
        read_accuracies(plan.audit.accuracies)
    if plan.audit.results is not None:
        read_results(plan.audit.results)
    if weights:
        check_weights(plan)


def missing_sources(plan: Plan) -> list[str]:
    """Say of each set of `plan` what is missing or of another format, a text for each."""
    return [
        problem for place, source in plan.sources_by_place().items() for problem in _missing(place, source)
    ]


def _missing(place: str, source: Source) -> Iterator[str]:
    if source.ingest is not None:  # its folder comes of the run
        if not Path(source.ingest.urls).exists():
            yield f"{place}.ingest.urls: '{source.ingest.urls}' does not exist. Correct it in the plan"
        return
    pictures = [("images", source.images)] if source.images is not None else []
    for key, text in (("path", source.path), *pictures, *option_paths(source)):
        if not (Path(text).exists() if key == "images" else _exists(text, source.path)):
            advice = _pattern(text) or f"Correct it in the plan, or give --set {place}.{key}=PATH"
            yield f"{place}.{key}: '{text}' does not exist. {advice}{_how_to_get(place, source)}"
            return
        if Path(text).exists() and not os.access(text, os.R_OK):
            yield f"{place}.{key}: '{text}' cannot be read. Give yourself read permission on it"
            return
        if key not in ("path", "images") and _means_two(text, source.path):
            yield (
                f"{place}.{key}: '{text}' means two: '{Path(source.path) / text}' inside the set, and "
                f"'{Path(text).absolute()}' from the current directory. Give the whole path of the one that you mean"
            )
            return
    problem = _format_problem(source, place)
    if problem:
        yield problem


def _pattern(text: str) -> str:
    """Advice for those who write shards as other tools take them, `{00000..00041}.tar` or `*.tar`."""
    first = re.search(r"[{*?]|::", text)
    if first is None:
        return ""
    folder = Path(text[: first.start()] + "x").parent
    return (
        f"It is a pattern; a set is the folder ('{folder}'), of which every shard is read. "
        "For some of them, make a folder of links to those"
    )


def _exists(text: str, base: str) -> bool:
    """A metadata or embeddings folder may be given beside the set or inside it."""
    return Path(text).exists() or (Path(base) / text).exists()


def _means_two(text: str, base: str) -> bool:
    inside, beside = Path(base) / text, Path(text)
    return inside.exists() and beside.exists() and not inside.samefile(beside)


def _format_problem(source: Source, place: str) -> str | None:
    """Say why the files are not in the format that the plan names, or why it must name one, or what keys it lacks."""
    try:
        found = source.model_copy(update={"format": format_of(source)})
    except BadInputError as failure:
        return f"{place}: {failure}"
    problems = key_problems(tuple(place.split(".", 1)), found.model_dump())
    return next((placed(at, why, None) for at, why in problems), None)


def _how_to_get(place: str, source: Source) -> str:
    if source.manifest is None:
        return ""
    manifest = load_manifest(source.manifest, f"{place}.manifest")
    return "\n" + textwrap.indent("\n".join(_manifest_lines(manifest)), "    ")


def _manifest_lines(manifest: Manifest) -> Iterator[str]:
    yield manifest.title
    expect = manifest.expect
    if expect and expect.samples:
        classes = f" in {expect.classes:,} classes" if expect.classes else ""
        yield f"expected: {expect.samples:,} samples{classes}"
    yield f"get it: {' '.join(manifest.get.split())}"
    yield f"from: {' '.join(manifest.urls)}"
    yield f"terms: {' '.join(manifest.terms.split())}"
