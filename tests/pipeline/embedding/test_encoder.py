"""Loading encoders: one path for names and files, no network, and a fingerprint of what vectors depend on."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import socket
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from indexes.errors import BadInputError, DataError, UnknownNameError
from pipeline.embedding import weights
from pipeline.embedding.encoder import EncoderSpec, load_encoder

TINY = Path(__file__).parents[3] / "data_manifests" / "encoders" / "tiny"
CONFIG, WEIGHTS = "open_clip_config.json", "open_clip_model.safetensors"
TAG = {
    "url": "https://models.example.org/v1/tiny-web.safetensors",
    "hf_hub": "someone/tiny/",
    "mean": (0.1, 0.2, 0.3),
    "quick_gelu": True,
}


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("loading an encoder opened a socket")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return Path(shutil.copytree(TINY, tmp_path / "copied"))


@pytest.fixture
def named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Give open_clip a model `tiny-vit` with a pretrained tag `web`; the home of its empty caches."""
    import huggingface_hub
    import open_clip
    import open_clip.factory

    architecture = json.loads((TINY / CONFIG).read_text())["model_cfg"]
    monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, "tiny-vit", architecture)
    monkeypatch.setitem(open_clip.pretrained._PRETRAINED, "tiny-vit", {"web": TAG})
    monkeypatch.setattr(weights, "_clip_cache", lambda: tmp_path / "clip")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    (tmp_path / "clip").mkdir()
    return tmp_path


def noise(count: int = 3) -> list[Image.Image]:
    pixels = np.random.default_rng(0).integers(0, 256, size=(count, 70, 90, 3), dtype=np.uint8)
    return [Image.fromarray(image) for image in pixels]


def test_vectors_are_those_of_open_clip_used_plainly() -> None:
    import open_clip

    encoder = load_encoder(EncoderSpec(str(TINY)), "cpu")
    model, _, transform = open_clip.create_model_and_transforms(f"local-dir:{TINY}")
    with torch.inference_mode():
        expected = model.eval().encode_image(torch.stack([transform(image) for image in noise()])).numpy()
    found = encoder.embed_images(noise())
    assert found.dtype == np.float32
    assert found.shape == (3, encoder.width) == (3, 128)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    assert (encoder.framing.tall, encoder.framing.wide) == (64, 64)


def test_the_committed_encoder_is_small() -> None:
    tensors = load_file(TINY / WEIGHTS)
    assert sum(tensor.numel() for tensor in tensors.values()) <= 4_000_000
    assert (TINY / WEIGHTS).stat().st_size <= 8_000_000


def test_the_fingerprint_knows_content_and_not_place_or_storage(copy: Path) -> None:
    save_file(
        {name: tensor.float() for name, tensor in load_file(copy / WEIGHTS).items()},
        copy / "full.safetensors",
    )
    (copy / WEIGHTS).unlink()
    first, second = load_encoder(EncoderSpec(str(TINY))), load_encoder(EncoderSpec(str(copy / CONFIG)))
    assert first.fingerprint["sha256"] == second.fingerprint["sha256"]
    assert set(first.fingerprint) == {
        "model", "architecture_sha256", "weights_sha256", "preprocessing", "tokenizer", "dtype", "sha256",
    }  # fmt: skip
    assert first.fingerprint["model"] == "tiny"
    assert first.fingerprint["dtype"] == "float32"


def test_other_weights_transform_or_architecture_change_the_fingerprint(copy: Path) -> None:
    seen = {load_encoder(EncoderSpec(str(TINY))).fingerprint["sha256"]}
    config, tensors = json.loads((copy / CONFIG).read_text()), load_file(copy / WEIGHTS)
    tensors["visual.proj"][0, 0] += 0.01
    save_file(tensors, copy / "other.safetensors")
    seen.add(load_encoder(EncoderSpec(str(copy), str(copy / "other.safetensors"))).fingerprint["sha256"])
    for section, setting in (
        ("preprocess_cfg", {"resize_mode": "squash"}),
        ("model_cfg", {"quick_gelu": True}),
    ):
        changed = {**config, section: {**config[section], **setting}}
        (copy / f"{section}.json").write_text(json.dumps(changed))
        spec = EncoderSpec(str(copy / f"{section}.json"), str(copy / WEIGHTS))
        seen.add(load_encoder(spec).fingerprint["sha256"])
    assert len(seen) == 4


