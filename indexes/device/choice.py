"""Which device to compute on: how a device is written, whether it is there, and which one a name stands for.

The search and the encoder both ask here, so that what one of them accepts the other accepts too.
"""

from __future__ import annotations

import os
import re

from indexes.errors import BadInputError

SPELLINGS = "auto, cpu, cuda, cuda:<number>"
_DRIVER = "/proc/driver/nvidia/version"
_SPELLED = re.compile(r"auto|cpu|cuda(:[0-9]{1,4})?")


def check_device_name(name: str) -> None:
    """Check how a device is written, without asking whether it is there; torch is not imported.

    Args:
        name: `auto`, `cpu`, `cuda` or `cuda:<number>`.

    Raises:
        BadInputError: If it is written in another way.
    """
    if not _SPELLED.fullmatch(name):
        raise BadInputError(f"unknown device '{name}'; available: {SPELLINGS}. Use one of these")


def check_device(name: str) -> None:
    """Check that this machine has a device, before any work; torch is imported only where CUDA is named.

    Meant for the machine that computes: the one that starts a run of remote workers may well have no GPU.

    Args:
        name: `auto`, `cpu`, `cuda` or `cuda:<number>`; the first two are there on every machine.

    Raises:
        BadInputError: If the name is none of these, or torch sees no such device; the message lists those it sees.
    """
    check_device_name(name)
    if name.startswith("cuda"):
        resolve_device(name)


def has_driver() -> bool:
    """Say whether NVIDIA's driver is loaded here, so that asking torch for a card is worth its seconds."""
    return os.access(_DRIVER, os.F_OK)


def resolve_device(name: str) -> str:
    """Turn a device option into the device that torch shall use.

    Args:
        name: `auto` (the first CUDA device where there is one, else the CPU), `cpu`, `cuda` or `cuda:<number>`.

    Returns:
        `cpu`, `cuda` (torch's current device) or `cuda:<number>`.

    Raises:
        BadInputError: If the name is none of these, or torch sees no such device; the message lists those it sees.
    """
    check_device_name(name)
    if name == "cpu":
        return name
    import torch  # takes seconds to import, which a name or a CPU run should not

    seen = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name == "auto":
        return "cuda" if seen else "cpu"
    number = int(name.partition(":")[2] or 0)
    if number >= seen:
        there = ", ".join(["cpu", *(f"cuda:{index}" for index in range(seen))])
        why = "" if seen else " (torch sees no CUDA device)"
        raise BadInputError(
            f"device '{name}' is not there; this machine has: {there}{why}. Use one of these, or auto"
        )
    return f"cuda:{number}" if ":" in name else "cuda"


def works_on_card(name: str) -> bool:
    """Say whether the exact engine works on a GPU where a device option has this name; it is one that is there."""
    asked = name.startswith("cuda") or (name == "auto" and has_driver())
    return asked and resolve_device(name) != "cpu"
