"""One file means one file: README's own examples, dropped into a copy of the packages, are found by everything."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from pyarrow import csv
from readme_examples import ROOT, example_files
from small_sets import unit

from indexes.brute import similarities
from indexes.canonical import canonical

FILES = example_files()
SHARDS, ROWS = 3, 40
LINES = 30
CONFORMANCE = {
    "tests/curation/test_rules_conformance.py": ("edge", "thin"),
    "tests/curation/test_measures_conformance.py": ("digits",),
    "tests/curation/test_selections_conformance.py": ("every",),
    "tests/pipeline/readers/test_reader_examples.py": ("tsv",),
    "tests/indexes/test_index_conformance.py": ("plain",),
}


@dataclass(frozen=True)
class House:
    """A copy of the packages with the new files, and a folder to work in."""

    root: Path
    desk: Path

    def nearfar(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self.python("-m", "pipeline.cli", *arguments, cwd=self.desk)

    def python(self, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=cwd,
            env=os.environ | {"PYTHONPATH": str(self.root)},
            capture_output=True,
            text=True,
            timeout=300,
        )


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> House:
    root, desk = tmp_path_factory.mktemp("house"), tmp_path_factory.mktemp("desk")
    # What is compiled comes along; others write there at this moment, under such names.
    unfinished = shutil.ignore_patterns("*.pyc.*", "*.tmp.*")
    for folder in ("indexes", "curation", "pipeline", "tests"):
        shutil.copytree(ROOT / folder, root / folder, ignore=unfinished)
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, root)
    for path, text in FILES.items():
        assert not (root / path).exists(), "an example must be a new file"
        (root / path).write_text(text, encoding="utf-8")
    for number, name in enumerate(("pool", "reference", "photo")):
        for shard in range(SHARDS if name == "pool" else 1):
            write_shard(desk / name, name, shard, unit(10 * number + shard, ROWS))
    return House(root, desk)


def write_shard(folder: Path, name: str, shard: int, vectors: np.ndarray) -> None:
    folder.mkdir(exist_ok=True)
    numbers = range(shard * ROWS, (shard + 1) * ROWS)
    captions = [f"no {i * i % 101} of {i % 4}" if i % 3 else "a dog" for i in numbers]
    table = pa.table({"key": [f"{name}{i:03d}" for i in numbers], "caption": captions})
    csv.write_csv(table, folder / f"{shard}.tsv", csv.WriteOptions(delimiter="\t", quoting_style="none"))
    np.save(folder / f"{shard}.npy", vectors)


def plan(house: House) -> dict[str, object]:
    sets = {name: {"path": name, "format": "tsv"} for name in ("pool", "reference", "photo")}
    return {
        "name": "own",
        "pool": sets["pool"],
        "reference": sets["reference"],
        "benchmarks": {"photo": sets["photo"]},
        "splits": {
            "chosen": [
                {"edge": {"within": 0.02}},
                {"where": "digits >= 2"},
                {"thin": {"by": "digits", "step": 2}},
            ]
        },
        "engine": {"backend": "plain", "unit_rows": 1},
        "output": "out",
    }


def expected_keys(house: House) -> list[str]:
    """The split by hand: margins by float64 products, digits by Python, order by (digits, uid)."""
    stored = {
        name: canonical(np.concatenate([np.load(file) for file in sorted((house.desk / name).glob("*.npy"))]))
        for name in ("pool", "reference", "photo")
    }
    pool, reference, photo = (found.vectors for found in stored.values())
    thresholds = similarities(reference, photo.astype(np.float64)).max(axis=0)
    margin = (similarities(pool, photo.astype(np.float64)) - thresholds).max(axis=1)
    samples = pq.read_table(house.desk / "out/samples/pool").sort_by("key").to_pylist()
    assert len(samples) == len(margin) == SHARDS * ROWS
    counted = [
        (sum(letter.isdecimal() for letter in row["caption"]), row["uid"], row["key"], least)
        for row, least in zip(samples, margin.tolist(), strict=True)
    ]
    left = sorted(row for row in counted if not row[3] > -0.02)
    left = [row for row in left if row[0] >= 2]
    assert 4 < len(left) < len(counted) - 4, "the world must leave each rule something to do"
    return sorted(row[2] for row in left[::2])


def test_the_examples_are_there_and_short() -> None:
    folders = {str(Path(path).parent) for path in FILES}
    assert folders == {
        "curation/rules",
        "curation/measures",
        "curation/selections",
        "pipeline/readers",
        "indexes/backends",
    }
    for path, text in FILES.items():
        assert len([line for line in text.splitlines() if line.strip()]) <= LINES, path


def test_a_plan_that_uses_all_of_them_gives_what_brute_force_says(house: House) -> None:
    (house.desk / "plan.yaml").write_text(yaml.safe_dump(plan(house)), encoding="utf-8")
    done = house.nearfar("run", "plan.yaml")
    assert done.returncode == 0, done.stderr
    kept = _keys(house)
    assert sorted(kept) == expected_keys(house)
    facts = json.loads((house.desk / "out/splits/chosen/split.json").read_text())
    assert "keeps one of 2 in the order of" in json.dumps(facts["waterfall"])
    assert all(entry["sha256"] for entry in facts["files"].values())
    again = house.nearfar("verify", "out")
    assert again.returncode == 0, again.stdout + again.stderr


def _keys(house: House) -> list[str]:
    parts = sorted((house.desk / "out/splits/chosen").glob("*.parquet"))
    return [key for part in parts for key in pq.read_table(part).column("key").to_pylist()]


def test_the_schema_has_them(house: House) -> None:
    shown = house.nearfar("schema")
    assert shown.returncode == 0, shown.stderr
    schema = json.loads(shown.stdout)
    rules = {name for one in schema["$defs"]["rule"]["oneOf"] for name in one["properties"]}
    assert {"edge", "thin"} <= rules
    assert "digits" in schema["properties"]["measures"]["properties"]


@pytest.mark.parametrize(
    ("change", "value", "answer"),
    [
        ("splits.chosen", [{"egde": {"within": 0.02}}], r"unknown rule 'egde'; available: .*edge.*thin"),
        ("splits.chosen", [{"edge": {"withn": 0.02}}], r"unknown option 'withn' .*rule takes: within"),
        ("measures", {"digit": {}}, r"unknown measure 'digit'; available: .*digits"),
        ("pool.format", "tvs", r"unknown reader 'tvs'; available: .*tsv"),
        ("engine.backend", "plan", r"unknown index backend 'plan'; available: .*plain"),
    ],
)
def test_messages_name_them(house: House, change: str, value: object, answer: str) -> None:
    (house.desk / "wrong.yaml").write_text(yaml.safe_dump(plan(house)), encoding="utf-8")
    done = house.nearfar("run", "wrong.yaml", "--set", f"{change}={json.dumps(value)}")
    assert done.returncode == 2
    assert re.search(answer, done.stderr), done.stderr


def test_they_keep_the_house_rules(house: House) -> None:
    for command in (["check"], ["format", "--check"]):
        done = house.python("-m", "ruff", *command, "--no-cache", *FILES, cwd=house.root)
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("path", CONFORMANCE)
def test_the_conformance_tests_take_them_up(house: House, path: str) -> None:
    names = CONFORMANCE[path]
    options = ("-q", "-p", "no:cacheprovider", "-k", " or ".join(names))
    done = house.python("-m", "pytest", *options, path, "-rA", cwd=house.root)
    assert done.returncode == 0, done.stdout[-4000:]
    for name in names:
        passed = [
            line for line in done.stdout.splitlines() if line.startswith("PASSED") and f"[{name}" in line
        ]
        assert len(passed) >= 3, f"{name} is hardly tested:\n{done.stdout[-2000:]}"
