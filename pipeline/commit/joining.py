"""Workers of a cluster that commit to an output on a store, each machine from a working copy of its own.

The copy lies where the driver has it. A worker that finds the driver's own token there shares the folder, and has
nothing to do. Any other looks whether the run still holds the lease, notes its token, and brings the copy to the state
of the store; it commits then as the driver does, behind the same fence.
"""

from __future__ import annotations

import socket
import time
from pathlib import Path

from indexes.errors import OutputError
from pipeline.commit.attempts import sweep_attempts
from pipeline.commit.copying import pull
from pipeline.commit.on_stores import fence
from pipeline.commit.run_lock import epoch, lend
from pipeline.files.storage import output_errors
from pipeline.stores.working_copies import connected, mark_copy, place_of, store_of

_PATIENCE = 30.0
"""Seconds for which another worker of the machine may be at the same copy."""


def invitation(out: Path) -> list[str]:
    """Say what a worker has to be told to commit for the run that holds an output; nothing for one in a folder."""
    token = epoch(out)
    return [] if store_of(out) is None or token is None else [place_of(out), token]


def join(out: Path, address: str, token: str) -> None:
    """Let this machine's copy of an output be one of the run that holds it.

    Args:
        out: Where the driver has its copy, and this machine is to have one.
        address: What it is a copy of.
        token: The run's.

    Raises:
        RunFailedError: If another run has taken the output over.
        OutputError: If this machine can have no copy there, or cannot use the store; the message names the machine.
    """
    try:
        if not out.is_dir() or store_of(out) is None or epoch(out) != token:
            _join(out, address, token)
    except OutputError as error:
        raise OutputError(
            f"the worker on {socket.gethostname()} cannot join: {error}. Workers need credentials for the store in "
            f"their own environment, and a folder at '{out}': set NEARFAR_COPIES to one that every machine may write"
        ) from error


def _join(out: Path, address: str, token: str) -> None:
    fence(connected(address), token)
    with output_errors(out):
        mark_copy(out, address)
    until = time.monotonic() + _PATIENCE
    while epoch(out) != token:
        with lend(out, token) as lent:
            if lent:
                sweep_attempts(out)
                pull(out)
        if not lent:
            if time.monotonic() > until:
                raise OutputError(f"'{out}' is in use by another nearfar process of that machine")
            time.sleep(0.05)
