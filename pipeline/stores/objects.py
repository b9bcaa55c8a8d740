"""Objects of a store: whole or absent, written once or by who saw the last state.

A reply can be lost after the store has done what it was asked for. So every conditional write carries content that no
other writer has, and one that is refused, or not answered, is read back: what stands is one's own, or another's.
"""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Iterable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

from indexes.errors import BadInputError, OutputError
from pipeline.files.storage import output_errors, temporary_name
from pipeline.stores.at_once import at_once
from pipeline.stores.credentials import configuration
from pipeline.stores.object_states import HeldObject, SeenObject, Version, told_by, version_of
from pipeline.stores.store_addresses import Address
from pipeline.stores.store_errors import in_words, is_of_a_store, is_torn, refuse_for_good, store_errors

_TRIES = 6
_DECISIONS = 16
"""Tries of a conditional write, which the client does not repeat by itself: a minute of waiting, as it waits."""
_PIECE = 16 << 20
_MANY = 1000
# A store that does not answer, or is busy, is asked again for a minute: it may be started anew. Waits are drawn, so
# that their number says little of the time.
_RETRIES = {
    "max_retries": 200,
    "retry_timeout": timedelta(seconds=60),
    "backoff": {"init_backoff": timedelta(milliseconds=100), "max_backoff": timedelta(seconds=10), "base": 2},
}


