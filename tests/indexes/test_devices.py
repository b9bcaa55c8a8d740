"""One way to write a device, one answer whether it is there, for the search and the encoder alike."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from vector_worlds import clustered, packed

from indexes.device.choice import check_device, check_device_name, resolve_device
from indexes.errors import BadInputError
from indexes.scanner import ScanOptions
from indexes.search import open_scanner
from pipeline.embedding import encoder as encoders
from pipeline.embedding.encoder import EncoderSpec, load_encoder

TINY = Path(__file__).parents[2] / "data_manifests" / "encoders" / "tiny"


def cards(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)


@pytest.mark.parametrize("name", ["auto", "cpu", "cuda", "cuda:0", "cuda:12"])
def test_what_may_be_written(name: str) -> None:
    check_device_name(name)
    assert ScanOptions(device=name).device == name


@pytest.mark.parametrize(
    "name",
    ["", "tpu", "CUDA", "cuda:", "cuda:x", "cuda:-1", "cuda:١", "cpu:0", "auto:1", " cuda", "cuda:0\n"],
)
def test_what_may_not_be_written_is_refused_alike_everywhere(name: str) -> None:
    message = r"(?s)unknown device .*available: auto, cpu, cuda, cuda:<number>"
    for refuse in (check_device_name, check_device, resolve_device, lambda bad: ScanOptions(device=bad)):
        with pytest.raises(BadInputError, match=message):
            refuse(name)
    with pytest.raises(BadInputError, match=message):
        load_encoder(EncoderSpec(str(TINY)), name)


@pytest.mark.parametrize(
    ("name", "count", "expected"),
    [
        ("auto", 0, "cpu"),
        ("auto", 2, "cuda"),
        ("cpu", 2, "cpu"),
        ("cuda", 1, "cuda"),
        ("cuda:0", 1, "cuda:0"),
        ("cuda:01", 2, "cuda:1"),
    ],
)
def test_what_a_name_stands_for(
    name: str, count: int, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    cards(monkeypatch, count)
    assert resolve_device(name) == expected
    check_device(name)


@pytest.mark.parametrize(
    ("name", "count", "there"),
    [
        ("cuda", 0, r"this machine has: cpu \(torch sees no CUDA device\)"),
        ("cuda:3", 0, r"this machine has: cpu \(torch sees no CUDA device\)"),
        ("cuda:3", 2, r"this machine has: cpu, cuda:0, cuda:1\. Use one of these"),
        ("cuda:1", 1, r"this machine has: cpu, cuda:0\."),
    ],
)
def test_a_device_that_is_not_there_is_named_with_those_that_are(
    name: str, count: int, there: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same words from the plan's check, the search and the encoder, before a model or an index is made."""
    cards(monkeypatch, count)
    queries = packed((3,), clustered(1, 3, 8), False)
    asked = [
        lambda: check_device(name),
        lambda: open_scanner(queries, "exact", ScanOptions(device=name)),
        lambda: open_scanner(queries, "torch", ScanOptions(device=name)),
        lambda: load_encoder(EncoderSpec("no such model"), name),
    ]
    for ask in asked:
        with pytest.raises(BadInputError, match=f"device '{name}' is not there; {there}"):
            ask()


def test_the_encoder_computes_where_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """No card is here: the model's own `to`, and what puts the scale of its pixels there, are asked for the place."""
    cards(monkeypatch, 2)
    sent: list[str] = []
    scaled: list[str] = []
    monkeypatch.setattr(torch.nn.Module, "to", lambda self, device: sent.append(device) or self)
    monkeypatch.setattr(encoders, "_scale", lambda _, device: scaled.append(device))
    before = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = True
    try:
        encoder = load_encoder(EncoderSpec(str(TINY)), "cuda:1")
        found = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    finally:
        torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = before
    assert (encoder.device, sent[-1], scaled) == ("cuda:1", "cuda:1", ["cuda:1"])
    assert found == (False, False), "float32 means float32, on every device"


def test_the_same_bits_wherever_the_cpu_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    cards(monkeypatch, 0)
    queries, samples = packed((30,), clustered(1, 30, 16), True), clustered(2, 60, 16)
    found = [
        open_scanner(queries, "torch", ScanOptions(device=name)).scan(samples).margin
        for name in ("cpu", "auto")
    ]
    np.testing.assert_array_equal(*found)


def test_a_name_is_checked_without_torch() -> None:
    code = (
        "import sys\nfrom indexes.device.choice import check_device\n"
        "check_device('auto'); check_device('cpu')\nprint('torch' in sys.modules)"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "False"
