"""What of a plan's sets is not there: the first look at the disk, before any work."""

from __future__ import annotations

import os
import textwrap
from collections.abc import Iterator
from pathlib import Path

from indexes.errors import DataError
from pipeline.manifests import Manifest, load_manifest
from pipeline.plan.model import Plan
from pipeline.source import Source


def check_sources(plan: Plan) -> None:
    """Look whether every set of `plan` is there and says its format.

    Raises:
        DataError: With everything that is missing: the path, and where a user gets it if a manifest says so.
    """
    missing = missing_sources(plan)
    if missing:
        count = "1 thing is" if len(missing) == 1 else f"{len(missing)} things are"
        raise DataError(f"{count} missing:\n" + "\n".join(f"- {text}" for text in missing))


def missing_sources(plan: Plan) -> list[str]:
    """Say of each set of `plan` what is missing, a text for each; an empty list if nothing is."""
    return [problem for place, source in plan.sources().items() for problem in _missing(place, source)]


def _missing(place: str, source: Source) -> Iterator[str]:
    for key, text in (
        ("path", source.path),
        ("metadata", source.metadata),
        ("embeddings", source.embeddings),
    ):
        if text is not None and not _exists(text, source.path):
            advice = f"Correct it in the plan, or give --set {place}.{key}=PATH"
            yield f"{place}.{key}: '{text}' does not exist. {advice}{_how_to_get(place, source)}"
            return
        if text is not None and Path(text).exists() and not os.access(text, os.R_OK):
            yield f"{place}.{key}: '{text}' cannot be read. Give yourself read permission on it"
            return
    if source.format is None:
        yield f"{place}.format: the plan does not say it. {_found_there(source.path)}"


def _exists(text: str, base: str) -> bool:
    """A metadata or embeddings folder may be given beside the set or inside it."""
    return Path(text).exists() or (Path(base) / text).exists()


def _found_there(path: str) -> str:
    # The readers import pyarrow, which a plan that names its formats has no need of here.
    from pipeline.readers import describe

    return f"In '{path}': {describe(Path(path))}. Write that format in the plan"


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
