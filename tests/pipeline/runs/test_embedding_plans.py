"""Plans of several encoders: one pass over the tars for all of them, in any precision, and after any death."""

from __future__ import annotations

import io
import json
import random
import signal
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import whole_runs
import yaml
from audit_pools import write_tar
from forked_commands import Forker
from PIL import Image
from whole_runs import Run

import pipeline.stages.embed
from pipeline.embedding.caption_batches import embed_texts
from pipeline.embedding.encoder import EncoderSpec, load_encoder
from pipeline.embedding.image_batches import embed_by_several, embed_stream

TINY = whole_runs.ROOT / "data_manifests" / "encoders" / "tiny"
ROWS = 40


def picture(seed: int) -> bytes:
    rng, buffer = np.random.default_rng(seed), io.BytesIO()
    coarse = Image.fromarray(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8))
    coarse.resize((96, 72), Image.Resampling.BICUBIC).save(buffer, "JPEG")
    return buffer.getvalue()


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    """Two tars of 20 samples, one image of which is damaged; three benchmarks, each of an encoder of its own."""
    members: list[tuple[str, bytes]] = []
    for row in range(ROWS):
        content = picture(row) if row != 7 else picture(row)[:300]
        members += [(f"{row:09d}.jpg", content), (f"{row:09d}.txt", b"a photo of %d" % row)]
    for shard in range(2):
        write_tar(tmp_path / "pool" / f"{shard:05d}.tar", members[shard * ROWS : (shard + 1) * ROWS])
    for name in ("one", "two", "three"):
        (tmp_path / name).mkdir()
        for row in range(3):
            (tmp_path / name / f"{row}.jpg").write_bytes(picture(row))
    whole: dict[str, Any] = {
        "name": "several",
        "pool": {"path": str(tmp_path / "pool"), "format": "img2dataset"},
        "encoders": {
            "exact": {"model": str(TINY)},
            "short": {"model": str(TINY), "precision": "bfloat16"},
            "half": {"model": str(TINY), "precision": "float16"},
        },
        "benchmarks": {
            name: {"path": str(tmp_path / name), "format": "image-folder", "encoder": encoder}
            for name, encoder in (("one", "exact"), ("two", "short"), ("three", "half"))
        },
        "measures": {"clip_score": None},
        "splits": {"whole": []},
        "output": str(tmp_path / "out"),
    }
    path = tmp_path / "plan.yaml"
    path.write_text(yaml.safe_dump(whole, sort_keys=False))
    return path


def precisions(out: Path) -> dict[str, set[str]]:
    """What the records say, by encoder; that of the units that read is `exact`."""
    found: dict[str, set[str]] = {"exact": set(), "short": set(), "half": set()}
    for path in (
        *(out / "commits" / "embed").glob("*.json"),
        *(out / "commits" / "read").glob("pool-*.json"),
    ):
        record = json.loads(path.read_text())
        name = record["name"].split()[1] if " " in record["name"] else "exact"
        found[name].add(record["facts"]["encoder"]["dtype"])
    return found


def array(out: Path, encoder: str, kind: str) -> np.ndarray:
    (path,) = (out / "embeddings" / "pool" / encoder / f"{kind}_emb").glob("*.npy")
    found: np.ndarray = np.load(path)
    return found


