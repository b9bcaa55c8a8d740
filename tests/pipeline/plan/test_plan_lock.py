from __future__ import annotations

from pathlib import Path

import pytest

from indexes.errors import BadInputError, OutputError
from pipeline.documents.yaml_safe import parse_yaml
from pipeline.plan import build_plan, dump_lock, load_lock, load_plan, resolve

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


WHOLE = """
name: laion400m-near-far
pool: {path: p, format: datacomp, embedding: l14_img, text_embedding: l14_txt, encoder: l14, duplicates: keep_first}
encoders: {b32: {model: ViT-B-32, pretrained: openai}, l14: {model: models/l14.json, pretrained: w.safetensors}}
reference: {path: r, format: image-folder, encoder: l14, expect: {samples: 10, classes: 2}}
benchmarks: {Sketch-1.0: {path: s, format: clip-retrieval, metadata: 'no'}, val: {path: v, embeddings: '010'}}
sources: {cc12m: {path: c, format: img2dataset}}
measures: {clip-score: {column: similarity}, coarse: {measure: clusters, k: 9}, captions: }
engine: {backend: faiss_ivf, options: {lists: 16, probed: 0.5}, memory_limit: 2GiB}
splits: {Near: [{near: {to: [Sketch-1.0]}}], a-b.c: {from: {minus: [Near, rest]}}, rest: [{random: {keep: 3}}]}
output: o
"""


def test_everything_that_a_plan_may_say_comes_back(tmp_path: Path) -> None:
    plan = resolve(build_plan(parse_yaml(WHOLE, "p.yaml")))
    assert plan.pool.options == {"embedding": "l14_img", "text_embedding": "l14_txt"}
    text = dump_lock(plan, {"version": 2})
    (tmp_path / "plan.lock.yaml").write_text(text, encoding="utf-8")
    lock = load_lock(tmp_path / "plan.lock.yaml")
    assert lock.plan == plan
    assert lock.plan.measures == plan.measures
    assert lock.plan.engine.options == {"lists": 16, "probed": 0.5}
    assert lock.plan.benchmarks["Sketch-1.0"].options == {"metadata": "no"}
    assert dump_lock(lock.plan, lock.fingerprints) == text


def undated(text: str) -> str:
    """A lock file as earlier versions wrote it, without the digest in its last line."""
    return text.rpartition("# sha256")[0]


@pytest.mark.parametrize("place", range(120, 1000, 40))
def test_a_lock_with_a_flipped_bit_is_refused_and_the_plan_writes_it_again(
    tmp_path: Path, place: int
) -> None:
    path = tmp_path / "plan.lock.yaml"
    raw = bytearray(dump_lock(resolve(load_plan(PLANS[0])), {"version": 2}).encode())
    raw[place % (len(raw) - 110)] ^= 1
    path.write_bytes(raw)
    with pytest.raises(OutputError, match=r"its sha256 differs\. Run the plan again, which writes it again"):
        load_lock(path)


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
    text = undated(dump_lock(resolve(load_plan(PLANS[0])), {}))
    (tmp_path / "plan.lock.yaml").write_text(text[: len(text) // 2])
    with pytest.raises(BadInputError):
        load_lock(tmp_path / "plan.lock.yaml")
    (tmp_path / "plan.lock.yaml").write_text(text.replace("  neighbours:", "  nearest:"))
    with pytest.raises(BadInputError, match=r"plan\.lock\.yaml:\d+:3: nearest: unknown key"):
        load_lock(tmp_path / "plan.lock.yaml")


def test_a_lock_of_another_version_says_so_and_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "plan.lock.yaml"
    text = undated(dump_lock(resolve(load_plan(PLANS[0])), {}))
    path.write_text(text.replace("  neighbours:", "  nearest:"))
    with pytest.raises(
        OutputError, match=r"was written by another version of nearfar, or changed since\. Run the"
    ):
        load_lock(path)
    path.write_text(text.replace("fingerprints: {}", "fingerprints: [1]"))
    with pytest.raises(OutputError, match=r"fingerprints is \[1\], not a map; give another output folder"):
        load_lock(path)
    path.write_text(text.replace("fingerprints: {}", "fingerprints:"))
    assert load_lock(path).fingerprints == {}
