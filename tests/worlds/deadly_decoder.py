"""A decoder that dies of what is behind the end of some images, as a bug in a library would let it."""

from __future__ import annotations

import os
import signal
from typing import Any

from pipeline.embedding.decoding import framed as really

MARK = b"dies of this"


def framed(request: dict[str, Any], content: bytes) -> tuple[dict[str, Any], bytes]:
    if MARK in content:
        os.kill(os.getpid(), signal.SIGSEGV)
    return really(request, content)
