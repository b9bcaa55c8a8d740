from __future__ import annotations

import importlib.util
import json
import os
import sys
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace

import pytest

from pipeline import doctor
from pipeline.doctor import Finding, as_json, as_text, examine, memory_bytes, weights_cache, worst

NAMES = ["python", "packages", "cores", "memory", "disk", "write permission", "bf16 unit", "cuda", "faiss",
         "open_clip cache"]  # fmt: skip
GIB = 2**30


def only(findings: list[Finding]) -> Finding:
    (finding,) = findings
    assert bool(finding.advice) == (finding.level != "ok")
    return finding


def test_this_machine_is_examined_and_nothing_is_left_behind(tmp_path: Path) -> None:
    findings = examine(tmp_path / "not" / "yet")
    assert [finding.name for finding in findings] == NAMES
    by_name = {finding.name: finding for finding in findings}
    assert by_name["python"].found.startswith(".".join(str(part) for part in sys.version_info[:3]))
    assert by_name["packages"].level == by_name["write permission"].level == "ok"
    assert str(tmp_path) in by_name["write permission"].found
    assert "torch " in by_name["packages"].found
    assert list(tmp_path.iterdir()) == []


def test_findings_as_text_and_json() -> None:
    findings = [Finding("a", "ok", "here"), Finding("b", "warn", "little", "add more")]
    assert as_text(findings) == "ok    a: here\nwarn  b: little\n      -> add more\n"
    assert json.loads(as_json(findings))[1] == {
        "name": "b",
        "level": "warn",
        "found": "little",
        "advice": "add more",
    }
    assert worst(findings) == "warn"
    assert worst([*findings, Finding("c", "fail", "none", "get it")]) == "fail"
    assert worst(findings[:1]) == "ok"


def test_an_old_python_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor.sys, "version_info", (3, 10, 1))
    assert only(doctor._python()).level == "fail"


def test_missing_packages_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def version(package: str) -> str:
        if package == "duckdb":
            raise metadata.PackageNotFoundError(package)
        return "1.0"

    monkeypatch.setattr(doctor.metadata, "version", version)
    finding = only(doctor._packages())
    assert finding.level == "fail"
    assert "duckdb" in finding.advice
    assert "torch 1.0" in finding.found


def test_a_single_core_is_warned_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0}, raising=False)
    assert only(doctor._cores()).level == "warn"


def test_memory_is_bounded_by_the_container(tmp_path: Path) -> None:
    meminfo, limit = tmp_path / "meminfo", tmp_path / "memory.max"
    meminfo.write_text(f"MemTotal: {16 * 2**20} kB\nMemFree: 1 kB\nMemAvailable: {8 * 2**20} kB\n")
    assert memory_bytes(meminfo, limit) == (16 * GIB, 8 * GIB)
    limit.write_text("max\n")
    assert memory_bytes(meminfo, limit) == (16 * GIB, 8 * GIB)
    limit.write_text(f"{2 * GIB}\n")
    assert memory_bytes(meminfo, limit) == (2 * GIB, 2 * GIB)
    assert memory_bytes(tmp_path / "none", limit) == (None, None)


@pytest.mark.parametrize(
    ("found", "level"), [((None, None), "warn"), ((16 * GIB, GIB), "warn"), ((16 * GIB, 8 * GIB), "ok")]
)
def test_little_memory_is_warned_of(
    monkeypatch: pytest.MonkeyPatch, found: tuple[int | None, int | None], level: str
) -> None:
    monkeypatch.setattr(doctor, "memory_bytes", lambda: found)
    assert only(doctor._memory()).level == level


@pytest.mark.parametrize(("free", "level"), [(GIB // 2, "fail"), (5 * GIB, "warn"), (50 * GIB, "ok")])
def test_little_disk_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, free: int, level: str) -> None:
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda _: SimpleNamespace(free=free))
    assert only(doctor._disk(tmp_path)).level == level


def test_a_folder_that_cannot_be_written_fails(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def denied(**_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(doctor.tempfile, "NamedTemporaryFile", denied)
    finding = only(doctor._writable(tmp_path))
    assert (finding.level, "Permission denied" in finding.found) == ("fail", True)


@pytest.mark.parametrize(
    ("text", "level", "found"),
    [
        ("processor: 0\nflags : fpu avx512_bf16 amx_bf16\n", "ok", "amx_bf16, avx512_bf16"),
        ("Features : fp asimd bf16\n", "ok", "bf16"),
        ("flags : fpu avx2\n", "warn", "none"),
        ("nothing\n", "warn", "unknown on this system"),
    ],
)
def test_the_bf16_unit_is_read_from_the_cpu(tmp_path: Path, text: str, level: str, found: str) -> None:
    (tmp_path / "cpuinfo").write_text(text)
    finding = only(doctor._bf16(tmp_path / "cpuinfo"))
    assert (finding.level, finding.found) == (level, found)


def test_two_builds_of_faiss_fail_and_none_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    versions = {"faiss-cpu": "1.15.1"}
    monkeypatch.setattr(doctor, "_version", versions.get)
    assert only(doctor._faiss()) == Finding("faiss", "ok", "faiss-cpu 1.15.1 (CPU build)")
    versions["faiss-gpu-cu12"] = "1.15.1"
    assert "two builds" in only(doctor._faiss()).advice
    del versions["faiss-cpu"]
    assert only(doctor._faiss()).found.endswith("(GPU build)")
    versions.clear()
    assert only(doctor._faiss()).level == "fail"


def test_cuda_devices_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda index: f"GPU {index}")
    both = "GPU 0, GPU 1 (a process computes on one; --workers 2 uses all)"
    assert only(doctor._cuda()) == Finding("cuda", "ok", both)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert only(doctor._cuda()) == Finding("cuda", "ok", "GPU 0")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert only(doctor._cuda()).level == "warn"
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    assert only(doctor._cuda()).level == "fail"


def test_cached_weights_are_listed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    assert only(doctor._weights()).level == "warn"
    (tmp_path / "models--laion--clip").mkdir()
    assert only(doctor._weights()) == Finding("open_clip cache", "ok", f"1 in {tmp_path}: laion--clip")
    monkeypatch.delenv("HF_HUB_CACHE")
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    assert weights_cache() == tmp_path / "hub"
