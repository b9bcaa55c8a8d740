"""Captions with less in them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import ROUND_FLOOR, Decimal
from typing import Any, ClassVar, Self

from curation.expressions import text
from curation.rule import Rule, Scope, expression
from curation.rules._options import Fraction, Name, Seed
from curation.selection import Selection
from curation.selections.rewrite import Rewrite

SLOT = "{class}"
WORD, PLACE = '"(word)"', '"(place)"'
"""What the SQL calls a word and its place, so that no column of a user's is called like it."""
MARKS = ".,;:!?\"'`()[]{}<>"
"""What is taken off a word's ends before it is compared with the class's name."""


@dataclass(frozen=True, slots=True)
class CaptionDetail(Rule):
    """Rewrite captions with less detail (METHODS section 5); nothing drops, and `caption` stays as it is.

    * `template: "a photo of a {class}"`: the label alone, in the place of the slot. Without a name, no new caption.
    * `words: p`: each word of the caption stays with probability p, by hash of uid, seed and its place, so that what
      stays at a lower p stays at a higher; a word of the class's name always stays. Words are what white space divides.
    * `name`: the column of the class's name; by default the sample's label.
    """

    template: Name | None = None
    words: Fraction | None = None
    name: Name = "label"
    seed: Seed = 0
    EXAMPLE: ClassVar[Mapping[str, Any]] = {"words": 0.5, "name": "lower(caption)"}

    def __post_init__(self) -> None:
        if (self.template is None) == (self.words is None):
            raise ValueError("give one of: template, words")
        if self.template is not None and self.template.count(SLOT) != 1:
            raise ValueError(
                f"template is {self.template!r}, which has the slot {SLOT} {self.template.count(SLOT)} times; write "
                f'it once: "a photo of a {SLOT}"'
            )

    def texts(self) -> tuple[str, ...]:
        """The column of names."""
        return (self.name,)

    def resolved(self, scope: Scope) -> Self:
        """Check the column, where the parser is at hand."""
        return replace(self, name=expression(self.name, scope))

    def selection(self, scope: Scope) -> Selection:
        """Fill the slot, or drop words."""
        name = f"({self.name})::VARCHAR"
        if self.template is not None:
            before, _, after = self.template.partition(SLOT)
            return Rewrite(
                f"{text(before)} || {name} || {text(after)}", f"{self.template!r} with {self.name}"
            )
        # The decimal that was written, so that 1.0 keeps every word.
        below = int((Decimal(repr(float(self.words or 0))) * 2**64).to_integral_value(ROUND_FLOOR))
        drawn = (
            f"md5_number_lower(uid::VARCHAR || ':{self.seed:d}:' || {PLACE})::UHUGEINT < {below}::UHUGEINT"
        )
        named = (
            f"list_contains(regexp_split_to_array(lower({name}), '\\s+'), lower(trim({WORD}, {text(MARKS)})))"
        )
        stays = f"lambda {WORD}, {PLACE}: {WORD} <> '' AND ({drawn} OR coalesce({named}, false))"
        found = f"list_filter(regexp_split_to_array(caption, '\\s+'), {stays})"
        return Rewrite(
            f"array_to_string({found}, ' ')", f"its words, each kept with probability {self.words}"
        )
