"""The notebooks run on what a run leaves behind, say what is true, and are committed with their pictures."""

from __future__ import annotations

import base64
import io
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pytest
from PIL import Image
from report_sets import build_world

ROOT = Path(__file__).resolve().parents[1]
GAP = ROOT / "notebooks" / "01_similarity_gap.ipynb"
COMMITTED = sorted((ROOT / "notebooks").glob("*.ipynb"))


@pytest.fixture(scope="module")
def finished(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output of a run: the suite's own quickstart where it has one, else a small one written file by file."""
    try:
        return Path(request.getfixturevalue("quickstart_output"))
    except pytest.FixtureLookupError:
        out = tmp_path_factory.mktemp("finished")
        return build_world(out).out


def execute(out: Path, into: Path, notebook: Path = GAP, **more: str) -> subprocess.CompletedProcess[str]:
    # A process of its own: the kernel's event loop and sockets stay out of this one.
    return subprocess.run(
        [sys.executable, str(ROOT / "notebooks" / "execute.py"), str(notebook), "--into", str(into)],
        env=os.environ | {"NEARFAR_QUICKSTART": str(out), "PYTHONPATH": str(ROOT)} | more,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def outputs(path: Path) -> list[Any]:
    content = nbformat.read(path, as_version=4)
    return [output for cell in content.cells for output in cell.get("outputs", [])]


def pictures(path: Path) -> list[np.ndarray[Any, Any]]:
    encoded = [
        output["data"]["image/png"] for output in outputs(path) if "image/png" in output.get("data", {})
    ]
    return [
        np.asarray(Image.open(io.BytesIO(base64.b64decode(content))).convert("RGB")) for content in encoded
    ]


@pytest.fixture(scope="module")
def executed(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    into = tmp_path_factory.mktemp("executed") / "gap.ipynb"
    done = execute(finished, into)
    assert done.returncode == 0, done.stderr
    return into


def test_it_draws_the_gap_and_the_pairs(executed: Path) -> None:
    drawn = pictures(executed)
    benchmarks = int(re.search(r"(\d+) benchmarks", outputs(executed)[0]["text"])[1])  # type: ignore[index]
    assert len(drawn) == 2 + 2 * benchmarks
    assert all(min(picture.shape[:2]) > 150 and picture.std() > 5 for picture in drawn)
    assert not [output for output in outputs(executed) if output.get("name") == "stderr"]


def test_its_table_is_the_truth(executed: Path, finished: Path) -> None:
    """Medians and maxima of the pool, against the neighbours read another way."""
    import pyarrow.parquet as pq

    text = "".join(output.get("text", "") for output in outputs(executed))
    paths = sorted((finished / "neighbours").glob("*/*.parquet"))
    assert paths
    for path in paths:
        name = path.parent.name
        table = pq.read_table(path, filters=[("rank", "=", 1)], partitioning=None)
        values = table.column("similarity").to_numpy()
        median = np.quantile(values, 0.5, method="inverted_cdf")
        row = rf"{name}\s+pool\s+{len(values)}\s+{median:.4f}\s+{values.max():.4f}\s"
        assert re.search(row, text), name


def test_a_missing_output_is_said_and_nothing_is_written(tmp_path: Path) -> None:
    done = execute(tmp_path / "nowhere", tmp_path / "gap.ipynb")
    assert done.returncode == 1
    assert "make quickstart" in done.stderr
    assert not (tmp_path / "gap.ipynb").exists()


@pytest.mark.parametrize("name", ["02_class_frequency", "03_effective_robustness"])
def test_notebooks_run_without_real_data(name: str, finished: Path, tmp_path: Path) -> None:
    """Class frequency then looks at the run's captions; effective robustness says that it has no models."""
    into = tmp_path / "executed.ipynb"
    done = execute(finished, into, ROOT / "notebooks" / f"{name}.ipynb", NEARFAR_REAL_DATA="")
    assert done.returncode == 0, done.stderr
    text = "".join(output.get("text", "") for output in outputs(into))
    robust = name == "03_effective_robustness"
    assert ("NEARFAR_REAL_DATA is not set" in text) == robust
    assert len(pictures(into)) == (0 if robust else 3)


@pytest.mark.parametrize("path", COMMITTED, ids=lambda path: path.name)
def test_committed_notebooks_hold_nothing_of_a_machine(path: Path) -> None:
    content = nbformat.read(path, as_version=4)
    nbformat.validate(content)
    assert set(content.metadata) == {"kernelspec", "language_info"}
    for cell in content.cells:
        assert not cell.metadata
    words = [cell.source for cell in content.cells] + [output.get("text", "") for output in outputs(path)]
    text = "\n".join(words)
    assert not re.search(r"(/home/|/tmp/|site-packages)", text)
    assert str(ROOT) not in text
    assert f"{Path.home()}/" not in text


@pytest.mark.parametrize("path", COMMITTED, ids=lambda path: path.name)
def test_committed_notebooks_have_their_pictures(path: Path) -> None:
    drawn = pictures(path)
    assert len(drawn) >= 3, f"{path.name} has lost its pictures; run `make quickstart notebook` and commit it"
    assert all(picture.std() > 5 for picture in drawn)
