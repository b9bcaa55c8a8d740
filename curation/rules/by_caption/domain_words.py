"""Keep, or drop, captions with words of a domain."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field

from curation.expressions import text
from curation.rule import Rule, Scope, expression
from curation.rules._options import Name
from curation.selection import Selection
from curation.selections.drop import Drop

EDGE = r"[^\p{L}\p{M}\p{N}]"


@dataclass(frozen=True, slots=True)
class DomainWords(Rule):
    """Keep the samples whose caption has one of some words, or those that have none: the plain baseline of a domain.

    A word is found in either case, where no letter, mark or digit stands before or after it; white space inside a
    phrase is any run of it. A missing caption drops either way.

    * `words`: `[sketch, drawing, line art]`.
    * `keep`: `with`, or `without`: the two divide the captions.
    * `column`: another text than the caption.
    """

    words: Annotated[tuple[Name, ...], Field(min_length=1)]
    keep: Literal["with", "without"] = "with"
    column: Name = "caption"
    EXAMPLE: ClassVar[Mapping[str, Any]] = {"words": ["sketch", "line art"], "column": "lower(caption)"}

    def __post_init__(self) -> None:
        for word in self.words:
            if not word.strip() or "\x00" in word:
                raise ValueError(f"words has {word!r}, which is no word; take it out")

    def texts(self) -> tuple[str, ...]:
        """The column."""
        return (self.column,)

    def resolved(self, scope: Scope) -> Self:
        """Check the column, where the parser is at hand."""
        return replace(self, column=expression(self.column, scope))

    def selection(self, scope: Scope) -> Selection:
        """Look for any of the words."""
        words = "|".join(_pattern(word) for word in self.words)
        found = (
            f"regexp_matches(({self.column})::VARCHAR, {text(f'(?i)(?:^|{EDGE})(?:{words})(?:$|{EDGE})')})"
        )
        shown = ", ".join(self.words[:5]) + (", …" if len(self.words) > 5 else "")
        if self.keep == "with":
            return Drop(f"NOT {found}", f"what has none of {shown} in its {self.column}", "NULL")
        return Drop(found, f"what has one of {shown} in its {self.column}", "NULL")


def _pattern(word: str) -> str:
    """Write a phrase as an expression that takes its signs as they are."""
    return r"\s+".join(_signs(part) for part in word.split())


def _signs(part: str) -> str:
    return "".join(rf"\{sign}" if sign.isascii() and not sign.isalnum() else sign for sign in part)
