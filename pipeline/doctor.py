"""`nearfar doctor`: whether this machine has what a run needs, with advice where it has not."""

from __future__ import annotations

import json
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from importlib import metadata, util
from pathlib import Path
from typing import Literal

Level = Literal["ok", "warn", "fail"]

_GIB = 2**30
_MIN_PYTHON = (3, 11)
_PACKAGES = (
    *("torch", "open_clip_torch", "numpy", "numba", "pyarrow", "duckdb", "dask", "pydantic"),
    *("jinja2", "rich", "typer", "pyyaml", "pillow", "safetensors"),
)
_FAISS = (
    *("faiss-cpu", "faiss-gpu", "faiss-gpu-cu11", "faiss-gpu-cu12", "faiss-gpu-cuvs"),
    *("faiss-gpu-cu12-cuvs", "faiss-gpu-cu13-cuvs", "faiss-cuda"),
)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        name: What was looked at.
        level: `ok`, `warn` (a run works, but less well) or `fail` (a run would stop).
        found: What is there.
        advice: What to do; empty where nothing is needed.
    """

    name: str
    level: Level
    found: str
    advice: str = ""


def examine(output: str | Path = ".") -> list[Finding]:
    """Look at this machine; nothing is changed but a file in `output`, written and removed again.

    Args:
        output: The folder that a run would write to, or one above it.
    """
    folder = _existing(Path(output))
    checks: tuple[Callable[[], list[Finding]], ...] = (
        _python,
        _packages,
        _cores,
        _memory,
        lambda: _disk(folder),
        lambda: _writable(folder),
        _bf16,
        _cuda,
        _faiss,
        _weights,
    )
    return [finding for check in checks for finding in check()]


def as_text(findings: Iterable[Finding]) -> str:
    """Write the findings as lines, the advice below what it is for."""
    lines = []
    for finding in findings:
        lines.append(f"{finding.level:<4}  {finding.name}: {finding.found}")
        if finding.advice:
            lines.append(f"      -> {finding.advice}")
    return "\n".join(lines) + "\n"


def as_json(findings: Iterable[Finding]) -> str:
    """Write the findings as a JSON list."""
    return json.dumps([asdict(finding) for finding in findings], indent=2) + "\n"


def worst(findings: Iterable[Finding]) -> Level:
    """Find the worst level of all."""
    levels = {finding.level for finding in findings}
    return "fail" if "fail" in levels else "warn" if "warn" in levels else "ok"


def _existing(path: Path) -> Path:
    """Find the nearest folder at or above `path` that is there."""
    absolute = path.absolute()
    return next((folder for folder in (absolute, *absolute.parents) if folder.is_dir()), Path("/"))


def _python() -> list[Finding]:
    found = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    if sys.version_info < _MIN_PYTHON:
        return [Finding("python", "fail", found, "install Python 3.11 or newer")]
    return [Finding("python", "ok", found)]


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _packages() -> list[Finding]:
    versions = {package: _version(package) for package in _PACKAGES}
    missing = [package for package, version in versions.items() if version is None]
    found = ", ".join(f"{package} {version}" for package, version in versions.items() if version)
    if missing:
        advice = f"install what is missing ({', '.join(missing)}): pip install -e . in the repository"
        return [Finding("packages", "fail", found or "none", advice)]
    return [Finding("packages", "ok", found)]


def _cores() -> list[Finding]:
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if usable < 2:
        return [Finding("cores", "warn", f"{usable} usable", "two or more make a run faster")]
    return [Finding("cores", "ok", f"{usable} usable")]


def _memory() -> list[Finding]:
    total, available = memory_bytes()
    if total is None:
        return [Finding("memory", "warn", "unknown on this system", "a run needs 4 GiB")]
    free = "" if available is None else f", {available / _GIB:.1f} GiB of it available"
    found = f"{total / _GIB:.1f} GiB{free}"
    if (available or total) < 4 * _GIB:
        advice = "give a smaller engine.memory_limit in the plan, fewer --workers, or free some memory"
        return [Finding("memory", "warn", found, advice)]
    return [Finding("memory", "ok", found)]


def memory_bytes(
    meminfo: Path = Path("/proc/meminfo"), limit: Path = Path("/sys/fs/cgroup/memory.max")
) -> tuple[int | None, int | None]:
    """Look up the memory that this process may use, and what of it is free; None where it is unknown."""
    try:
        fields = dict(line.split(":", 1) for line in meminfo.read_text().splitlines() if ":" in line)
        total, available = (int(fields[key].split()[0]) * 1024 for key in ("MemTotal", "MemAvailable"))
    except (OSError, KeyError, ValueError):
        return None, None
    try:
        allowed = int(limit.read_text())
    except (OSError, ValueError):  # no cgroup, or "max"
        return total, available
    return min(total, allowed), min(available, allowed)


def _disk(folder: Path) -> list[Finding]:
    usage = shutil.disk_usage(folder)
    found = f"{usage.free / _GIB:.1f} GiB free at {folder}"
    if usage.free < _GIB:
        return [
            Finding("disk", "fail", found, "free at least 1 GiB, or write elsewhere with --set output=FOLDER")
        ]
    if usage.free < 20 * _GIB:
        advice = "enough for the quickstart; `nearfar plan` says what a plan writes"
        return [Finding("disk", "warn", found, advice)]
    return [Finding("disk", "ok", found)]


def _writable(folder: Path) -> list[Finding]:
    try:
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".nearfar-doctor-") as file:
            file.write(b"written to find out whether it can be")
            file.flush()
            os.fsync(file.fileno())
    except OSError as failure:
        advice = "give yourself write permission there, or write elsewhere with --set output=FOLDER"
        return [Finding("write permission", "fail", f"{folder}: {failure.strerror}", advice)]
    return [Finding("write permission", "ok", str(folder))]


def _bf16(cpuinfo: Path = Path("/proc/cpuinfo")) -> list[Finding]:
    try:
        flags = next(
            line for line in cpuinfo.read_text().splitlines() if line.startswith(("flags", "Features"))
        )
    except (OSError, StopIteration):
        return [
            Finding("bf16 unit", "warn", "unknown on this system", "the exact engine works without, slower")
        ]
    units = [unit for unit in ("amx_bf16", "avx512_bf16", "bf16") if unit in flags.split()]
    if not units:
        return [Finding("bf16 unit", "warn", "none", "a run works without, slower; a GPU helps most")]
    return [Finding("bf16 unit", "ok", ", ".join(units))]


def _cuda() -> list[Finding]:
    if util.find_spec("torch") is None:
        return [Finding("cuda", "fail", "torch is not installed", "install nearfar's dependencies")]
    import torch  # takes seconds to import, which `nearfar --help` should not

    if torch.cuda.is_available():
        names = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
        several = f" (a process computes on one; --workers {len(names)} uses all)" if len(names) > 1 else ""
        return [Finding("cuda", "ok", ", ".join(names) + several)]
    built = f"built for CUDA {torch.version.cuda}" if torch.version.cuda else "built without CUDA"
    return [Finding("cuda", "warn", f"no device (torch is {built})", "embedding many images needs a GPU")]


def _faiss() -> list[Finding]:
    installed = [f"{package} {version}" for package in _FAISS if (version := _version(package))]
    if not installed or util.find_spec("faiss") is None:
        return [
            Finding(
                "faiss",
                "fail",
                "not installed",
                "install the extra cpu, or on a machine with an NVIDIA card the extra gpu: pip install 'nearfar[cpu]'",
            )
        ]
    if len(installed) > 1:
        advice = "two builds overwrite each other: uninstall all, then install nearfar[cpu] or nearfar[gpu]"
        return [Finding("faiss", "fail", ", ".join(installed), advice)]
    build = "GPU build" if "gpu" in installed[0] else "CPU build"
    return [Finding("faiss", "ok", f"{installed[0]} ({build})")]


def weights_cache() -> Path:
    """Find the folder where open_clip looks for weights that were downloaded from the Hugging Face hub."""
    home = Path(os.environ.get("HF_HOME") or Path.home() / ".cache" / "huggingface")
    return Path(os.environ.get("HF_HUB_CACHE") or home / "hub")


def _weights() -> list[Finding]:
    cache = weights_cache()
    models = sorted(path.name.removeprefix("models--") for path in cache.glob("models--*") if path.is_dir())
    if not models:
        advice = (
            "a run never downloads: fetch the plan's model once with open_clip on a machine with a network, "
            "or give the path of a checkpoint as encoder.pretrained; the quickstart needs neither"
        )
        return [Finding("open_clip cache", "warn", f"no weights in {cache}", advice)]
    return [Finding("open_clip cache", "ok", f"{len(models)} in {cache}: {', '.join(models[:5])}")]
