"""Which classes a caption names."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from hashlib import sha256
from typing import ClassVar, Self

import numpy as np
import pyarrow as pa

from curation.classes import IMAGENET_1K, Matcher, class_list, digest_of, kind_of_matcher, wordnet_digest
from curation.measure import CAPTION, Block, Column, Columns, Measure, Model
from curation.plugin_options import pinned


@dataclass(frozen=True, slots=True)
class Classes(Measure):
    """The classes that a caption names, by one of the matchers in `curation/classes/`.

    A missing caption names NULL, a caption without a class names none (an empty list).

    Attributes:
        matcher: The rule.
        names: The class list: `imagenet-1k`, `imagenet-21k`, or a JSON file's path.
        digest: Of all that the matcher read, 64 hex digits. It is filled in; a plan that gives it is held to it.
    """

    matcher: str = "laionet"
    names: str = IMAGENET_1K
    digest: str | None = None
    needs: ClassVar[tuple[str, ...]] = (CAPTION,)

    def resolved(self, where: str) -> Self:
        """Fill in the digest, and find out whether class list and matcher can be read at all.

        Raises:
            PlanError: If the class list is wrong, does not suit the matcher, or is not the one of the digest.
        """
        what = f"{where}.names: {self.names} (or WordNet)"
        digest = pinned(self.digest, _digest(self.matcher, self.names, where), what, where)
        _made(self.matcher, self.names, digest, where)
        return replace(self, digest=digest)

    def columns(self) -> tuple[Column, ...]:
        """All classes, and the one."""
        return (
            Column(
                "found",
                pa.list_(pa.int32()),
                f"positions in {self.names} of the classes that the caption names",
            ),
            Column("single", pa.int32(), "the class, where the caption names exactly one; NULL otherwise"),
        )

    def apply(self, block: Block, model: Model) -> Columns:
        """Match caption by caption."""
        match = _made(
            self.matcher, self.names, self.digest or digest_of(self.names, "names"), "measures"
        ).match
        found = [None if text is None else match(text) for text in block.columns[CAPTION].to_pylist()]
        lengths = np.array([-1 if each is None else len(each) for each in found], dtype=np.int64)
        single = np.array([each[0] if each else 0 for each in found], dtype=np.int32)
        return {
            "found": pa.array(found, pa.list_(pa.int32())),
            "single": pa.array(single, mask=lengths != 1),
        }


def _digest(matcher: str, names: str, where: str) -> str:
    kind, digest = kind_of_matcher(matcher, f"{where}.matcher"), digest_of(names, f"{where}.names")
    if kind.needs_wordnet:
        digest = sha256((digest + wordnet_digest(f"{where}.matcher: {matcher}")).encode()).hexdigest()
    return digest


@lru_cache(maxsize=4)
def _made(matcher: str, names: str, digest: str, where: str) -> Matcher:
    return kind_of_matcher(matcher)(class_list(names, digest, f"{where}.names"))
