"""A subset by similarity and size that loses no class."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field

from curation.rule import Amount, Rule, Scope, expression
from curation.rules._classes import SINGLE, holds_lists
from curation.rules._options import Count, Fraction, Name, Seed, Threshold, at_most_one
from curation.selection import Selection
from curation.selections.subset import Subset
from indexes.errors import PlanError

LARGEST = 10


@dataclass(frozen=True, slots=True)
class ClassSubset(Rule):
    """Make LAIONet's variants: levels, a size, and no class lost (arXiv 2405.21070, `create_laionet_subsets.py`).

    What reaches the levels is sampled to the size, by hash; then each class that has none left gets one sample back,
    which may lie below a level; then the surplus is taken from the ten largest classes together, by hash.

    * `text`, `text_level`: the column of the caption's similarity to its class must be at least that.
    * `image`, `image_level`: the same of the image's similarity; with both, the papers' pairs of equal size.
    * `keep: n`, `like: other_split` or `fraction: f`: how many of what reaches the levels; all, if none is given. A
      fraction is not trimmed: the classes that came back are added to it, as published.
    * `floor`: `first` gives a vanished class its sample of the lowest hash (published: of the first row); `none` not.
    * `surplus`: `ten-largest`, or `none` to keep it.
    * `by`: the column of the one class of a sample; what has none drops.
    * `strict: true`: too few samples for the size are an error, not a shortage in `split.json`.
    """

    by: Name = SINGLE
    text: Name | None = None
    text_level: Threshold | None = None
    image: Name | None = None
    image_level: Threshold | None = None
    keep: Count | None = None
    fraction: Fraction | None = None
    like: Name | None = None
    floor: Literal["first", "none"] = "first"
    surplus: Literal["ten-largest", "none"] = "ten-largest"
    seed: Seed = 0
    strict: Annotated[bool, Field(strict=True)] = False
    EXAMPLE: ClassVar[Mapping[str, Any]] = {"text": "width", "text_level": 0.5, "keep": 3}

    def __post_init__(self) -> None:
        at_most_one(keep=self.keep, fraction=self.fraction, like=self.like)
        for of in ("text", "image"):
            if (getattr(self, of) is None) != (getattr(self, f"{of}_level") is None):
                raise ValueError(
                    f"{of} names a column and {of}_level what it must reach; give both, or neither"
                )

    def follows(self) -> tuple[str, ...]:
        """Name the split whose size is taken."""
        return () if self.like is None else (self.like,)

    def texts(self) -> tuple[str, ...]:
        """The columns, each of which may be an expression."""
        return tuple(given for given in (self.by, self.text, self.image) if given is not None)

    def resolved(self, scope: Scope) -> Self:
        """Check the columns, where the parser is at hand.

        Raises:
            PlanError: If the classes of a sample are a list.
        """
        if scope.columns is not None and holds_lists(self.by, scope):
            raise PlanError(
                f"{scope.where}.by is {self.by}, a list of classes; this rule takes one class a sample. Name such a "
                f"column, {SINGLE}"
            )
        named = ("by", "text", "image")
        read: dict[str, Any] = {
            name: expression(given, scope) for name in named if (given := getattr(self, name)) is not None
        }
        return replace(self, **read)

    def selection(self, scope: Scope) -> Selection:
        """Sample above the levels."""
        pairs = ((self.text, self.text_level), (self.image, self.image_level))
        levels = tuple(
            (f"nullif(({of})::DOUBLE, 'nan'::DOUBLE)", float(level))
            for of, level in pairs
            if of is not None and level is not None
        )
        sized = self.keep is not None or self.fraction is not None or self.like is not None
        size = Amount(self.keep, self.fraction, self.like) if sized else None
        largest = LARGEST if self.surplus == "ten-largest" else 0
        return Subset(self.by, levels, size, self.floor == "first", largest, self.seed, self.strict)