def test_a_flat_model_config_as_open_clip_ships_them_is_read(copy: Path) -> None:
    flat = json.loads((copy / CONFIG).read_text())["model_cfg"]
    (copy / "flat.json").write_text(json.dumps(flat))
    encoder = load_encoder(EncoderSpec(str(copy / "flat.json"), str(copy / WEIGHTS)))
    assert encoder.fingerprint["model"] == "flat"
    assert json.loads(encoder.fingerprint["preprocessing"])["mean"][0] == pytest.approx(0.48145466)


@pytest.mark.parametrize("suffix", [".pt", ".bin", ".pth"])
def test_a_checkpoint_of_plain_tensors_is_read_weights_only(copy: Path, suffix: str) -> None:
    checkpoint = copy / f"model{suffix}"
    torch.save({"state_dict": load_file(copy / WEIGHTS)}, checkpoint)
    same = load_encoder(EncoderSpec(str(copy), str(checkpoint)))
    assert same.fingerprint["sha256"] == load_encoder(EncoderSpec(str(TINY))).fingerprint["sha256"]


class Canary:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def test_a_pickled_checkpoint_is_refused_and_not_run(copy: Path) -> None:
    (copy / "evil.pt").write_bytes(pickle.dumps({"state_dict": Canary(copy / "ran")}, protocol=2))
    torch.save({"state_dict": Canary(copy / "ran")}, copy / "zipped.pt")
    for name in ("evil.pt", "zipped.pt"):
        with pytest.raises(DataError, match="does not load as the weights of copied"):
            load_encoder(EncoderSpec(str(copy), str(copy / name)))
    assert not (copy / "ran").exists()


def zipped(path: Path, *names: str) -> Path:
    """A file of the kind that torch writes, whose records are of no use."""
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(f"ViT-B-32/{name}", b"")
    return path


def test_nobody_is_told_to_let_code_in_weights_run(copy: Path) -> None:
    """torch's own message says that a load with `weights_only` off will likely succeed."""
    torch.save({"state_dict": Canary(copy / "ran")}, copy / "pickled.pt")
    torch.save({}, copy / "empty.pt")
    (copy / "nothing.pt").write_bytes(b"")
    for name, words in (
        ("pickled.pt", "it is no file of plain tensors, and nothing else is unpickled; give a safetensors"),
        ("empty.pt", "it holds none; give"),
        ("nothing.pt", "it holds none; give"),
    ):
        with pytest.raises(DataError, match=words) as raised:
            load_encoder(EncoderSpec(str(copy), str(copy / name)))
        assert "weights_only" not in str(raised.value)


def test_programs_and_pointers_are_told_apart_from_weights(copy: Path) -> None:
    zipped(copy / "program.pt", "constants.pkl", "data.pkl")
    for name in ("pointer.safetensors", "pointer.bin"):
        (copy / name).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
    for name, words in (
        ("program.pt", "is a TorchScript archive, which is a program"),
        ("pointer.safetensors", "is a pointer of Git LFS"),
        ("pointer.bin", "is a pointer of Git LFS"),
    ):
        with pytest.raises(DataError, match=words):
            weights.find(EncoderSpec(str(copy), str(copy / name)))
    assert weights.find(EncoderSpec(str(copy), str(zipped(copy / "plain.pt", "data.pkl")))).label == "copied"


