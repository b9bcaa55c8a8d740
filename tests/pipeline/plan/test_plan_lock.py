from __future__ import annotations

from pathlib import Path

import pytest

from indexes.errors import BadInputError, OutputError
from pipeline.plan import dump_lock, load_lock, load_plan, resolve

PLANS = sorted((Path(__file__).parents[3] / "data_manifests" / "plans").glob("*.yaml"))


@pytest.mark.parametrize("path", PLANS, ids=lambda path: path.stem)
def test_a_locked_plan_is_read_back_as_it_was(tmp_path: Path, path: Path) -> None:
    plan = resolve(load_plan(path, ["pool.path='no'"]))
    fingerprints = {"pool": {"b": "1e3", "a": ["010", 1, None]}, "command": ["nearfar", "run", "a: b"]}
    text = dump_lock(plan, fingerprints)
    (tmp_path / "plan.lock.yaml").write_text(text, encoding="utf-8")
    lock = load_lock(tmp_path / "plan.lock.yaml")
    assert lock.plan == plan
    assert lock.plan.pool.path == "no"
    assert lock.fingerprints == fingerprints
    assert dump_lock(lock.plan, dict(reversed(fingerprints.items()))) == text


@pytest.mark.parametrize(
    "text", ["name: demo", "[plan, fingerprints]", "plan: {}\nfingerprints: {}\nmore: 1"]
)
def test_another_file_is_no_lock(tmp_path: Path, text: str) -> None:
    (tmp_path / "plan.lock.yaml").write_text(text)
    with pytest.raises(OutputError, match="no lock file of nearfar; give another output folder"):
        load_lock(tmp_path / "plan.lock.yaml")


def test_a_lock_that_is_missing_damaged_or_of_another_version_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="does not exist"):
        load_lock(tmp_path / "plan.lock.yaml")
    text = dump_lock(resolve(load_plan(PLANS[0])), {})
    (tmp_path / "plan.lock.yaml").write_text(text[: len(text) // 2])
    with pytest.raises(BadInputError):
        load_lock(tmp_path / "plan.lock.yaml")
    (tmp_path / "plan.lock.yaml").write_text(text.replace("  neighbours:", "  nearest:"))
    with pytest.raises(BadInputError, match=r"plan\.lock\.yaml:\d+:3: nearest: unknown key"):
        load_lock(tmp_path / "plan.lock.yaml")
