"""Captions put together from several columns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field

from curation.rule import Rule, Scope, expression
from curation.rules._options import Name, Seed
from curation.rules.by_caption._fronts import check_front, filled, synonym
from curation.selection import Selection
from curation.selections.rewrite import Rewrite


@dataclass(frozen=True, slots=True)
class Compose(Rule):
    """Write each caption from several columns, as ImageNet-Captions does (arXiv 2205.01397, 2405.21070); none drops.

    In every column a newline or tab becomes a blank; what is empty, or blank alone, is left out; the rest is joined by
    a blank. Where nothing is left, there is no new caption. `caption` stays as it is.

    * `of`: the columns in order, `[title, tags, description]` by default. A list is to be made a text first:
      `"array_to_string(tags, ' ')"`.
    * `front`: what comes first, with the slot {class}: `"{class}"`, `"a {class}"`, `"a photo of a {class}"`; `openai`
      draws one of OpenAI's 80 for each sample, by hash. Where the name is not known or empty, nothing comes first.
    * `name`: the column of the class's name; by default the sample's label.
    * `synonyms: imagenet-1k`, with a front: another of the class's names in that list, drawn by hash.
    """

    of: Annotated[tuple[Name, ...], Field(min_length=1)] = ("title", "tags", "description")
    front: Name | None = None
    name: Name = "label"
    synonyms: Literal["imagenet-1k", "imagenet-21k"] | None = None
    seed: Seed = 0
    EXAMPLE: ClassVar[Mapping[str, Any]] = {
        "of": ["caption", "width"],
        "front": "a {class}",
        "name": "lower(caption)",
    }

    def __post_init__(self) -> None:
        check_front(self.front, "front")
        if self.synonyms is not None and self.front is None:
            raise ValueError("synonyms goes with front; without one no name is written")

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
            name = _plain(self.name)
            called = name if self.synonyms is None else synonym(name, self.synonyms, self.seed)
            pieces.insert(0, filled(self.front, called, self.seed))
        said = f"{', '.join(self.of)}, joined" + (f" behind {self.front!r}" if self.front else "")
        return Rewrite(f"nullif(concat_ws(' ', {', '.join(pieces)}), '')", said, self.texts())


def _plain(column: str) -> str:
    """Return the SQL of a column as one line; NULL where there is nothing in it."""
    line = f"regexp_replace(({column})::VARCHAR, '[\\n\\r\\t]', ' ', 'g')"
    return f"(CASE WHEN trim({line}) = '' THEN NULL ELSE {line} END)"
