"""A worker process of this machine: tasks come by one pipe, outcomes go by another, both as lines of JSON.

Pipes have no address, so no other user of the machine can reach them; a port on loopback could be reached by all.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import threading
from dataclasses import asdict
from typing import IO

from pipeline.execution.light_start import begin_work, start_light
from pipeline.execution.tasks import Outcome, perform_in_worker


def serve() -> None:
    """Perform tasks until the driver closes the pipe, or dies, which closes it too: then end at once.

    The driver alone answers Ctrl-C, which reaches the whole process group. What libraries print goes nowhere.
    """
    start_light()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    silence = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(silence, stream)
    os.close(silence)
    asked: queue.Queue[bytes] = queue.Queue()
    threading.Thread(target=_listen, args=(requests, asked), daemon=True).start()
    while True:
        task = json.loads(asked.get())
        begin_work()
        outcome = perform_in_worker(task["function"], task["arguments"], task["name"])
        answers.write(_answer(outcome, task["name"]))
        answers.flush()


def _listen(requests: IO[bytes], asked: queue.Queue[bytes]) -> None:
    for line in requests:
        asked.put(line)
    # Nobody waits for what is being done; what was not committed counts for nothing.
    os._exit(0)


def _answer(outcome: Outcome, name: str) -> bytes:
    try:
        return json.dumps(asdict(outcome)).encode() + b"\n"
    except (TypeError, ValueError) as error:
        message = f"unit {name} failed: its result cannot be sent: {error}"
        failed = Outcome(error="RunFailedError", message=message, trace=repr(error))
        return json.dumps(asdict(failed)).encode() + b"\n"
