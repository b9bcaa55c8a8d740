"""Class lists: ImageNet's, which come with timm, or a user's JSON file.

timm's package (Apache-2.0) holds WordNet's lemmas of ImageNet's synsets as data. They are read from where it is
installed.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from indexes.errors import PlanError

IMAGENET_1K, IMAGENET_21K = "imagenet-1k", "imagenet-21k"
BUILT_IN = {IMAGENET_1K: "imagenet_synsets.txt", IMAGENET_21K: "imagenet21k_goog_synsets.txt"}
LEMMAS = "imagenet_synset_to_lemma.txt"
FORMS = (
    'a JSON list of names, ["dog", ["cat", "tabby"]], or an object of them by class, {"n02084071": ["dog"]}'
)


@dataclass(frozen=True, slots=True)
class NamedClasses:
    """Classes in order.

    Attributes:
        ids: What each is called: a WordNet id (`n01440764`), a key of the user's file, or its first name.
        names: The names of each, at least one; two classes may share a name, but not all names.
    """

    ids: tuple[str, ...]
    names: tuple[tuple[str, ...], ...]

    def __len__(self) -> int:
        """Count the classes."""
        return len(self.ids)


def digest_of(source: str, where: str) -> str:
    """Hash what a class list is read from: sha256, 64 hex digits.

    Raises:
        PlanError: If there is no such file.
    """
    return hashlib.sha256(b"".join(_read(source, where))).hexdigest()


@lru_cache(maxsize=4)
def class_list(source: str, digest: str, where: str) -> NamedClasses:
    """Read a class list.

    Args:
        source: `imagenet-1k`, `imagenet-21k`, or the path of a JSON file.
        digest: Of what is read, so that a file that changed is read again.
        where: Place in the plan, for messages.

    Raises:
        PlanError: If the file is not a class list, a name in it is empty, or a class is doubled.
    """
    pieces = _read(source, where)
    if source in BUILT_IN:
        lines = (line.split("\t", 1) for line in pieces[1].decode().splitlines())
        lemmas = {wnid: tuple(words.split(", ")) for wnid, words in lines}
        ids = tuple(pieces[0].decode().split())
        return NamedClasses(ids, tuple(lemmas[wnid] for wnid in ids))
    place = f"{where}: {source}"
    try:
        return checked(json.loads(pieces[0].decode("utf-8-sig"), object_pairs_hook=_once(place)), place)
    except ValueError as error:
        raise PlanError(f"{place} is not JSON in UTF-8 ({error}); a class list is {FORMS}") from None


def checked(content: Any, place: str) -> NamedClasses:
    """Make a class list of a JSON file's content.

    A name that a class has twice counts once: the published list of class frequencies has such a class.

    Raises:
        PlanError: If it has another form, has no class, a name is empty, or two classes have the same names.
    """
    if isinstance(content, dict):
        pairs = list(content.items())
    elif isinstance(content, list):
        pairs = [(None, each) for each in content]
    else:
        raise PlanError(f"{place} holds {type(content).__name__}; a class list is {FORMS}")
    if not pairs:
        raise PlanError(f"{place} names no class; a class list is {FORMS}")
    ids, names, first = [], [], dict[tuple[str, ...], int]()
    for position, (key, given) in enumerate(pairs):
        words = _names(given, f"{place}: class {position}" + ("" if key is None else f" ({key!r})"))
        if words in first:
            raise PlanError(
                f"{place}: classes {first[words]} and {position} have the same names ({', '.join(words)}), so no "
                "caption could tell them apart; take one out, or give it a name of its own"
            )
        first[words] = position
        ids.append(words[0] if key is None else key)
        names.append(words)
    return NamedClasses(tuple(ids), tuple(names))


def _names(given: Any, place: str) -> tuple[str, ...]:
    words = (given,) if isinstance(given, str) else tuple(given) if isinstance(given, list) else ()
    if not words or not all(isinstance(word, str) for word in words):
        raise PlanError(f"{place} is {given!r}; it should be a name or a list of names, at least one")
    for number, word in enumerate(words):
        if not word.strip():
            raise PlanError(
                f"{place} has an empty name (number {number}); every caption would name it: take it out"
            )
    return tuple(dict.fromkeys(words))


def _once(place: str) -> Any:
    def build(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in pairs:
            if key in found:
                raise PlanError(f"{place} has the class {key!r} twice; name each once")
            found[key] = value
        return found

    return build


def _read(source: str, where: str) -> list[bytes]:
    if source in BUILT_IN:
        return [built_in_file(name, f"{where} is {source!r}, which") for name in (BUILT_IN[source], LEMMAS)]
    try:
        return [Path(source).read_bytes()]
    except OSError as error:
        raise PlanError(
            f"{where} is {source!r}, which cannot be read ({error.strerror}); it takes {', '.join(BUILT_IN)}, or the "
            f"path of a file with {FORMS}"
        ) from None


def built_in_file(name: str, where: str) -> bytes:
    """Read one of the files of ImageNet's synsets that come with timm.

    Raises:
        PlanError: If timm is not installed.
    """
    # Found without being imported: that would load torch.
    package = find_spec("timm")
    if package is None or package.origin is None:
        raise PlanError(f"{where} comes with timm, and timm is not installed: pip install timm")
    return (Path(package.origin).parent / "data" / "_info" / name).read_bytes()
