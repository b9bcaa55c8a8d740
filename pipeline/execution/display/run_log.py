"""The log of a run: JSON lines with time stamps, appended to `<out>/log.jsonl`. Never committed, never read back."""

from __future__ import annotations

import contextlib
import json
import logging
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from indexes.errors import OutputError
from pipeline import layout
from pipeline.execution.display.redaction import redact
from pipeline.files.storage import open_folder

LOG_NAME = layout.LOG


class RunLog:
    """Appends a line per event; a disk that refuses ends the log, not the run (whose own writes will say so)."""

    def __init__(self, out: Path | None) -> None:
        self._out = out
        self._descriptor: int | None = None

    def write(self, event: str, **facts: Any) -> None:
        """Append an event. Nothing is kept before the output folder exists: a refused run leaves no folder."""
        if self._descriptor is None and not self._open():
            return
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        line = json.dumps({"time": now, "pid": os.getpid(), "event": event, **facts}, default=str)
        try:
            os.write(self._descriptor or 0, f"{redact(line)}\n".encode())
        except OSError:
            self.close()
            self._out = None

    def close(self) -> None:
        """Close the file."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _open(self) -> bool:
        if self._out is None:
            return False
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        with contextlib.suppress(OSError, OutputError), open_folder(self._out) as folder:
            self._descriptor = os.open(LOG_NAME, flags, 0o644, dir_fd=folder)
        return self._descriptor is not None


class LogHandler(logging.Handler):
    """Sends what the parts of nearfar log, with tracebacks, to the run's log."""

    def __init__(self, log: RunLog) -> None:
        super().__init__(logging.INFO)
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        """Append one log record."""
        facts: dict[str, Any] = {"level": record.levelname.lower(), "message": record.getMessage()}
        trace = getattr(record, "traceback", None)
        if trace:
            facts["traceback"] = trace
        self._log.write("log", **facts)
