"""The samples of a tar as a table beside it, `00000000.parquet`, where img2dataset has its own.

It says of each sample what a trainer reads of it, without opening the tar: who wants captions, links or a count asks
DuckDB, and Croissant takes its text from here.
"""

from __future__ import annotations

import codecs
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.files.afar.endings import IMAGE_KINDS
from pipeline.files.parquet import Writing, open_parquet
from pipeline.readers._described import decoded
from pipeline.sets import columns
from pipeline.webdataset.tar_filling import FilledSamples

LISTED = pa.schema(
    [(name, pa.string()) for name in ("key", "uid", "caption", "url", "label", "image", "json")]
)
"""A row for each sample, in the tar's order.

`key` names its members; `caption` is its `txt`, `url` and `label` are what its `json` says; `image` is the name of the
member that is its image, `json` that member as text. NULL is what it has not.
"""
MOST_TEXT = 1 << 20
"""Bytes of a json or txt that is listed; a larger one is NULL here, and whole in the tar."""
_TEXTS = ("json", "txt")
# Columns that are bytes of members until they are written.
_MEMBERS = ("json", "caption")
# Samples are made columns so many at a time: few take as long as many.
_WAITING = 4096
# A row group holds so many bytes of text, more or less.
_GROUP = 32 << 20

Texts = list[str | None]


class SampleListing:
    """Takes samples as they are written."""

    def __init__(self, writing: Writing) -> None:
        self.kinds: Counter[str] = Counter()
        """Members of each kind."""
        self._writing = writing
        self._waiting: dict[str, list[Any]] = {name: [] for name in LISTED.names}
        self._bytes = 0

    def add(self, filled: FilledSamples) -> None:
        """List some samples."""
        counts = np.bincount(filled.kind, minlength=len(filled.kinds)).tolist()
        self.kinds.update({kind: many for kind, many in zip(filled.kinds, counts, strict=True) if many})
        jsons, captions = (_contents(filled, kind) for kind in _TEXTS)
        self._bytes += sum(len(content) for of in (jsons, captions) for content in of if content is not None)
        told = [
            (None, None) if content is None else _told(content, filled.said.get(sample))
            for sample, content in enumerate(jsons)
        ]
        keys = filled.keys
        found: dict[str, list[Any]] = {
            "key": keys,
            "uid": filled.uids,
            "caption": captions,
            "url": [url for url, _ in told],
            "label": [label for _, label in told],
            "image": _images(filled, keys),
            "json": jsons,
        }
        for name, column in self._waiting.items():
            column += found[name]
        if self._bytes >= _GROUP:
            self.flush()
        elif len(self._waiting["key"]) >= _WAITING:
            self._send()

    def flush(self) -> None:
        """Write what waits as the end of a row group."""
        self._send()
        self._writing.flush()
        self._bytes = 0

    def _send(self) -> None:
        """Make columns of what waits."""
        arrays = [
            _texts(held) if name in _MEMBERS else pa.array(held, pa.string())
            for name, held in self._waiting.items()
        ]
        self._writing.add(pa.table(arrays, schema=LISTED))
        self._waiting = {name: [] for name in LISTED.names}

    @property
    def rows(self) -> int:
        """Samples that were written."""
        return self._writing.rows


@contextmanager
def open_listing(path: Path) -> Iterator[SampleListing]:
    """Open a new listing; it is whole when the block ends.

    Raises:
        OutputError: If the file exists or cannot be written.
    """
    with open_parquet(path, LISTED) as writing:
        listing = SampleListing(writing)
        yield listing
        listing.flush()


def _contents(filled: FilledSamples, kind: str) -> list[bytes | None]:
    """Find the member of one kind, of each sample that has it, and not too large."""
    found: list[bytes | None] = [None] * len(filled.uids)
    for sample, content in filled.of(kind, MOST_TEXT):
        found[sample] = content
    return found


def _texts(contents: list[bytes | None]) -> pa.Array:
    """Read texts: all at once where they are plain UTF-8, as almost all are."""
    marked = any(content.startswith(codecs.BOM_UTF8) for content in contents if content is not None)
    if not marked:
        with suppress(pa.ArrowInvalid):
            return pa.array(contents, pa.binary()).cast(pa.string())
    odd = Counter[str]()
    return pa.array([None if one is None else decoded(one, odd) for one in contents], pa.string())


def _images(filled: FilledSamples, keys: list[str]) -> Texts:
    """Name the member that is each sample's image, of several the one that open_clip would take."""
    found: Texts = [None] * len(keys)
    for kind in reversed([kind for kind in IMAGE_KINDS if kind in filled.kinds]):
        for sample in filled.sample[filled.kind == filled.kinds.index(kind)].tolist():
            found[sample] = f"{keys[sample]}.{kind}"
    return found


def _told(content: bytes, said: Mapping[str, Any] | None) -> tuple[str | None, str | None]:
    """Find url and label in a json, which has perhaps been read on the way."""
    if said is None:
        try:
            said = json.loads(decoded(content, Counter()))
        except (ValueError, RecursionError):
            return None, None
    found = said
    if not isinstance(found, dict):
        return None, None
    url, label = _named(tuple(found))
    return _plain(found.get(url)), _plain(found.get(label))


@lru_cache(maxsize=1024)
def _named(names: tuple[str, ...]) -> tuple[str | None, str | None]:
    """Find the names of url and label: samples of a pool have mostly the same."""
    url, label = (columns.find(names, columns.ALIASES[role]) for role in ("url", "label"))
    return None if url is None else names[url], None if label is None else names[label]


def _plain(value: Any) -> str | None:
    return columns.plain_text(value) if isinstance(value, str) else None
