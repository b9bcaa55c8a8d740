"""A small run over the commit protocol, started by the tests as a process that they kill."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from pathlib import Path

from pipeline.commit import Unit, attempt, find, fingerprint, sweep
from pipeline.commit.run_lock import hold

UNITS = ("part-0000", "part-0001")


def snapshot(out: Path) -> dict[str, str]:
    """sha256 of every file below `out`, but for the lock, which no reader opens."""
    files = (path for path in out.rglob("*") if path.is_file() and path.name != ".lock")
    return {path.relative_to(out).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def run(out: Path, version: int) -> None:
    """Commit two units; version 1 writes three files each, version 2 other bytes and one file fewer."""
    with hold(out):
        sweep(out)
        for name in UNITS:
            unit = Unit("measure", name, fingerprint(name, version))
            if find(out, unit) is None:
                write(out, unit, version)


def write(out: Path, unit: Unit, version: int) -> None:
    with attempt(out, unit) as trying:
        files = 4 - version
        (trying.scratch() / "spill").write_text("temporary")
        for i in range(files):
            relative = f"measures/m{i}/{unit.name}.txt"
            trying.file(relative).write_text(f"{unit.name} file {i} version {version}\n" * 100)
            trying.add(relative, rows=100)
        trying.commit({"version": version, "files": files})


def serve() -> None:
    """For each line (JSON: out, version, failpoint) run in a forked child, and print how the child ended."""
    for line in sys.stdin:
        out, version, armed = json.loads(line)
        child = os.fork()
        if child == 0:
            os.environ["NEARFAR_FAILPOINT"] = armed
            run(Path(out), version)
            os._exit(0)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


if __name__ == "__main__":
    serve()
