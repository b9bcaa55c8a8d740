"""YAML read safely: scalars, lists and maps of one small UTF-8 document, each with its place in the file.

Tags, anchors, aliases, directives, duplicate keys and keys that are no text are refused. Values are built
from the parser's events, so no constructor that a tag could name ever runs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import yaml

from indexes.errors import BadInputError, PlanError
from pipeline.documents.yaml_scalars import AmbiguousScalarError, resolve_plain

MAX_BYTES = 1_000_000
MAX_DEPTH = 32
Place = tuple[str | int, ...]
_ODD_BREAKS = re.compile("[\r\x85\u2028\u2029\ufeff]")


@dataclass(frozen=True, slots=True)
class Mark:
    """Where a value was written: a file with line and column (from 1), or a command-line option."""

    source: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return f"{self.source}:{self.line}:{self.column}" if self.line else self.source


@dataclass(slots=True)
class Document:
    """A YAML document's value, and the mark of each place in it."""

    value: Any
    source: str
    marks: dict[Place, Mark] = field(default_factory=dict)

    def mark(self, place: Place) -> Mark:
        """Find the mark of `place`, or of the nearest place above it that was written."""
        for length in range(len(place), -1, -1):
            if place[:length] in self.marks:
                return self.marks[place[:length]]
        return Mark(self.source)


def load_yaml(path: str | Path, what: str = "plan", error: type[BadInputError] = PlanError) -> Document:
    """Read the YAML file at `path`.

    Args:
        path: A file of at most `MAX_BYTES` bytes of UTF-8.
        what: What the file is to the user, for messages.
        error: The error to raise.
    """
    return parse_yaml(_read_text(Path(path), what, error), str(path), error)


def _read_text(path: Path, what: str, error: type[BadInputError]) -> str:
    if not path.is_file():
        state = "is not a file" if path.exists() else "does not exist"
        raise error(f"{path}: the {what} {state}; give the path of a YAML file")
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as failure:
        raise error(f"{path}: cannot read the {what}: {failure.strerror}; check its permissions") from failure
    if len(content) > MAX_BYTES:
        raise error(
            f"{path}: the {what} has {path.stat().st_size:,} bytes; at most {MAX_BYTES:,} are read. "
            "A file of that size is most likely not the one you meant"
        )
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as failure:
        before = content[: failure.start]
        line, column = before.count(b"\n") + 1, failure.start - before.rfind(b"\n")
        raise error(
            f"{path}:{line}:{column}: byte 0x{content[failure.start]:02x} is not UTF-8; save it as UTF-8"
        ) from failure


def parse_yaml(text: str, source: str, error: type[BadInputError] = PlanError) -> Document:
    """Build the one document in `text`; `source` names it in messages.

    Raises:
        BadInputError: (as `error`) if `text` is not YAML, or uses what is refused here.
    """
    return _Builder(text, source, error).build()


