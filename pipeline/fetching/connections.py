"""HTTP connections to addresses that were looked at, without proxies of the environment."""

from __future__ import annotations

import errno
import http.client
import resource
import socket
import ssl
from contextlib import suppress
from functools import cache

from indexes.errors import RunFailedError
from pipeline.fetching.host_names import HostNames
from pipeline.fetching.limits import NotFetchedError
from pipeline.fetching.timed_socket import Clock, TimedSocket

_OTHER_FILES = 256


@cache
def _certificates() -> ssl.SSLContext:
    return ssl.create_default_context()


def let_open(connections: int) -> None:
    """Let this process have so many connections, and as many names being looked up, as far as it may decide that.

    Many systems begin with 256 or 1,024 open files, and allow more to those who ask.
    """
    soft, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * connections + _OTHER_FILES
    if most != resource.RLIM_INFINITY:
        wanted = min(wanted, most)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(ValueError, OSError):  # a system that allows less says so when it is reached
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))


class Connection(http.client.HTTPConnection):
    """A connection to one host, over TLS or not, that keeps the clock's time."""

    def __init__(self, host: str, port: int | None, secure: bool, names: HostNames, clock: Clock) -> None:
        super().__init__(host, port or (443 if secure else 80))
        self._secure, self._names, self._clock = secure, names, clock
        self._open: TimedSocket | None = None

    def connect(self) -> None:
        """Connect to the first of the host's addresses that answers.

        Raises:
            NotFetchedError: If none does, or the certificate is not the host's.
            RunFailedError: If this process may open no more files: that is nothing of the host's.
        """
        host = self.host.strip("[]")
        failed: OSError | None = None
        for address in self._names.addresses(host, self._clock):
            try:
                wire = socket.create_connection((address, self.port), timeout=self._clock.left())
                self._clock.connected = True
                break
            except OSError as error:
                if error.errno in (errno.EMFILE, errno.ENFILE):
                    raise RunFailedError(
                        "no more files may be open at a time, and each connection is one. Allow more (ulimit -n), or "
                        "take fewer connections"
                    ) from error
                failed = error
        else:
            raise NotFetchedError("no connection", passing=True) from failed
        try:
            wire.settimeout(self._clock.left())
            secured = _certificates().wrap_socket(wire, server_hostname=host) if self._secure else wire
        except (OSError, ValueError) as error:
            wire.close()
            raise NotFetchedError(
                "no secure connection", passing=not isinstance(error, ssl.SSLError)
            ) from error
        self._open = TimedSocket(secured, self._clock)
        self.sock = self._open

    def end(self) -> None:
        """Close the connection, whatever of the answer was read."""
        self.close()
        if self._open is not None:
            self._open.end()
