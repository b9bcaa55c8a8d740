"""Processes that do one small thing with bytes from strangers, and may die of it.

A decoder that crashes, hangs or eats memory takes its process down, and nothing else: the caller learns it of that one
piece of work, and another process takes the place. Work and answers are frames on two pipes: a length, then JSON on one
line, then bytes. Nothing in a frame is code.
"""

from __future__ import annotations

import contextlib
import fcntl
import importlib
import itertools
import json
import os
import queue
import resource
import select
import signal
import struct
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterable
from typing import IO, Any

_CODE = (
    "import json, sys; sys.path[:] = json.loads(sys.argv.pop()); "
    "from pipeline.files.children import serve; serve(*sys.argv[1:])"
)
_LENGTH = struct.Struct("<Q")
_READ = 1 << 20
_PIECES = 256
"""Of a frame, written by one call; systems take a thousand."""
_HEAP = {"MALLOC_MMAP_THRESHOLD_": str(1 << 28), "MALLOC_TRIM_THRESHOLD_": str(1 << 29)}
"""What glibc is told, so that a process keeps what it has freed: to take an image's pages anew each time is a quarter
of the work of decoding it. Other systems do not look at it."""

Json = dict[str, Any]


class ChildFailedError(Exception):
    """A piece of work ended its process, or took too long."""


class Children:
    """Some processes that all serve one function `(request, content) -> (answer, content)`; threads may share them."""

    def __init__(
        self,
        function: str,
        count: int,
        seconds: float = 60.0,
        memory: int = 4 << 30,
        shared: tuple[int, ...] = (),
    ) -> None:
        """Take `package.module:function`, what one piece of work may take of time and address space, and open files.

        The files in `shared` have the same numbers in the processes.
        """
        self._function, self._seconds, self._memory = function, seconds, memory
        self._shared = shared
        self._idle: queue.SimpleQueue[subprocess.Popen[bytes] | None] = queue.SimpleQueue()
        self._count = count
        for _ in range(count):
            self._idle.put(None)  # started when first needed

    def call(self, request: Json, *content: bytes) -> tuple[Json, bytes]:
        """Have one piece of work done; the function gets the pieces of content as one.

        Raises:
            ChildFailedError: If the process died of it, or did not answer in time.
        """
        child = self._idle.get()
        kept: subprocess.Popen[bytes] | None = None
        try:
            if child is not None and child.poll() is not None:
                _end(child)
                child = None
            if child is None:
                child = self._started()
            answer = _exchange(child, _framed(request, *content), time.monotonic() + self._seconds)
            kept = child
            return answer
        except (OSError, EOFError, TimeoutError) as error:
            raise ChildFailedError(
                "took too long" if isinstance(error, TimeoutError) else "crashed"
            ) from error
        finally:
            if kept is None and child is not None:
                _end(child)
            self._idle.put(kept)

    def close(self) -> None:
        """End every process; none may be at work."""
        for _ in range(self._count):
            child = self._idle.get()
            if child is not None:
                _end(child)

    def _started(self) -> subprocess.Popen[bytes]:
        child = subprocess.Popen(
            [sys.executable, "-P", "-c", _CODE, self._function, str(self._memory), json.dumps(sys.path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            pass_fds=self._shared,
            env=os.environ | _HEAP,
        )
        for stream in (child.stdin, child.stdout):
            assert stream is not None  # noqa: S101 - it was asked for
            os.set_blocking(stream.fileno(), False)
            with contextlib.suppress(OSError):  # a system that allows less is as good
                fcntl.fcntl(stream.fileno(), fcntl.F_SETPIPE_SZ, _READ)
        return child


def _end(child: subprocess.Popen[bytes]) -> None:
    child.kill()
    with contextlib.suppress(OSError):
        child.wait()
    for stream in (child.stdin, child.stdout):
        if stream is not None:
            with contextlib.suppress(OSError):
                stream.close()


def _framed(request: Json, *content: bytes) -> tuple[bytes, ...]:
    """Make a frame, in pieces: to put them together would copy images twice."""
    line = json.dumps(request).encode() + b"\n"
    return _LENGTH.pack(len(line) + sum(map(len, content))) + line, *content


def _split(frame: bytes | memoryview) -> tuple[Json, bytes]:
    line, _, content = bytes(frame).partition(b"\n")
    return json.loads(line), content


def _exchange(child: subprocess.Popen[bytes], frame: Iterable[bytes], deadline: float) -> tuple[Json, bytes]:
    """Write a frame and read one; a child that neither reads nor writes is waited for until the deadline."""
    assert child.stdin is not None  # noqa: S101 - it was asked for
    assert child.stdout is not None  # noqa: S101 - it was asked for
    into, out = child.stdin.fileno(), child.stdout.fileno()
    left, came = deque(memoryview(piece) for piece in frame), bytearray()
    ready = select.poll()  # not `select`, which cannot count beyond 1,023 open files
    ready.register(out, select.POLLIN)
    ready.register(into, select.POLLOUT)
    while True:
        events = dict(ready.poll(max(0.0, deadline - time.monotonic()) * 1000))
        if not events:
            raise TimeoutError
        if into in events:
            _write(into, left)
            if not left:
                ready.unregister(into)
        if out in events:
            chunk = os.read(out, _READ)
            if not chunk:
                raise EOFError
            came += chunk
            if len(came) >= _LENGTH.size and len(came) >= _LENGTH.size + _LENGTH.unpack_from(came)[0]:
                return _split(memoryview(came)[_LENGTH.size :])


def _write(into: int, left: deque[memoryview]) -> None:
    """Write as much as a pipe takes, and take that away."""
    written = os.writev(into, tuple(itertools.islice(left, _PIECES)))
    while left and written >= len(left[0]):
        written -= len(left.popleft())
    if written:
        left[0] = left[0][written:]


def serve(function: str, memory: str) -> None:
    """Answer frames until the pipe ends, within an address space of `memory` bytes; runs in the child."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    silence = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(silence, stream)
    module, _, name = function.partition(":")
    act = getattr(importlib.import_module(module), name)
    with contextlib.suppress(ValueError, OSError):  # a system that allows less is as good
        resource.setrlimit(resource.RLIMIT_AS, (int(memory), int(memory)))
    while (frame := _next_frame(requests)) is not None:
        answers.writelines(_framed(*act(*_split(frame))))
        answers.flush()


def _next_frame(requests: IO[bytes]) -> bytes | None:
    head = requests.read(_LENGTH.size)
    return requests.read(_LENGTH.unpack(head)[0]) if len(head) == _LENGTH.size else None
