"""One run at a time in an output, wherever it is: the lock of its folder, and the lease of the store behind that."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from pipeline.commit.copying import pull, sweep_objects
from pipeline.commit.run_lock import Holder, hold, holder
from pipeline.stores.lease import Term, at_work, leased
from pipeline.stores.working_copies import copy_name, make_copy, store_of


@contextlib.contextmanager
def hold_output(out: Path) -> Iterator[Holder]:
    """Hold an output for the length of a run; a working copy is brought to the state of its store first.

    Objects that no record names are removed from a store when the run has ended well; see also `sweep`.

    Raises:
        OutputError: If another run holds it, or it cannot be written.
    """
    with contextlib.ExitStack() as stack:
        mine = stack.enter_context(hold(out))
        objects = store_of(out)
        if objects is not None:
            stack.enter_context(leased(objects, Term(mine.pid, mine.host, mine.token, copy_name(out))))
            pull(out)
        yield mine
        if objects is not None:
            sweep_objects(out)


def at_work_on(out: Path) -> Holder | None:
    """Find the run that is at work on an output; None where none is. One on a store is watched until it is renewed."""
    here, objects = holder(out), store_of(out)
    if here is not None or objects is None:
        return here
    term = at_work(objects, copy_name(out))
    return None if term is None else Holder(term.pid, term.host, term.token)


def open_output(output: str | Path) -> Path:
    """Give the folder of this machine that an output is read from: itself, or its working copy, brought up to date.

    A copy on which a run is at work is up to date by itself.

    Raises:
        BadInputError: If it is an address that is no folder of a bucket.
        OutputError: If its store cannot be read.
    """
    out = make_copy(output)
    if store_of(out) is not None:
        pull(out, unless=lambda: holder(out) is not None)
    return out