def test_all_further_encoders_look_in_one_pass(plan: Path, cli: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    passes: list[int] = []

    def counted(encoders: Sequence[Any], *more: Any, **options: Any) -> Any:
        passes.append(len(encoders))
        return embed_by_several(encoders, *more, **options)

    monkeypatch.setattr(pipeline.stages.embed, "embed_by_several", counted)
    code, _, errors = cli("run", str(plan))
    assert code == 0, errors
    assert passes == [2, 2]  # each tar once, by two encoders
    out = plan.parent / "out"
    kept = [row for row in range(ROWS) if row != 7]
    dtypes = precisions(out)
    exact = array(out, "exact", "img")
    for name, precision in (("exact", "float32"), ("short", "bfloat16"), ("half", "float16")):
        encoder = load_encoder(EncoderSpec(str(TINY), precision=precision), "cpu")  # type: ignore[arg-type]
        alone = embed_stream(encoder, ((str(row), picture(row)) for row in kept))
        found = array(out, name, "img")
        assert np.array_equal(found, np.stack([one.vector for one in alone if one.vector is not None]))
        cosines = (found.astype(np.float64) * exact).sum(axis=1)
        assert cosines.min() > 0.999
        assert dtypes[name] == {precision}
    texts = embed_texts(load_encoder(EncoderSpec(str(TINY)), "cpu"), [f"a photo of {row}" for row in kept])
    expected = np.stack([one.vector for one in texts if one.vector is not None])
    assert np.array_equal(array(out, "exact", "text"), expected)


def test_another_precision_is_another_encoder(plan: Path, cli: Run) -> None:
    whole = yaml.safe_load(plan.read_text())
    whole["encoders"] = {"exact": whole["encoders"]["exact"]}
    whole["benchmarks"] = {"one": whole["benchmarks"]["one"]}
    plan.write_text(yaml.safe_dump(whole))
    assert cli("run", str(plan))[0] == 0
    before = whole_runs.committed(plan.parent / "out")
    code, _, errors = cli("run", str(plan), "--set", "encoders.exact.precision=bfloat16")
    assert code == 2
    assert "(bfloat16)" in errors
    assert whole_runs.committed(plan.parent / "out") == before
    code, _, errors = cli("run", str(plan), "--set", "encoders.exact.precision=float8")
    assert code == 2
    assert "'float32', 'bfloat16' or 'float16'" in errors


def test_a_run_that_finds_no_memory_loses_nothing_and_is_resumed(
    plan: Path, cli: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = yaml.safe_load(plan.read_text())
    whole["encoders"] = {"exact": whole["encoders"]["exact"]}
    whole["benchmarks"] = {"one": whole["benchmarks"]["one"]}
    plan.write_text(yaml.safe_dump(whole))

    def full(*_: Any) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory")

    with monkeypatch.context() as patched:
        patched.setattr("open_clip.CLIP.encode_text", full)
        code, _, errors = cli("run", str(plan))
    assert code == 1
    assert "has no room for captions of tiny, 1 at a time; free some" in " ".join(errors.split())
    out = plan.parent / "out"
    assert not list((out / "commits" / "embed").glob("*.json"))
    code, _, errors = cli("run", str(plan))
    assert code == 0, errors
    assert not np.isnan(array(out, "exact", "text")).any()


def test_a_decoder_that_is_not_installed_is_taken_out_as_the_message_says(
    plan: Path, cli: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.embedding.fast_jpeg.find_spec", lambda _: None)
    code, _, errors = cli("plan", str(plan), "--set", "encoders.half.decoder=simplejpeg")
    assert code == 2
    said = " ".join(errors.split())
    assert "encoders.half: decoder: simplejpeg needs the package of that name" in said
    assert "take decoder out of the encoder" in said
    assert cli("plan", str(plan))[0] == 0


def test_a_model_that_the_cache_lacks_is_a_folder_as_the_message_says(
    plan: Path, cli: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    import huggingface_hub

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(plan.parent / "hub"))
    code, _, errors = cli("plan", str(plan), "--set", "encoders.half.model=hf-hub:someone/clip")
    assert code == 2
    said = " ".join(errors.split())
    assert "encoders.half: open_clip_config.json of the Hugging Face model someone/clip" in said
    assert cli("plan", str(plan), "--set", f"encoders.half.model={TINY}")[0] == 0


def undisturbed(plan: Path, cli: Run) -> dict[str, str]:
    """The digests of a run that nothing disturbs, in a folder of its own."""
    code, _, errors = cli("run", str(plan), "--set", f"output={plan.parent / 'whole'}")
    assert code == 0, errors
    return digests(plan.parent / "whole")


def digests(out: Path) -> dict[str, str]:
    found = whole_runs.committed(out)
    return {path: digest for path, digest in found.items() if not path.startswith("report/")}


def test_killed_between_the_encoders_it_ends_in_the_same_bytes(plan: Path, cli: Run, forked: Forker) -> None:
    expected = undisturbed(plan, cli)
    status, said = forked("run", str(plan), folder=plan.parent, NEARFAR_FAILPOINT="embed.looked=kill@2")
    assert status == -signal.SIGKILL, said
    assert len(list((plan.parent / "out" / "commits" / "embed").glob("*.json"))) == 1
    code, _, errors = cli("run", str(plan))
    assert code == 0, errors
    assert digests(plan.parent / "out") == expected


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(25))
def test_killed_at_any_moment_it_ends_in_the_same_bytes(
    plan: Path, cli: Run, forked: Forker, seed: int
) -> None:
    expected = undisturbed(plan, cli)
    began = time.monotonic()
    assert forked("run", str(plan), "--set", f"output={plan.parent / 'timed'}", folder=plan.parent)[0] == 0
    moment = random.Random(seed).uniform(0.0, 1.0) * (time.monotonic() - began)
    forked.kill("run", str(plan), folder=plan.parent, ripe=lambda elapsed: elapsed >= moment)
    code, _, errors = cli("run", str(plan))
    assert code == 0, errors
    assert digests(plan.parent / "out") == expected
