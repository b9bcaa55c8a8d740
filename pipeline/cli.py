"""Where the program begins: Ctrl-C is heard from the first line on, also while the rest is still being loaded."""

from __future__ import annotations

import signal
import sys
from types import FrameType
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:  # so that little is loaded before Ctrl-C is heard
    from collections.abc import Sequence


class _Noted:
    """Notes a signal for later: an exception in the middle of an import may be shown, or swallowed, by a library."""

    def __init__(self) -> None:
        self.came = False

    def __call__(self, signum: int, frame: FrameType | None) -> None:
        self.came = True


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line; exit 0 done, 1 failed, 2 bad input, 130 or 143 interrupted and resumable."""
    noted, before = _Noted(), signal.getsignal(signal.SIGINT)
    heard = before is signal.default_int_handler  # else it is ignored, as in the background of a shell
    if heard:
        signal.signal(signal.SIGINT, noted)
    from pipeline.command_line.application import perform

    def begin() -> None:
        if heard:
            signal.signal(signal.SIGINT, before)
        if noted.came:
            raise KeyboardInterrupt

    try:
        perform(sys.argv[1:] if arguments is None else list(arguments), arguments is None, begin)
    finally:
        if heard and arguments is None:  # all is said, and Python still waits for threads
            signal.signal(signal.SIGINT, signal.SIG_DFL)


if __name__ == "__main__":
    main()
