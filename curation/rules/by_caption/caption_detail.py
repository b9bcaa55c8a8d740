"""Captions with less in them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import ROUND_FLOOR, Decimal
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field

from curation.expressions import text
from curation.measures.of_caption.word_kinds import MARKS
from curation.rule import Rule, Scope, expression
from curation.rules._options import Fraction, Name, Seed
from curation.rules.by_caption._fronts import check_front, filled, synonym
from curation.selection import Selection
from curation.selections.rewrite import Rewrite
from indexes.errors import PlanError

WORD, PLACE = '"(word)"', '"(place)"'
"""What the SQL calls a word and its place, so that no column of a user's is called like it."""
KINDS = "word_kinds"
Kind = Literal[
    "nouns",
    "adjectives",
    "colours",
    "materials",
    "sizes",
    "shapes",
    "patterns",
    "surfaces",
    "ages",
    "numbers",
]


@dataclass(frozen=True, slots=True)
class CaptionDetail(Rule):
    """Rewrite captions with less detail (METHODS section 5); nothing drops, and `caption` stays as it is.

    * `template: "a photo of a {class}"`: the label alone, in the place of the slot; `openai` draws one of OpenAI's 80
      for each sample, by hash. Without a name, no new caption.
    * `words: p`: each word of the caption stays with probability p, by hash of uid, seed and its place, so that what
      stays at a lower p stays at a higher; a word of the class's name always stays. Words are what white space divides.
    * `without: [colours, numbers]`: the words of some kinds go, but for those of the class's name: nouns, adjectives,
      colours, materials, sizes, shapes, patterns, surfaces, ages, numbers, as the measure `word_kinds` tells them.
      Nouns and adjectives need `measures: {word_kinds: {parts_of_speech: true}}`.
    * `name`: the column of the class's name; by default the sample's label.
    * `synonyms: imagenet-1k`, with a template: another of the class's names in that list, drawn by hash.
    """

    template: Name | None = None
    words: Fraction | None = None
    without: Annotated[tuple[Kind, ...], Field(min_length=1)] | None = None
    name: Name = "label"
    synonyms: Literal["imagenet-1k", "imagenet-21k"] | None = None
    seed: Seed = 0
    EXAMPLE: ClassVar[Mapping[str, Any]] = {"words": 0.5, "name": "lower(caption)"}

    def __post_init__(self) -> None:
        if sum(option is not None for option in (self.template, self.words, self.without)) != 1:
            raise ValueError("give one of: template, words, without")
        check_front(self.template, "template")
        if self.synonyms is not None and self.template is None:
            raise ValueError("synonyms goes with template; the words of a caption are its own")

    def texts(self) -> tuple[str, ...]:
        """The column of names, and those that say what a word is."""
        return (self.name, *(f"{KINDS}.{kind}" for kind in self.without or ()))

    def resolved(self, scope: Scope) -> Self:
        """Check the columns, where the parser is at hand.

        Raises:
            PlanError: If the measure does not tell nouns and adjectives, and they are to go.
        """
        there = scope.columns if scope.columns is not None else {}
        told = [field.name for field in there[KINDS]] if KINDS in there else []
        lacking = [kind for kind in self.without or () if told and kind not in told]
        if lacking:
            raise PlanError(
                f"{scope.where}.without names {' and '.join(lacking)}, which WordNet tells; write measures: "
                f"{{{KINDS}: {{parts_of_speech: true}}}}"
            )
        for kind in self.without or ():
            expression(f"{KINDS}.{kind}", scope)
        return replace(self, name=expression(self.name, scope))

    def selection(self, scope: Scope) -> Selection:
        """Fill the slot, or drop words."""
        name = f"({self.name})::VARCHAR"
        if self.template is not None:
            called = name if self.synonyms is None else synonym(name, self.synonyms, self.seed)
            said = f"{self.template!r} with {self.name}" + (" or a synonym of it" if self.synonyms else "")
            return Rewrite(filled(self.template, called, self.seed), said, (self.name,))
        if self.words is not None:
            stays, said = _drawn(self.words, self.seed), f"its words, each kept with probability {self.words}"
        else:
            kinds = self.without or ()
            gone = " OR ".join(f"coalesce(list_contains({KINDS}.{kind}, {PLACE}), false)" for kind in kinds)
            stays, said = f"NOT ({gone})", f"its words without {', '.join(kinds)}"
        named = (
            f"list_contains(regexp_split_to_array(lower({name}), '\\s+'), lower(trim({WORD}, {text(MARKS)})))"
        )
        kept = f"lambda {WORD}, {PLACE}: {WORD} <> '' AND ({stays} OR coalesce({named}, false))"
        found = f"list_filter(regexp_split_to_array(caption, '\\s+'), {kept})"
        return Rewrite(f"array_to_string({found}, ' ')", said)


def _drawn(probability: float, seed: int) -> str:
    """Return the SQL of whether a word is drawn."""
    # The decimal that was written, so that 1.0 keeps every word.
    below = int((Decimal(repr(float(probability))) * 2**64).to_integral_value(ROUND_FLOOR))
    return f"md5_number_lower(uid::VARCHAR || ':{seed:d}:' || {PLACE})::UHUGEINT < {below}::UHUGEINT"
