"""Keep the samples that are of a class."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar, Self

from pydantic import Field

from curation.expressions import number
from curation.rule import Rule, Scope, expression
from curation.rules._classes import FOUND, among, holds_lists, how_many, refuse_repeats
from curation.rules._options import ClassValue, Name, Threshold
from curation.selection import Selection
from curation.selections.drop import Drop

SAFE = "UNLIKELY"


@dataclass(frozen=True, slots=True)
class ClassMatch(Rule):
    """Keep the samples with a class, as LAIONet does it (arXiv 2306.15769; METHODS section 2, steps 3 to 6).

    A sample with several classes stays unless `single` is said. What an option names and is not known drops.

    * `by`: the column of classes: one value a sample, or a list.
    * `single: true`: exactly one class.
    * `only`: one of these classes; with `single`, that one class is one of them.
    * `text` and `above`: the column of the caption's similarity to its class must be above that, strictly.
    * `nsfw`: the column of the pool's NSFW tag must say UNLIKELY, in these letters.
    * `ocr`: the column that says whether text in the image names the class must be false.
    """

    by: Name = FOUND
    single: Annotated[bool, Field(strict=True)] = False
    only: Annotated[tuple[ClassValue, ...], Field(min_length=1)] | None = None
    text: Name | None = None
    above: Threshold | None = None
    nsfw: Name | None = None
    ocr: Name | None = None
    EXAMPLE: ClassVar[Mapping[str, Any]] = {"single": True, "only": [151, 152]}

    def __post_init__(self) -> None:
        if (self.text is None) != (self.above is None):
            raise ValueError("text names a column and above its level; give both, or neither")

    def texts(self) -> tuple[str, ...]:
        """The columns, each of which may be an expression."""
        return tuple(given for given in (self.by, self.text, self.nsfw, self.ocr) if given is not None)

    def resolved(self, scope: Scope) -> Self:
        """Check the columns, where the parser is at hand; no class may be named twice."""
        refuse_repeats(self.only or (), f"{scope.where}.only")
        named = ("by", "text", "nsfw", "ocr")
        read: dict[str, Any] = {
            name: expression(given, scope) for name in named if (given := getattr(self, name)) is not None
        }
        return replace(self, **read)

    def selection(self, scope: Scope) -> Selection:
        """Drop what does not pass every test."""
        lists = holds_lists(self.by, scope)
        tests = [f"{how_many(self.by, lists)} {'=' if self.single else '>='} 1"]
        said = [f"{'exactly one' if self.single else 'a'} class in {self.by}"]
        if self.only is not None:
            tests.append(among(self.by, lists, self.only))
            said.append(f"one of {len(self.only):,} named classes")
        if self.text is not None and self.above is not None:
            tests.append(f"nullif(({self.text})::DOUBLE, 'nan'::DOUBLE) > {number(float(self.above))}")
            said.append(f"{self.text} above {self.above}")
        if self.nsfw is not None:
            tests.append(f"({self.nsfw}) = '{SAFE}'")
            said.append(f"{SAFE} in {self.nsfw}")
        if self.ocr is not None:
            tests.append(f"NOT ({self.ocr})::BOOLEAN")
            said.append(f"no class in the image's own text by {self.ocr}")
        return Drop(f"NOT ({' AND '.join(tests)})", f"what has not: {', '.join(said)}")
