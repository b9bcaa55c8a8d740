"""So many samples of each class."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar, Self

from pydantic import Field

from curation.rule import Amount, Rule, Scope, expression
from curation.rules._classes import FOUND
from curation.rules._options import Count, Name, Seed, exactly_one
from curation.selection import Selection
from curation.selections.balance import Balance
from curation.selections.cap import Cap
from curation.selections.entry_cap import EntryCap
from curation.selections.shares.entry_cap_by_language import EntryCapByLanguage
from indexes.errors import PlanError

Histogram = Annotated[dict[Name, Annotated[int, Field(strict=True, ge=0)]], Field(min_length=1)]


@dataclass(frozen=True, slots=True)
class ClassBalance(Rule):
    """Balance a pool by its classes; what has no class drops. Draws are by hash of uid and seed, so they are nested.

    * `by`: the column of classes: one value a sample, or a list. A sample that is drawn for one of its classes stays,
      once, so that a class which often stands beside others may keep more than it was told.
    * `per_class: n`: n samples of each class; one that has fewer keeps all. With `highest: COLUMN` those with the
      highest number in that column instead of a draw (LAIONet's top 50; METHODS section 2, step 7).
    * `cap: t`: MetaCLIP's balancing (METHODS section 7): a class, or entry, with n samples keeps each with probability
      min(1, t / n), and a sample stays if one of its entries keeps it: 1 − Π(1 − p). Counts are of the samples that
      reach the rule.
    * `language: COLUMN`, with `cap`: MetaCLIP 2's caps by language (METHODS section 7): entries are counted in each
      language apart, `cap` is that of `anchor`, and that of every other language leaves as large a share of its counts
      to rarer entries. A sample without a language drops. (Its one caption an image is what a pool has anyway.)
    * `counts: {'151': n}`: a target for each class, which YAML has in quotes; a class without one drops.
    * `floor: true`, with `cap`: the sample with the lowest draw of each class stays whatever t is; none vanishes.
    * `strict: true`, with `per_class` or `counts`: too few samples are an error, not a shortage in `split.json`.
    """

    by: Name = FOUND
    per_class: Count | None = None
    cap: Count | None = None
    counts: Histogram | None = None
    highest: Name | None = None
    language: Name | None = None
    anchor: Name = "en"
    floor: Annotated[bool, Field(strict=True)] = False
    strict: Annotated[bool, Field(strict=True)] = False
    seed: Seed = 0
    EXAMPLE: ClassVar[Mapping[str, Any]] = {"per_class": 2}

    def __post_init__(self) -> None:
        exactly_one(per_class=self.per_class, cap=self.cap, counts=self.counts)
        if self.highest is not None and (self.per_class is None or self.strict):
            raise ValueError("highest goes with per_class alone, without strict")
        if self.floor and self.cap is None:
            raise ValueError(
                "floor goes with cap; per_class and counts draw whole numbers of each class as it is"
            )
        if self.language is not None and (self.cap is None or self.floor):
            raise ValueError("language goes with cap alone, without floor")
        if self.strict and self.cap is not None:
            raise ValueError("strict goes with per_class or counts; a cap is never short of samples")

    def texts(self) -> tuple[str, ...]:
        """The columns, each of which may be an expression."""
        return (self.by, *(each for each in (self.highest, self.language) if each is not None))

    def resolved(self, scope: Scope) -> Self:
        """Check the columns, where the parser is at hand.

        Raises:
            PlanError: If no class of a histogram is to keep anything.
        """
        if self.counts is not None and not any(self.counts.values()):
            raise PlanError(
                f"{scope.where}.counts asks for 0 samples of every class, which keeps nothing; ask for 1 or more of one"
            )
        read = replace(self, by=expression(self.by, scope))
        if self.language is not None:
            read = replace(read, language=expression(self.language, scope))
        return read if self.highest is None else replace(read, highest=expression(self.highest, scope))

    def selection(self, scope: Scope) -> Selection:
        """Draw from each class, keep its highest, or cap it."""
        if self.cap is not None and self.language is not None:
            return EntryCapByLanguage(self.by, self.language, self.cap, self.anchor.lower(), self.seed)
        if self.cap is not None:
            return EntryCap(self.by, self.cap, self.seed, self.floor)
        if self.highest is not None and self.per_class is not None:
            key = f"nullif(({self.highest})::DOUBLE, 'nan'::DOUBLE)"
            return Cap(self.by, self.per_class, key, highest=True)
        if self.counts is not None:
            wanted = tuple((value, Amount(keep=n)) for value, n in sorted(self.counts.items()))
            return Balance(self.by, wanted, self.seed, self.strict)
        return Balance(self.by, Amount(keep=self.per_class), self.seed, self.strict)