def test_damaged_foreign_and_missing_weights_are_named(copy: Path) -> None:
    content = (copy / WEIGHTS).read_bytes()
    (copy / "cut.safetensors").write_bytes(content[: len(content) // 2])
    save_file({"visual.proj": torch.zeros(3, 3)}, copy / "foreign.safetensors")
    (copy / "weights.npz").write_bytes(b"")
    (copy / "empty").mkdir()
    shutil.copy(copy / CONFIG, copy / "empty")
    for pretrained, words in (
        ("cut.safetensors", "does not load as the weights"),
        ("foreign.safetensors", "does not load as the weights"),
        ("none.safetensors", "there is no checkpoint at"),
        ("weights.npz", "of a kind nearfar does not read"),
    ):
        with pytest.raises(DataError, match=words):
            load_encoder(EncoderSpec(str(copy), str(copy / pretrained)))
    with pytest.raises(
        DataError, match=r"3 safetensors files \(cut.safetensors, foreign.safetensors, open_clip"
    ):
        load_encoder(EncoderSpec(str(copy)))
    with pytest.raises(DataError, match=r"holds 0 safetensors files \(none\)"):
        load_encoder(EncoderSpec(str(copy / "empty")))


@pytest.mark.parametrize("text", ["{", "[]", "[1]", '{"model_cfg": 3}', "null"])
def test_a_config_that_is_none_is_named(copy: Path, text: str) -> None:
    (copy / CONFIG).write_text(text)
    with pytest.raises(DataError, match="cannot read a model config at"):
        load_encoder(EncoderSpec(str(copy)))


def test_an_incomplete_or_absent_config_is_named(copy: Path) -> None:
    (copy / CONFIG).write_text('{"model_cfg": {"embed_dim": 8, "text_cfg": {}}}')
    with pytest.raises(DataError, match="lacks vision_cfg, text_cfg"):
        load_encoder(EncoderSpec(str(copy)))
    with pytest.raises(DataError, match=f"a folder that has {CONFIG}"):
        load_encoder(EncoderSpec(str(copy / "absent")))


def test_an_unknown_model_is_answered_with_near_names() -> None:
    with pytest.raises(UnknownNameError, match="ViT-B-16-plus-240"):
        load_encoder(EncoderSpec("ViT-B-16-plus-224", "laion400m_e32"))
    with pytest.raises(UnknownNameError, match="unknown open_clip model 'hf-hub:someone'"):
        weights.find(EncoderSpec("hf-hub:someone"))


def test_an_unknown_tag_is_answered_with_the_models_tags() -> None:
    with pytest.raises(UnknownNameError, match="laion400m_e31, laion400m_e32"):
        load_encoder(EncoderSpec("ViT-B-16-plus-240", "laion400m"))
    with pytest.raises(DataError, match="one of laion400m_e31, laion400m_e32"):
        load_encoder(EncoderSpec("ViT-B-16-plus-240"))


def test_weights_that_are_not_here_are_not_fetched(named: Path) -> None:
    for spec in (EncoderSpec("ViT-B-16-plus-240", "laion400m_e31"), EncoderSpec("tiny-vit", "web")):
        with pytest.raises(
            DataError, match=rf"weights of {spec.model}/{spec.pretrained} are not on this machine.*run: "
        ):
            load_encoder(spec)


def test_the_hub_is_switched_off_before_open_clip_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    weights._open_clip()
    assert os.environ["HF_HUB_OFFLINE"] == "1"


def in_hub(named: Path, repository: str) -> Path:
    """Put the weights into the hub's cache."""
    hub = named / "hub" / f"models--{repository.replace('/', '--')}"
    (hub / "refs").mkdir(parents=True)
    (hub / "refs" / "main").write_text("c0ffee")
    snapshot = hub / "snapshots" / "c0ffee" / WEIGHTS
    snapshot.parent.mkdir(parents=True)
    return Path(shutil.copy(TINY / WEIGHTS, snapshot))


def test_open_clips_names_find_weights_in_both_caches(named: Path) -> None:
    in_hub(named, "someone/tiny")
    from_hub = load_encoder(EncoderSpec("tiny-vit", "web"))
    changed = load_file(TINY / WEIGHTS)
    changed["visual.proj"] = changed["visual.proj"] * 2
    save_file(changed, named / "clip" / "tiny-web.safetensors")
    from_url = load_encoder(EncoderSpec("tiny-vit", "web"))
    assert from_hub.fingerprint["model"] == from_url.fingerprint["model"] == "tiny-vit/web"
    assert from_hub.fingerprint["weights_sha256"] != from_url.fingerprint["weights_sha256"]
    assert json.loads(from_url.fingerprint["preprocessing"])["mean"] == [0.1, 0.2, 0.3]


def test_a_program_in_the_cache_does_not_hide_the_tensors_beside_it(
    named: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """OpenAI's package leaves TorchScript where open_clip looks first."""
    import open_clip

    tag = TAG | {"url": "https://models.example.org/v1/ViT-B-32.pt"}
    monkeypatch.setitem(open_clip.pretrained._PRETRAINED, "tiny-vit", {"openai": tag})
    zipped(named / "clip" / "ViT-B-32.pt", "constants.pkl")
    with pytest.raises(DataError, match=r"tiny-vit/openai are not on this machine.*create_model"):
        weights.find(EncoderSpec("tiny-vit", "openai"))
    tensors = in_hub(named, "someone/tiny")
    assert weights.find(EncoderSpec("tiny-vit", "openai")).checkpoint == tensors


def test_weights_of_another_epoch_are_not_taken_for_those_that_are_named(named: Path) -> None:
    """open_clip lists one repository for two tags of this model: that of epoch 31."""
    model, repository = "ViT-B-16-plus-240", "timm/vit_base_patch16_plus_clip_240.laion400m_e31"
    file = in_hub(named, repository)
    assert weights.find(EncoderSpec(model, "laion400m_e31")).checkpoint == file
    with pytest.raises(
        DataError,
        match=r"with a network fetch https://\S+/vit_b_16_plus_240-laion400m_e32-\w+\.pt into .*clip there",
    ):
        weights.find(EncoderSpec(model, "laion400m_e32"))
    told = named / "clip" / "vit_b_16_plus_240-laion400m_e32-699c4b84.pt"
    zipped(told, "data.pkl")
    assert weights.find(EncoderSpec(model, "laion400m_e32")).checkpoint == told


def test_names_as_people_write_them(named: Path) -> None:
    with pytest.raises(DataError, match="the weights of ViT-B-32/laion2b_s34b_b79k are not on this machine"):
        weights.find(EncoderSpec("ViT-B/32", "laion2b_s34b_b79k"))
    in_hub(named, "someone/tiny")
    with pytest.raises(
        DataError, match="if it is a model of the Hugging Face hub, write hf-hub:someone/tiny"
    ):
        weights.find(EncoderSpec("someone/tiny"))
    shutil.copy(TINY / CONFIG, named / "hub/models--someone--tiny/snapshots/c0ffee")
    assert weights.find(EncoderSpec("hf-hub:someone/tiny")).label == "hf-hub:someone/tiny"


def test_a_model_of_the_hub_is_found_in_its_cache_and_nowhere_else(named: Path) -> None:
    snapshots = named / "hub" / "models--someone--tiny-clip"
    for revision, files in (("c0ffee", [CONFIG, WEIGHTS]), ("badcab", [CONFIG])):
        (snapshots / "snapshots" / revision).mkdir(parents=True)
        for file in files:
            shutil.copy(TINY / file, snapshots / "snapshots" / revision / file)
    (snapshots / "refs").mkdir()
    (snapshots / "refs" / "main").write_text("c0ffee")
    expected = load_encoder(EncoderSpec(str(TINY))).fingerprint["sha256"]
    for name in ("hf-hub:someone/tiny-clip", "hf-hub:someone/tiny-clip@c0ffee"):
        found = load_encoder(EncoderSpec(name))
        assert found.fingerprint["sha256"] == expected
        assert found.fingerprint["model"] == name
    other = load_encoder(EncoderSpec("hf-hub:someone/tiny-clip@badcab", str(TINY / WEIGHTS)))
    assert other.fingerprint["sha256"] == expected
    with pytest.raises(
        DataError, match=r"open_clip_model.safetensors of .* at badcab is not on this machine"
    ):
        load_encoder(EncoderSpec("hf-hub:someone/tiny-clip@badcab"))
    with pytest.raises(
        DataError, match=r"open_clip_config.json .*The nearest that is there: someone/tiny-clip\."
    ):
        load_encoder(EncoderSpec("hf-hub:someone/tiny-klip"))
    with pytest.raises(
        DataError, match=r"run: hf download some/other open_clip_config.json .* or give a folder"
    ):
        load_encoder(EncoderSpec("hf-hub:some/other"))


def test_a_name_with_a_local_checkpoint_is_the_same_encoder_as_the_files(named: Path) -> None:
    by_name = load_encoder(EncoderSpec("tiny-vit", str(TINY / WEIGHTS)))
    by_files = load_encoder(EncoderSpec(str(TINY)))
    for part in ("weights_sha256", "architecture_sha256"):
        assert by_name.fingerprint[part] == by_files.fingerprint[part]
    assert by_name.fingerprint["sha256"] != by_files.fingerprint["sha256"]  # another transform


def test_a_device_that_is_not_there_is_refused() -> None:
    with pytest.raises(
        BadInputError, match="unknown device 'tpu'; available: auto, cpu, cuda, cuda:<number>"
    ):
        load_encoder(EncoderSpec(str(TINY)), "tpu")
    if not torch.cuda.is_available():
        with pytest.raises(BadInputError, match=r"this machine has: cpu \(torch sees no CUDA device"):
            load_encoder(EncoderSpec(str(TINY)), "cuda")
