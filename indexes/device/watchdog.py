"""A device that answers no more: who waits for one waits in its driver, and ends with the process alone."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

SECONDS = 600.0
"""What a device may take for one batch or block, which takes it seconds at the most."""


@contextmanager
def watched(device: str, doing: str) -> Iterator[None]:
    """End this process if the block takes a device longer than `SECONDS`; a processor always answers.

    A worker that ends is replaced, and its unit tried again by a new process; a run of one process is to be resumed.

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
    finally:
        timer.cancel()


def _give_up(device: str, doing: str) -> None:
    print(
        f"nearfar: {device} has not answered for {SECONDS:g} s ({doing}), so this process ends. What was committed "
        "stands: look at the device's log, and run again to resume",
        file=sys.stderr,
        flush=True,
    )
    os._exit(1)