class _Builder:
    """Turns parser events into values, one document, refusing by name what it does not read."""

    def __init__(self, text: str, source: str, error: type[BadInputError]) -> None:
        self._text, self._error = text, error
        self._document = Document(None, source)
        self._depth = 0

    def build(self) -> Document:
        try:
            self._events: Iterator[yaml.Event] = iter(yaml.parse(self._text, Loader=yaml.SafeLoader))
            self._read_document()
        except yaml.MarkedYAMLError as failure:
            self._refuse(failure.problem_mark or failure.context_mark, f"not YAML: {failure.problem}")
        except yaml.reader.ReaderError as failure:
            self._refuse_character(failure.position)
        return self._document

    def _read_document(self) -> None:
        next(self._events)  # the stream's start
        start = next(self._events)
        if isinstance(start, yaml.StreamEndEvent):
            self._refuse(None, "the document is empty; write at least one key")
        if isinstance(start, yaml.DocumentStartEvent) and (start.version or start.tags):
            self._refuse(start.start_mark, "a % directive is not read; leave that line out")
        self._document.value = self._value(next(self._events), ())
        next(self._events)  # the document's end
        after = next(self._events)
        if not isinstance(after, yaml.StreamEndEvent):
            self._refuse(after.start_mark, "a second document begins here; keep one document a file")

    def _value(self, event: yaml.Event, place: Place) -> Any:
        self._document.marks.setdefault(place, self._mark(event.start_mark))
        if isinstance(event, yaml.AliasEvent):
            self._refuse(event.start_mark, f"the alias *{event.anchor} is not read; write the value out")
        if isinstance(event, yaml.NodeEvent) and event.anchor:
            self._refuse(event.start_mark, f"the anchor &{event.anchor} is not read; leave it out")
        if isinstance(event, yaml.ScalarEvent | yaml.CollectionStartEvent) and event.tag:
            self._refuse(event.start_mark, f"the tag {event.tag} is not read; leave it out")
        if isinstance(event, yaml.ScalarEvent):
            return self._scalar(event)
        self._depth += 1
        if self._depth > MAX_DEPTH:
            self._refuse(event.start_mark, f"nested more than {MAX_DEPTH} deep; no plan needs that")
        value = self._map(place) if isinstance(event, yaml.MappingStartEvent) else self._list(place)
        self._depth -= 1
        return value

    def _scalar(self, event: yaml.ScalarEvent) -> Any:
        if not event.implicit[0]:
            return self._whole_characters(event)
        try:
            return resolve_plain(event.value)
        except AmbiguousScalarError as failure:
            return self._refuse(event.start_mark, str(failure))

    def _whole_characters(self, event: yaml.ScalarEvent) -> str:
        """Join the halves of a character that JSON escapes as two, and refuse a lone half."""
        try:
            return event.value.encode("utf-16", "surrogatepass").decode("utf-16")
        except UnicodeDecodeError:
            self._refuse(event.start_mark, "a \\u escape gives half a character; write the character itself")

    def _list(self, place: Place) -> list[Any]:
        values: list[Any] = []
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            values.append(self._value(event, (*place, len(values))))
        return values

    def _map(self, place: Place) -> dict[str, Any]:
        values: dict[str, Any] = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            key = self._key(event)
            if key in values:
                first = self._document.marks[*place, key]
                self._refuse(
                    event.start_mark, f"the key '{key}' is here twice (first in line {first.line}); keep one"
                )
            self._document.marks[*place, key] = self._mark(event.start_mark)
            values[key] = self._value(next(self._events), (*place, key))
        return values

    def _key(self, event: yaml.Event) -> str:
        if not isinstance(event, yaml.ScalarEvent):
            self._refuse(event.start_mark, "a key must be text, not a list, a map or an alias")
        if event.tag or event.anchor:
            self._refuse(event.start_mark, "a key must be plain text, without tag or anchor")
        key = self._scalar(event)
        if not isinstance(key, str):
            self._refuse(
                event.start_mark, f"the key {event.value or '(empty)'} is not text; quote it: '{event.value}'"
            )
        return key

    def _mark(self, mark: Any) -> Mark:
        return Mark(self._document.source, mark.line + 1, mark.column + 1)

    def _refuse(self, mark: Any, why: str) -> NoReturn:
        where = self._mark(mark) if mark is not None else Mark(self._document.source)
        raise self._error(f"{where}: {why}") from None

    def _refuse_character(self, position: int) -> NoReturn:
        # PyYAML counts from the start of what it has buffered, so the character is looked up again.
        found = re.search(yaml.reader.Reader.NON_PRINTABLE, self._text)
        at = found.start() if found else position
        line, column = self._text.count("\n", 0, at) + 1, at - self._text.rfind("\n", 0, at)
        raise self._error(
            f"{Mark(self._document.source, line, column)}: the character U+{ord(self._text[at]):04X} "
            "has no place in YAML; take it out, or escape it in double quotes"
        ) from None


class _Dumper(yaml.SafeDumper):
    """Writes what `parse_yaml` reads back as the same value."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=_style(text))


def _style(text: str) -> str | None:
    """Quote what would be read as another value; the double quotes escape, which keeps odd line breaks apart."""
    if _ODD_BREAKS.search(text):
        return '"'
    try:
        return None if isinstance(resolve_plain(text), str) else "'"
    except AmbiguousScalarError:
        return "'"


_Dumper.add_representer(str, _represent_text)


def dump_yaml(value: Any) -> str:
    """Write plain values as YAML that `parse_yaml` reads back unchanged."""
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110)
