"""Captions put together from several columns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar, Self

from pydantic import Field

from curation.expressions import text
from curation.rule import Rule, Scope, expression
from curation.rules._options import Name
from curation.selection import Selection
from curation.selections.rewrite import Rewrite

NAME_SLOT = "{class}"


@dataclass(frozen=True, slots=True)
class Compose(Rule):
    """Write each caption from several columns, as ImageNet-Captions does (arXiv 2205.01397, 2405.21070); none drops.

    In every column a newline or tab becomes a blank; what is empty, or blank alone, is left out; the rest is joined by
    a blank. Where nothing is left, there is no new caption. `caption` stays as it is.

    * `of`: the columns in order, `[title, tags, description]` by default. A list is to be made a text first:
      `"array_to_string(tags, ' ')"`.
    * `front`: what comes first, with the slot {class}: `"{class}"`, `"a {class}"`, `"a photo of a {class}"`. Where the
      name is not known or empty, nothing comes first.
    * `name`: the column of the class's name; by default the sample's label.
    """

    of: Annotated[tuple[Name, ...], Field(min_length=1)] = ("title", "tags", "description")
    front: Name | None = None
    name: Name = "label"
    EXAMPLE: ClassVar[Mapping[str, Any]] = {
        "of": ["caption", "width"],
        "front": "a {class}",
        "name": "lower(caption)",
    }

    def __post_init__(self) -> None:
        if self.front is not None and self.front.count(NAME_SLOT) != 1:
            raise ValueError(
                f"front is {self.front!r}, which has the slot {NAME_SLOT} {self.front.count(NAME_SLOT)} times; write "
                f'it once: "a photo of a {NAME_SLOT}"'
            )

    def texts(self) -> tuple[str, ...]:
        """The columns, each of which may be an expression."""
        return self.of if self.front is None else (*self.of, self.name)

    def resolved(self, scope: Scope) -> Self:
        """Check the columns, where the parser is at hand."""
        read = replace(self, of=tuple(expression(each, scope) for each in self.of))
        return read if self.front is None else replace(read, name=expression(self.name, scope))

    def selection(self, scope: Scope) -> Selection:
        """Join what is there."""
        pieces = [_plain(each) for each in self.of]
        if self.front is not None:
            before, _, after = self.front.partition(NAME_SLOT)
            pieces.insert(0, f"{text(before)} || {_plain(self.name)} || {text(after)}")
        said = f"{', '.join(self.of)}, joined" + (f" behind {self.front!r}" if self.front else "")
        return Rewrite(f"nullif(concat_ws(' ', {', '.join(pieces)}), '')", said)


def _plain(column: str) -> str:
    """Return the SQL of a column as one line; NULL where there is nothing in it."""
    line = f"regexp_replace(({column})::VARCHAR, '[\\n\\r\\t]', ' ', 'g')"
    return f"CASE WHEN trim({line}) = '' THEN NULL ELSE {line} END"
