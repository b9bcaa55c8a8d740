"""Host names looked up once, and only addresses that may be connected to given out.

The connection is made to the address that was looked at: a name that answers otherwise the next time gains nothing.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from pipeline.fetching.addresses import is_global
from pipeline.fetching.limits import NotFetchedError
from pipeline.fetching.timed_socket import Clock

Found = Sequence[str]
LookUp = Callable[[str], Found]


def look_up(host: str) -> Found:
    """Ask the system for a name's addresses."""
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return tuple(dict.fromkeys(str(entry[4][0]) for entry in found))


class HostNames:
    """Addresses by name, each asked for once; threads may share it."""

    def __init__(self, loopback: bool = False, ask: LookUp = look_up, at_once: int = 32) -> None:
        """Take whether this machine's own addresses pass, who is asked, and how many names at a time."""
        self._loopback, self._ask = loopback, ask
        # Threads of its own, for the system's look-up takes no deadline: who waits for one can then give up.
        self._pool = ThreadPoolExecutor(at_once, thread_name_prefix="names")
        self._known: dict[str, Future[Found]] = {}
        self._lock = threading.Lock()

    def addresses(self, host: str, clock: Clock) -> Found:
        """List the addresses of a name.

        Raises:
            NotFetchedError: If it has none, or one of them is not of the public internet: a name with both kinds
                was made to be tried until the other one comes up.
        """
        with self._lock:
            if host not in self._known:
                self._known[host] = self._pool.submit(self._ask, host)
            asked = self._known[host]
        try:
            found = asked.result(clock.left())
        except TimeoutError:
            raise NotFetchedError("the name server does not answer", passing=True) from None
        except OSError:
            raise NotFetchedError("unknown host", passing=True) from None
        except UnicodeError:
            raise NotFetchedError("no valid host name") from None
        if not found or not all(is_global(one, self._loopback) for one in found):
            raise NotFetchedError("the host's address is not of the public internet")
        return found

    def forget_unknown(self) -> None:
        """Ask for the names again that gave no address: a name server may have been busy."""
        with self._lock:
            self._known = {
                host: asked
                for host, asked in self._known.items()
                if not asked.done() or asked.exception() is None
            }

    def close(self) -> None:
        """End its threads; what is still asked for is left alone."""
        self._pool.shutdown(wait=False, cancel_futures=True)
