"""What a run hands to its report: the committed files, what they were made from, and nothing of the machine."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pyarrow.parquet as pq
import pytest
import whole_runs
from forked_commands import Forker

import pipeline.report
from pipeline.commit import fingerprint
from pipeline.execution.work import content_fingerprint

SCHEMA = json.loads(Path(pipeline.report.__file__).with_name("audit.schema.json").read_text())


def audit(out: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((out / "report" / "audit.json").read_text())
    jsonschema.Draft202012Validator(SCHEMA).validate(found)
    return found


def captions(world: Path) -> list[str]:
    texts = [
        text
        for path in sorted((world / "pool").glob("*.parquet"))
        for text in pq.read_table(path, filters=[("status", "==", "success")])["caption"].to_pylist()
    ]
    assert len(texts) == 200
    return texts


def run(forked: Forker, folder: Path, plan: str) -> Path:
    (folder / "plan.yaml").write_text(plan, encoding="utf-8")
    status, said = forked("run", "plan.yaml", folder=folder)
    assert status == 0, said
    return folder / "out"


@pytest.mark.parametrize("name", ["photo", "sketch", "rendition"])
def test_provenance_digests_the_files_of_a_set(quickstart_output: Path, small_world: Path, name: str) -> None:
    root = small_world / "benchmarks" / name
    files = [path for path in root.rglob("*") if path.is_file()]
    digests = {
        path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files
    }
    found = audit(quickstart_output)["provenance"]["sets"][name]
    assert len(files) == 16, "few enough to be one unit"
    assert found["files"] == fingerprint([content_fingerprint(digests.items())])
    assert (found["format"], found["normalised"]) == ("image-folder", 0)


def test_the_report_of_a_run_adds_up(quickstart_output: Path, small_world: Path) -> None:
    content = audit(quickstart_output)
    assert content["rows"].keys() == {"pool", "reference", *(f"benchmark {b}" for b in content["benchmarks"])}
    assert content["pool"]["measured"] == content["rows"]["pool"]["measured"] == 200
    for name, found in content["benchmarks"].items():
        assert found["pool_samples"]["measured"] == 200
        assert found["queries"] == content["rows"][f"benchmark {name}"]["measured"]
        assert found["splits"].keys() == content["splits"].keys()
    for split in content["splits"].values():
        assert split["rows"] - sum(step["dropped"] for step in split["steps"]) == split["kept"]
    assert content["search"] == {"backend": "exact", "exact": True, "recall": None, "sampled": None}
    page = (quickstart_output / "report" / "report.html").read_text(encoding="utf-8")
    assert str(quickstart_output) not in page
    assert len(re.findall("<img ", page)) > 3 * 24 * 2


def test_a_caption_only_plan(small_world: Path, forked: Forker, tmp_path: Path) -> None:
    """No benchmark, no encoder, no vector: sets, measures, splits and provenance are what there is to show."""
    pool = json.dumps(str(small_world / "pool"))
    out = run(
        forked,
        tmp_path,
        f"name: captions\npool: {{path: {pool}, format: img2dataset}}\noutput: out\n"
        'splits:\n  longer: [{where: "captions.words > 4"}]\n',
    )
    content = audit(out)
    lengths = [len(text.split()) for text in captions(small_world)]
    words = content["measures"]["captions"]["columns"]["words"]
    assert (words["min"], words["mean"], words["max"]) == (min(lengths), sum(lengths) / 200, max(lengths))
    assert words["meaning"]
    assert content["splits"]["longer"]["kept"] == sum(length > 4 for length in lengths)
    assert content["benchmarks"] == {}
    assert content["provenance"].keys() == {"sets", "versions"}
    page = (out / "report" / "report.html").read_text(encoding="utf-8")
    assert "names no benchmark" in page
    assert 'id="verdict"' not in page


def test_an_audit_without_reference_or_splits(small_world: Path, forked: Forker, tmp_path: Path) -> None:
    tiny = whole_runs.ROOT / "data_manifests" / "encoders" / "tiny"
    pool, photo = (json.dumps(str(small_world / path)) for path in ("pool", "benchmarks/photo"))
    weights = json.dumps(str(tiny / "open_clip_model.safetensors"))
    out = run(
        forked,
        tmp_path,
        f"name: audit\npool: {{path: {pool}, format: img2dataset}}\noutput: out\n"
        f"benchmarks: {{photo: {{path: {photo}}}}}\n"
        f"encoder: {{model: {json.dumps(str(tiny))}, pretrained: {weights}}}\n",
    )
    content = audit(out)
    found = content["benchmarks"]["photo"]
    assert (found["reference"], found["splits"], content["splits"]) == (None, {}, {})
    assert found["pool_samples"]["measured"] == 200
    page = (out / "report" / "report.html").read_text(encoding="utf-8")
    assert "pruned, but barely" not in page
    assert "Pool samples pruned" not in page
