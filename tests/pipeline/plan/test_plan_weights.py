"""Models and weights that are not on this machine are said when the plan is checked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from indexes.errors import DataError
from pipeline.embedding import weights
from pipeline.plan import audit_plan, check_sources, check_weights

TINY = Path(__file__).parents[3] / "data_manifests" / "encoders" / "tiny"
SETS: dict[str, Any] = {"pool": {"path": "p"}, "benchmarks": {}, "output": "o"}


@pytest.fixture
def empty_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home" / "hub"))
    return tmp_path


def test_local_files_are_looked_at_without_open_clip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise AssertionError("open_clip was imported, which takes seconds")

    monkeypatch.setattr(weights, "_open_clip", refuse)
    check_weights(audit_plan(**SETS))
    check_weights(audit_plan(**SETS, encoder={"model": str(TINY)}))
    with pytest.raises(DataError, match=r"- encoder: cannot read a model config at '.*nowhere\.json'"):
        check_weights(audit_plan(**SETS, encoder={"model": str(tmp_path / "nowhere.json")}))
    with pytest.raises(AssertionError, match="open_clip was imported"):
        check_weights(audit_plan(**SETS, encoder={"model": "ViT-B-32", "pretrained": "openai"}))


@pytest.mark.parametrize(
    ("encoder", "said"),
    [
        ({"model": "ViT-B-23", "pretrained": "openai"}, "unknown open_clip model 'ViT-B-23'; available: "),
        ({"model": "ViT-B-32", "pretrained": "opanai"}, "unknown pretrained tag of ViT-B-32 'opanai'; avail"),
        ({"model": "ViT-B-32"}, "pretrained is missing for ViT-B-32; give a checkpoint or one of openai"),
        (
            {"model": "ViT-B-32", "pretrained": "laion400m_e32"},
            "the weights of ViT-B-32/laion400m_e32 are not on this machine",
        ),
        ({"model": "ViT-B-32", "pretrained": "gone.safetensors"}, "there is no checkpoint at 'gone.safeten"),
    ],
)
@pytest.mark.usefixtures("empty_home")
def test_what_open_clip_has_not_or_the_machine_has_not(encoder: dict[str, str], said: str) -> None:
    plan = audit_plan(**SETS, encoders={"tiny": {"model": str(TINY)}, "big": encoder})
    with pytest.raises(DataError) as caught:
        check_weights(plan)
    assert str(caught.value).startswith("1 encoder of the plan is not there:\n- encoders.big: ")
    assert said in str(caught.value)
    check_weights(plan, ["tiny"])
    check_weights(plan, [])


def test_weights_that_are_not_here_are_said_all_at_once(tmp_path: Path) -> None:
    check_weights(audit_plan(**SETS))
    check_weights(audit_plan(**SETS, encoder={"model": str(TINY)}))
    missing = {"model": str(TINY), "pretrained": str(tmp_path / "w.safetensors")}
    with pytest.raises(
        DataError, match=r"^1 encoder of the plan is not there:\n- encoder: there is no checkpoint"
    ):
        check_weights(audit_plan(**SETS, encoder=missing))
    several = {"tiny": {"model": str(TINY)}, "a": missing, "b": {"model": str(tmp_path / "m.json")}}
    plan = audit_plan(**SETS, encoders=several)
    with pytest.raises(
        DataError, match=r"(?s)^2 encoders .*\n- encoders\.a: .*\n- encoders\.b: cannot read a model"
    ):
        check_weights(plan)
    check_weights(plan, ["tiny"])
    with pytest.raises(DataError, match=r"^1 encoder of the plan is not there:\n- encoders\.b: "):
        check_weights(plan, ["tiny", "b"])


def test_a_check_of_the_sets_looks_for_weights_only_when_asked(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    sets = SETS | {"pool": {"path": str(tmp_path / "set")}}
    plan = audit_plan(**sets, encoder={"model": str(TINY), "pretrained": "gone.safetensors"})
    check_sources(plan)
    with pytest.raises(DataError, match=r"- encoder: there is no checkpoint at 'gone\.safetensors'"):
        check_sources(plan, weights=True)
    with pytest.raises(DataError, match=r"1 set of the plan is not there"):
        check_sources(audit_plan(**SETS, encoder={"model": "nowhere/at/all"}), weights=True)
