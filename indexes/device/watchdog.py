"""A device that answers no more, or only with errors: with the process that held it, what it held ends too.

Who waits for a hung device waits in its driver. And after an error of a kernel, or of the card itself, CUDA answers
that process with nothing else; another process may have the device again, or another device.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

SECONDS = 600.0
"""What a device may take for one batch or block, which takes it seconds at the most."""
_LOST = "CUDA error: "
_SMALL = ("out of memory", "_STATUS_")
"""Errors after which a device goes on: those of memory, and of its libraries."""
_replaced: list[bool] = []


def is_replaced() -> None:
    """Say that whoever started this process replaces it, and tries again what it was doing: it ends with its device."""
    _replaced.append(True)


def is_lost(error: RuntimeError) -> bool:
    """Tell by torch's words whether a device answers this process no more."""
    said = str(error)
    return said.startswith(_LOST) and not any(words in said for words in _SMALL)


@contextmanager
def watched(device: str, doing: str) -> Iterator[None]:
    """End this process if the block takes a device longer than `SECONDS`; a processor always answers.

    A worker that ends is replaced, and its unit tried again by a new process; a run of one process is to be resumed.
    A worker ends too where the device fails so that it answers with errors alone.

    Args:
        device: torch's name: `cpu`, `cuda`, `cuda:1`, …
        doing: What it is asked for, for the message: `embedding 256 images`.
    """
    if device == "cpu":
        yield
        return
    timer = threading.Timer(SECONDS, _give_up, (device, doing))
    timer.daemon = True
    timer.start()
    try:
        yield
    except RuntimeError as error:
        if _replaced and is_lost(error):
            _end(f"{device} is lost ({doing}: {str(error).splitlines()[0]})")
        raise
    finally:
        timer.cancel()


def _give_up(device: str, doing: str) -> None:
    _end(f"{device} has not answered for {SECONDS:g} s ({doing})")


def _end(why: str) -> None:
    print(
        f"nearfar: {why}, so this process ends. What was committed stands: look at the device's log, and run again to "
        "resume",
        file=sys.stderr,
        flush=True,
    )
    os._exit(1)
