"""From the name of a tar's member to the key of its sample, and which keys are fit to be one."""

from __future__ import annotations

import re
from collections import Counter

from pipeline.files.afar.endings import IMAGE_KINDS
from pipeline.readers._leftover import is_dropping
from pipeline.readers._tars.tar_members import members, opened

TEXTS = ("json", "txt")
MAX_KEY_BYTES = 4096
# Members that belong to no sample, as they are counted.
HIDDEN = "hidden members of tars and droppings of systems (as ._0.jpg of macOS), left out"
NO_SUFFIX = "members of tars whose names end with no suffix (as README), left out"
# webdataset's split: the key is everything before the first dot of the file's name, folders included.
_MEMBER = re.compile(r"(?:\./)?((?:.*/)?[^./][^./]*)\.([^/]*)", re.DOTALL)
_ABSOLUTE = re.compile("(?:[A-Za-z]:)?/")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class Names:
    """Splits the names of one tar's members.

    A name with several dots is `key.what.kind` to webdataset: `7.mask.png` is one more file of sample 7. Where no
    such sample has an image of its own, as in `www.host.1.jpg`, the dots belong to the key.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._dotted: frozenset[str] | None = None

    def split(self, name: str, left: Counter[str]) -> tuple[str, str] | None:
        """Split into key and lower-case suffix; None for a file that belongs to no sample, which `left` counts.

        Raises:
            DataError: If the tar is damaged; its headers are looked through where a name has several dots.
        """
        # Archivers of Windows may write its separator.
        path = name.replace("\\", "/")
        if any(is_dropping(part) for part in path.split("/") if part not in (".", "..")):
            left[HIDDEN] += 1
            return None
        found = _MEMBER.fullmatch(path)
        if found is None:
            left[NO_SUFFIX] += 1
            return None
        key, suffix = found.group(1), found.group(2)
        inner, dot, kind = suffix.rpartition(".")
        if dot and kind.lower() in (*IMAGE_KINDS, *TEXTS) and key in self._keys_with_dots():
            return f"{key}.{inner}", kind.lower()
        return key, suffix.lower()

    def _keys_with_dots(self) -> frozenset[str]:
        """Find what stands before the first dot of images of which none is `key.kind`."""
        if self._dotted is None:
            plain: set[str] = set()
            dotted: set[str] = set()
            with opened(self._path) as file:
                for member in members(file, self._path):
                    found = _MEMBER.fullmatch(member.name.replace("\\", "/"))
                    _, dot, kind = found.group(2).lower().rpartition(".") if found else ("", "", "")
                    if found and kind in IMAGE_KINDS:
                        (dotted if dot else plain).add(found.group(1))
            self._dotted = frozenset(dotted - plain)
        return self._dotted


def key_fault(key: str) -> str | None:
    """Say why a key is refused; None if it names a sample and would be safe as a path."""
    if len(key.encode("utf-8", "surrogateescape")) > MAX_KEY_BYTES:
        return f"key of more than {MAX_KEY_BYTES:,} bytes"
    if _CONTROL.search(key):
        return "key with a control character"
    if _ABSOLUTE.match(key) or not {"..", "."}.isdisjoint(key.split("/")):
        return "key that leads out of its folder"
    return None