class Objects:
    """The objects below an address, by their names there."""

    def __init__(self, address: Address) -> None:
        """Connect; asks the store for nothing yet.

        Raises:
            BadInputError: If the library for stores is not installed.
        """
        try:
            import obstore
            from obstore import exceptions, store
        except ImportError as error:
            raise BadInputError(
                f"'{address}' is on an object store, which needs obstore: pip install 'nearfar[s3]'"
            ) from error
        self.address = address
        self._library: Any = obstore
        self._taken = (exceptions.AlreadyExistsError, exceptions.PreconditionError)
        with store_errors(address, "connect to"):
            # Which options there are depends on the scheme, which its types ask for before they are known.
            connect: Any = store.from_url
            self._store: Any = connect(str(address), retry_config=_RETRIES, **configuration(address))

    def read(self, name: str) -> HeldObject | None:
        """Read an object whole; None where there is none.

        Raises:
            OutputError: If the store refuses, or there is no bucket.
        """
        with contextlib.suppress(FileNotFoundError), self._reading(name):
            found = self._library.get(self._store, name)
            return HeldObject(bytes(found.bytes()), version_of(found.meta))
        return None

    def write(self, name: str, content: bytes | Path) -> Version:
        """Write an object, whatever stands there, and see that it is there in full size.

        Raises:
            OutputError: If the store refuses, or holds another size than was sent.
        """
        size = len(content) if isinstance(content, bytes) else content.stat().st_size
        for left in reversed(range(_TRIES)):
            made = self._put(name, content, size)
            if self.size(name) == size and made is not None:
                return made
            if left:
                _wait(_TRIES - left)
        raise OutputError(
            f"cannot write to '{self.address}': '{name}' arrives there in another size than was sent. Look at the "
            "network and the store, and run again to resume"
        )

    def write_new(self, name: str, content: bytes) -> Version | None:
        """Write an object where there is none; None where another's stands. `content` is like no other writer's."""
        return self._decide(name, content, None)

    def replace(self, name: str, content: bytes, version: Version) -> Version | None:
        """Write an object in place of the state that was seen; None where it is another's by now."""
        return self._decide(name, content, version)

    def seen(self, name: str) -> SeenObject | None:
        """Look at an object without reading it; None where there is none."""
        with store_errors(self.address, "read"):
            try:
                found = self._library.head(self._store, name)
                return SeenObject(name, int(found["size"]), version_of(found))
            except FileNotFoundError:
                return None

    def size(self, name: str) -> int | None:
        """Size of an object in bytes; None where there is none."""
        found = self.seen(name)
        return None if found is None else found.bytes

    def listing(self, under: str = "") -> list[SeenObject]:
        """List the objects whose names begin with the folder `under`, by name.

        Raises:
            OutputError: If there is no bucket, or it cannot be listed.
        """
        with store_errors(self.address, "list"):
            pages = self._library.list(self._store, prefix=under or None, chunk_size=_MANY)
            found = (one for page in pages for one in page)
            seen = [SeenObject(one["path"], int(one["size"]), version_of(one)) for one in found]
        return sorted(seen, key=lambda one: one.name)

    def chunks(self, name: str) -> Iterator[bytes]:
        """Read an object piece by piece.

        Raises:
            FileNotFoundError: If there is none.
            OutputError: If the store refuses, or breaks off.
        """
        with self._reading(name):
            for chunk in self._library.get(self._store, name).stream(min_chunk_size=1 << 20):
                yield bytes(chunk)

    def part(self, name: str, first: int, end: int) -> tuple[bytes, SeenObject]:
        """Read the bytes of an object from `first` up to `end`, and see which state they are of.

        Raises:
            FileNotFoundError: If there is no such object.
            OutputError: If the store refuses, or the object has no such bytes.
        """
        with self._reading(name):
            found = self._library.get(self._store, name, options={"range": (first, end)})
            seen = SeenObject(name, int(found.meta["size"]), version_of(found.meta))
            return bytes(found.bytes()), seen

    def download(self, name: str, into: Path) -> None:
        """Bring an object to a file: whole, or not at all. The file's folder is made.

        Raises:
            FileNotFoundError: If there is no such object.
            OutputError: If the store refuses, or breaks off each time.
        """
        with output_errors(into):
            into.parent.mkdir(parents=True, exist_ok=True)
        temporary = into.with_name(temporary_name(into.name))
        try:
            with output_errors(into):
                self._receive(name, temporary)
                temporary.replace(into)
        finally:
            temporary.unlink(missing_ok=True)

    def remove(self, names: Iterable[str]) -> None:
        """Remove objects; one that is gone already is no matter."""
        gone = list(names)
        with store_errors(self.address, "delete from"):
            for first in range(0, len(gone), _MANY):
                self._remove(gone[first : first + _MANY])

    @contextlib.contextmanager
    def _reading(self, name: str) -> Iterator[None]:
        with store_errors(self.address, "read"):
            try:
                yield
            except FileNotFoundError as error:
                refuse_for_good(self.address, error)
                raise FileNotFoundError(name) from error

    def _remove(self, names: list[str]) -> None:
        try:
            self._library.delete(self._store, names)
        except FileNotFoundError as error:
            refuse_for_good(self.address, error)
            if len(names) > 1:  # some stores say it of one that is gone, and may have left the rest
                at_once(lambda name: self._remove([name]), names)

    def _put(self, name: str, content: bytes | Path, size: int) -> Version | None:
        """Write an object; None where the store says of a piece that it did not arrive as it was sent."""
        with store_errors(self.address, "write to"):
            try:
                return version_of(
                    self._library.put(
                        self._store, name, content, use_multipart=size > 2 * _PIECE, chunk_size=_PIECE
                    )
                )
            except Exception as error:
                if not is_torn(error):
                    raise
                return None

    def _receive(self, name: str, temporary: Path) -> None:
        for left in reversed(range(_TRIES)):
            try:
                with temporary.open("wb") as stream:
                    for chunk in self.chunks(name):
                        stream.write(chunk)
                if temporary.stat().st_size == self.size(name):
                    return
            except OutputError:
                if not left:
                    raise
            _wait(_TRIES - left)
        raise OutputError(
            f"cannot read '{self.address}': '{name}' breaks off each time. Look at the network, and run again to resume"
        )

    def _decide(self, name: str, content: bytes, before: Version | None) -> Version | None:
        """Write an object if it is still in the state `before` (None: if there is none)."""
        said = "status code: 409"
        for tried in range(_DECISIONS):
            try:
                mode = "create" if before is None else before
                return version_of(
                    self._library.put(self._store, name, content, mode=mode, use_multipart=False)
                )
            except self._taken:
                pass
            except Exception as error:
                if not is_of_a_store(error):
                    raise
                refuse_for_good(self.address, error)
                said = str(error)
            # A refusal may be the answer to a second try of the client's own, and no answer says nothing.
            standing = self.read(name)
            if standing is not None and standing.content == content:
                return standing.version
            if told_by(None if standing is None else standing.version) != told_by(before):
                return None
            _wait(tried + 1)
        raise OutputError(f"cannot write to '{self.address}': {in_words(self.address, said)}")


def _wait(tried: int) -> None:
    """Wait longer each time, and never as long as the others do."""
    time.sleep(min(5.0, 0.05 * 2**tried) * (0.5 + random.random()))  # noqa: S311 - no secret
