"""Purges in processes of their own that are killed at a named place: imported once, forked for each.

Arguments: the list of uids, then pairs of an output folder and a failpoint, which may be empty. Prints what each exit
status was, a line each.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from pipeline.purging.named_rows import read_lists
from pipeline.purging.purge import purge


def purge_in_child(out: str, uids: str, point: str) -> int:
    """Fork, purge there, and say how that ended: an exit status, negative for a signal."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if point:
        os.environ["NEARFAR_FAILPOINT"] = f"{point}=kill"
    status = 1
    try:
        purge(Path(out), read_lists({"uid": uids}))
        status = 0
    finally:
        os._exit(status)  # the child's own end: nothing of the parent's runs twice


if __name__ == "__main__":
    uids, *pairs = sys.argv[1:]
    for out, point in zip(pairs[::2], pairs[1::2], strict=True):
        print(purge_in_child(out, uids, point), flush=True)
