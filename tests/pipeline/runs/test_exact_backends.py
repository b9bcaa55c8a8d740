"""A plan gives the same bytes through every exact backend; only the report names the one that was used."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import whole_runs

import indexes.backends
from indexes import registry
from indexes.search import is_exact
from pipeline.cli import main

OTHERS = [name for name in registry.names(indexes.backends) if is_exact(name) and name != "exact"]
FOLDERS = ("measures/", "splits/", "neighbours/", "indexes/", "internal/", "samples/", "embeddings/", "lost/")


def decided(out: Path) -> dict[str, str]:
    """The sha256 of everything but the report."""
    return {path: sha for path, sha in whole_runs.committed(out).items() if path.startswith(FOLDERS)}


def test_there_is_something_to_compare() -> None:
    assert {"faiss-flat", "torch"} <= set(OTHERS)


@pytest.mark.parametrize("backend", OTHERS)
def test_every_exact_backend_gives_the_same_files(
    small_world: Path,
    quickstart_output: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    backend: str,
) -> None:
    """Rows and embeddings are taken over; every comparison of vectors, and what follows from it, is made anew."""
    for part in (
        "samples",
        "embeddings",
        "lost",
        "commits/read",
        "commits/catalog",
        "inputs.json",
        "plan.lock.yaml",
    ):
        copy = shutil.copytree if (quickstart_output / part).is_dir() else shutil.copy
        (tmp_path / "out" / part).parent.mkdir(parents=True, exist_ok=True)
        copy(quickstart_output / part, tmp_path / "out" / part)
    monkeypatch.chdir(tmp_path)
    chosen = ("--set", f"engine.backend={backend}", "--device", "cpu")
    with pytest.raises(SystemExit) as stopped:
        main(whole_runs.arguments(small_world, *chosen))
    assert stopped.value.code == 0
    expected, found = decided(quickstart_output), decided(tmp_path / "out")
    assert {path.split("/")[0] for path in expected} == {folder.rstrip("/") for folder in FOLDERS}
    assert found == expected
    audits = [
        json.loads((out / "report" / "audit.json").read_text()) for out in (quickstart_output, Path("out"))
    ]
    assert [audit["search"]["backend"] for audit in audits] == ["exact", backend]
    for audit in audits:
        audit["search"]["backend"] = audit["command"] = ""
    assert audits[0] == audits[1]
