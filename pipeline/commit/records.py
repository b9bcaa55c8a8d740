"""Commit records: the small JSON files that say which units are done, and with which bytes.

A record is a pure function of its unit's outputs and facts: sorted keys, no clock, no host name. It carries a digest of
itself. Readers open what a record names and never list an output folder.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import quote

import numpy as np
from pydantic import TypeAdapter, ValidationError

from indexes.errors import OutputError
from pipeline import layout
from pipeline.files.storage import entries, file_size, open_folder, read_file, relative_parts
from pipeline.stores.working_copies import store_of

Bytes: TypeAlias = bytes  # `Output.bytes` shadows the type


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit of work: its stage, its name in the stage, and the fingerprint of all that decides its bytes."""

    stage: str
    name: str
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Output:
    """One committed file: path relative to the output folder (with `/`), size, rows if it has any, sha256."""

    path: str
    bytes: int
    rows: int | None
    sha256: str


@dataclass(frozen=True, slots=True)
class Record:
    """A unit that is done; `facts` is what its stage wants to remember (counts, thresholds, seeds)."""

    stage: str
    name: str
    fingerprint: str
    outputs: tuple[Output, ...]
    facts: dict[str, Any]

    @property
    def label(self) -> str:
        """The unit as messages name it."""
        return f"{self.stage}/{self.name}"


_RECORD = TypeAdapter(Record)
_FIELDS, _OUTPUT_FIELDS = (tuple(field.name for field in fields(of)) for of in (Record, Output))
_SIGNED = re.compile(rb'\{\n "digest": "([0-9a-f]{64})",\n')


def output_of(record: Record, path: str) -> Output:
    """Find one output of a unit by its path."""
    return next(output for output in record.outputs if output.path == path)


def canonical_json(value: object) -> Bytes:
    """JSON that is the same for equal values: sorted keys, ASCII, no NaN; numpy scalars as plain numbers."""
    return json.dumps(value, sort_keys=True, allow_nan=False, indent=1, default=_plain).encode() + b"\n"


def fingerprint(*parts: object) -> str:
    """sha256 of the canonical JSON of `parts`: equal parts, equal fingerprint, on any machine."""
    return hashlib.sha256(canonical_json(list(parts))).hexdigest()


def record_file(name: str) -> str:
    """File name of a unit's record; what a file system could misread is percent-encoded.

    Raises:
        OutputError: If the name is empty or too long for a file name.
    """
    spelled = quote(name, safe=" ")
    spelled = f"%2E{spelled[1:]}" if spelled.startswith(".") else spelled
    if not name or len(spelled) > 200:
        raise OutputError(
            f"'{name[:60]}' cannot name a unit of work: it is empty or too long. Shorten the name"
        )
    return f"{spelled}.json"


def commit_folder(stage: str) -> str:
    """Folder of a stage's records, relative to the output folder."""
    return f"{layout.COMMITS}/{record_file(stage).removesuffix('.json')}"


def record_path(stage: str, name: str) -> str:
    """Locate a unit's record, relative to the output folder; it is also the name of its object on a store."""
    return f"{commit_folder(stage)}/{record_file(name)}"


def read_record(out: Path, stage: str, name: str) -> Record | None:
    """The record of a unit, with any fingerprint; None where there is none, or only a torn one."""
    found = _load(out, stage, record_file(name))
    return found if found and (found.stage, found.name) == (stage, name) else None


def records(out: Path, stage: str) -> list[Record]:
    """All records of a stage, sorted by unit name."""
    try:
        with open_folder(out, commit_folder(stage)) as folder:
            names = [name for name in entries(folder) if name.endswith(".json") and not name.startswith(".")]
    except FileNotFoundError:
        return []
    found = (_load(out, stage, name) for name in names)
    return sorted((record for record in found if record), key=lambda record: record.name)


def find(out: Path, unit: Unit) -> Record | None:
    """The record of a unit that is done: it has this fingerprint, and each output is there in full size.

    In a working copy of a store a record stands only while its objects do; its files are brought when they are needed.
    """
    record = read_record(out, unit.stage, unit.name)
    if record is None or record.fingerprint != unit.fingerprint:
        return None
    whole = all(file_size(out, output.path) == output.bytes for output in record.outputs)
    return record if whole or store_of(out) is not None else None


def parse_record(content: Bytes) -> Record | None:
    """Read a record; None where a byte of it is not what was written, or it names a path outside the output folder."""
    head = _SIGNED.match(content)
    if head is not None and _digest_of(held := b"{\n" + content[head.end() :]) != head[1]:
        return None
    try:
        record = _RECORD.validate_json(content if head is None else held)
        for output in record.outputs:
            relative_parts(output.path)
    except (ValidationError, OutputError):
        return None
    # Records of earlier versions have no digest; they hold if they are spelled as those versions spelled them.
    return record if head is not None or content == _held(record) else None


def dump_record(record: Record) -> Bytes:
    """The bytes of a record's file, with a digest of themselves: a flipped bit in a fact makes it no record."""
    held = _held(record)
    return b'{\n "digest": "%s",\n%s' % (_digest_of(held), held.removeprefix(b"{\n"))


def _held(record: Record) -> Bytes:
    outputs = [{name: getattr(output, name) for name in _OUTPUT_FIELDS} for output in record.outputs]
    return canonical_json({name: getattr(record, name) for name in _FIELDS} | {"outputs": outputs})


def _digest_of(held: Bytes) -> Bytes:
    """`fingerprint` of what a record's text says, from the text: as the one item of a list it stands one space in."""
    inner = held.removesuffix(b"\n").replace(b"\n", b"\n ")
    return hashlib.sha256(b"[\n %s\n]\n" % inner).hexdigest().encode()


def _load(out: Path, stage: str, file: str) -> Record | None:
    try:
        with open_folder(out, commit_folder(stage)) as folder:
            return parse_record(read_file(file, folder))
    except FileNotFoundError:
        return None


def _plain(value: object) -> object:
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(
        f"{type(value).__name__} {value!r} has no canonical JSON; use text, numbers, lists and dicts"
    )
