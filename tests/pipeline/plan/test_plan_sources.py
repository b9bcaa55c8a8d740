from __future__ import annotations

from pathlib import Path

import pytest

from indexes.errors import DataError
from pipeline.plan import audit_plan, check_sources, load_plan, missing_sources
from pipeline.sets.source import Source

PLANS = Path(__file__).parents[3] / "data_manifests" / "plans"


def image_folder(path: Path) -> str:
    (path / "n01440764").mkdir(parents=True)
    (path / "n01440764" / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    return str(path)


def test_a_plan_of_the_papers_without_data_says_exactly_what_is_missing() -> None:
    plan = load_plan(PLANS / "laion200m_near_pruned.yaml", ["pool.path=/nowhere/laion200m"])
    missing = missing_sources(plan)
    assert [text.split(":")[0] for text in missing] == [f"{place}.path" for place in plan.sources_by_place()]
    pool, reference, sketch = missing[0], missing[1], missing[4]
    assert "'/nowhere/laion200m' does not exist. Correct it in the plan, or give --set pool.path=PATH" in pool
    assert "CC BY 4.0" in pool
    assert "expected: 1,281,167 samples in 1,000 classes" in reference
    assert "image-net.org" in reference
    assert "expected: 50,889 samples" in sketch
    assert "https://github.com/HaohanWang/ImageNet-Sketch" in sketch
    with pytest.raises(DataError, match=r"8 sets of the plan are not there as the plan says:\n- pool\.path"):
        check_sources(plan)


def test_what_is_there_is_not_missing(tmp_path: Path) -> None:
    folder = image_folder(tmp_path / "with space [1] * '\"")
    plan = audit_plan(Source(path=folder), {"b": Source(path=folder, format="image-folder")}, "out")
    assert missing_sources(plan) == []
    check_sources(plan)


def test_a_wrong_format_and_an_unclear_one_are_answered_with_what_is_there(tmp_path: Path) -> None:
    folder = image_folder(tmp_path / "images")
    (tmp_path / "empty").mkdir()
    pool, benchmark = Source(path=folder, format="img2dataset"), Source(path=str(tmp_path / "empty"))
    wrong, unclear = missing_sources(audit_plan(pool, {"b": benchmark}, "out"))
    assert wrong.startswith("pool: ")
    assert "looks like image-folder" in wrong
    assert unclear.startswith("benchmarks.b: ")
    assert "image-folder" in unclear


def test_metadata_may_lie_in_the_set_or_beside_it(tmp_path: Path) -> None:
    folder = tmp_path / "pool"
    (folder / "meta").mkdir(parents=True)
    (tmp_path / "beside").mkdir()

    def missing(name: str) -> list[str]:
        source = Source(path=str(folder), metadata=name)
        found = missing_sources(audit_plan(source, {"b": Source(path=str(tmp_path / "none"))}, "out"))
        return [text for text in found if text.startswith("pool.metadata")]

    assert missing("meta") == missing(str(tmp_path / "beside")) == []
    assert "'other' does not exist" in missing("other")[0]


def test_a_folder_both_in_the_set_and_in_the_current_directory_is_refused_with_both(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pool" / "meta").mkdir(parents=True)
    (tmp_path / "meta").mkdir()
    monkeypatch.chdir(tmp_path)

    def missing(**keys: str) -> list[str]:
        source = Source(path="pool", **keys)
        found = missing_sources(audit_plan(source, {}, "out"))
        return [text for text in found if text.startswith("pool.")]

    for key in ("metadata", "embeddings"):
        assert missing(**{key: "meta"}) == [
            f"pool.{key}: 'meta' means two: 'pool/meta' inside the set, and '{tmp_path}/meta' from the current "
            "directory. Give the whole path of the one that you mean"
        ]
        assert missing(**{key: str(tmp_path / "meta")}) == missing(**{key: "pool/meta"}) == []
    monkeypatch.chdir(tmp_path / "pool")  # one folder by two ways
    plans = (audit_plan(Source(path=".", **keys), {}, "out") for keys in ({"metadata": "meta"}, {}))
    assert len({tuple(missing_sources(plan)) for plan in plans}) == 1


def test_a_set_that_cannot_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = image_folder(tmp_path / "images")
    monkeypatch.setattr("pipeline.plan.sources.os.access", lambda *_: False)
    missing = missing_sources(audit_plan(Source(path=folder), {"b": Source(path="none")}, "out"))
    assert "cannot be read. Give yourself read permission" in missing[0]
    with pytest.raises(DataError, match="2 sets of the plan are"):
        check_sources(audit_plan(Source(path=folder), {"b": Source(path="none")}, "out"))


@pytest.mark.parametrize("pattern", ["{00000..00041}.tar", "*.tar", "{00000..00001}.tar::b.tar"])
def test_a_pattern_is_answered_with_the_folder_which_then_works(tmp_path: Path, pattern: str) -> None:
    folder = image_folder(tmp_path / "images")
    benchmark = {"b": Source(path=folder, format="image-folder")}
    (missing,) = missing_sources(audit_plan(Source(path=f"{folder}/{pattern}"), benchmark, "out"))
    assert f"It is a pattern; a set is the folder ('{folder}')" in missing
    assert missing_sources(audit_plan(Source(path=folder), benchmark, "out")) == []
