"""So many samples of each class."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar, Self

from pydantic import Field

from curation.rule import Amount, Rule, Scope, expression
from curation.rules._classes import FOUND
from curation.rules._options import Count, Name, Seed, exactly_one
from curation.rules.by_class._targets import LABEL, column_of, files_digest, histogram, places_in
from curation.selection import Selection
from curation.selections.balance import Balance
from curation.selections.cap import Cap
from curation.selections.entry_cap import EntryCap
from curation.selections.shares._one_list import SetClasses
from curation.selections.shares.entry_cap_by_language import EntryCapByLanguage
from curation.selections.shares.filled import Filled

NEAREST = "class_similarity.similarity"
"""What says how near a caption of a set that fills is to its class, where a plan names no column."""
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
    * `counts: {'151': n}`: a target for each class, which YAML has in quotes; or a file of them, JSON or TSV. A class
      without one drops. `like: SET`: as many of each class as one of the plan's further sets has, by its column
      `like_by` (arXiv 2405.21070, `create_laionet_match_freq.py`).
    * `names: imagenet-1k`, with these: a class is the same by id, by position and by a name that no other class has, in
      the pool, in sets and in the counts.
    * `fill: SET`, with these: samples of a further set where the pool has too few of a class, by its column `fill_by`;
      those with the highest `nearest` first, by default the cosine of the caption's and the class's text embedding.
      (The published code draws them, from captions that were the nearest to some of ImageNet-Captions.)
    * `floor: true`, with `cap`: the sample with the lowest draw of each class stays whatever t is; none vanishes.
    * `strict: true`, with `per_class`, `counts` or `like`: too few samples are an error, not a mere shortage.
    """

    by: Name = FOUND
    per_class: Count | None = None
    cap: Count | None = None
    counts: Histogram | Name | None = None
    like: Name | None = None
    like_by: Name | None = None
    names: Name | None = None
    digest: Name | None = None
    fill: Name | None = None
    fill_by: Name | None = None
    nearest: Name | None = None
    highest: Name | None = None
    language: Name | None = None
    anchor: Name = "en"
    floor: Annotated[bool, Field(strict=True)] = False
    strict: Annotated[bool, Field(strict=True)] = False
    seed: Seed = 0
    EXAMPLE: ClassVar[Mapping[str, Any]] = {"per_class": 2}

    def __post_init__(self) -> None:
        exactly_one(per_class=self.per_class, cap=self.cap, counts=self.counts, like=self.like)
        targets = self.counts is not None or self.like is not None
        for option, value, goes in (
            ("names", self.names, targets),
            ("fill", self.fill, targets),
            ("like_by", self.like_by, self.like is not None),
            ("fill_by", self.fill_by, self.fill is not None),
            ("nearest", self.nearest, self.fill is not None),
        ):
            if value is not None and not goes:
                other = {"like_by": "like", "fill_by": "fill", "nearest": "fill"}.get(
                    option, "counts or like"
                )
                raise ValueError(f"{option} goes with {other}; give that too, or leave {option} out")
        if self.highest is not None and (self.per_class is None or self.strict):
            raise ValueError("highest goes with per_class alone, without strict")
        if self.floor and self.cap is None:
            raise ValueError("floor goes with cap; the others draw whole numbers of each class as it is")
        if self.language is not None and (self.cap is None or self.floor):
            raise ValueError("language goes with cap alone, without floor")
        if self.strict and self.cap is not None:
            raise ValueError("strict goes with per_class, counts or like; a cap is never short of samples")

    def adds(self) -> tuple[str, ...]:
        """The set that fills."""
        return () if self.fill is None else (self.fill,)

    def counts_of(self) -> tuple[str, ...]:
        """The set whose classes are counted."""
        return () if self.like is None else (self.like,)

    def texts(self) -> tuple[str, ...]:
        """The columns, each of which may be an expression."""
        return (self.by, *(each for each in (self.highest, self.language) if each is not None))

    def texts_of_sets(self) -> tuple[tuple[str, str], ...]:
        """The classes of both sets, and what says which sample is near."""
        counted = () if self.like is None else ((self.like, self.like_by or LABEL),)
        if self.fill is None:
            return counted
        return (*counted, (self.fill, self.fill_by or LABEL), (self.fill, self.nearest or NEAREST))

    def options_of_sets(self) -> Mapping[tuple[str, str], Mapping[str, Any]]:
        """Captions of the set that fills are compared with the class that its column says."""
        if self.fill is None or self.nearest not in (None, NEAREST) or self._measured():
            return {}
        names = {} if self.names is None else {"names": self.names}
        return {(self.fill, NEAREST.partition(".")[0]): {"by": self.fill_by or LABEL, **names}}

    def _measured(self) -> bool:
        return (self.fill_by or LABEL).startswith(f"{FOUND.partition('.')[0]}.")

    def resolved(self, scope: Scope) -> Self:
        """Check the columns, where the parser is at hand, the sets and the files.

        Raises:
            PlanError: If there is no such set or class, a file is not what it was, or no class is to keep anything.
        """
        read: dict[str, Any] = {"by": expression(self.by, scope)}
        read |= {"digest": files_digest(self.names, self.counts, self.digest, scope.where)}
        if self.counts is not None:
            histogram(self.counts, self.names, scope.where)
        places_in(self.names, scope.where)
        if self.like is not None:
            read["like_by"] = column_of(self.like, self.like_by or LABEL, scope, "like", "like_by")
        if self.fill is not None:
            read["fill_by"] = column_of(self.fill, self.fill_by or LABEL, scope, "fill", "fill_by")
            read["nearest"] = column_of(self.fill, self.nearest or NEAREST, scope, "fill", "nearest")
        for option in ("language", "highest"):
            if (given := getattr(self, option)) is not None:
                read[option] = expression(given, scope)
        return replace(self, **read)

    def selection(self, scope: Scope) -> Selection:
        """Draw from each class, keep its highest, or cap it."""
        if self.cap is not None and self.language is not None:
            return EntryCapByLanguage(self.by, self.language, self.cap, self.anchor.lower(), self.seed)
        if self.cap is not None:
            return EntryCap(self.by, self.cap, self.seed, self.floor)
        if self.highest is not None and self.per_class is not None:
            return Cap(self.by, self.per_class, _number(self.highest), highest=True)
        if self.per_class is not None:
            return Balance(self.by, Amount(keep=self.per_class), self.seed, self.strict)
        found = histogram(self.counts, self.names, scope.where) if self.counts is not None else {}
        wanted = tuple((value, Amount(keep=n)) for value, n in sorted(found.items()))
        if self.like is None and self.fill is None and self.names is None:
            return Balance(self.by, wanted, self.seed, self.strict)
        like = None if self.like is None else SetClasses(self.like, self.like_by or LABEL)
        fill = None
        if self.fill is not None:
            fill = SetClasses(self.fill, self.fill_by or LABEL, _number(self.nearest or NEAREST))
        places = places_in(self.names, scope.where)
        return Filled(self.by, wanted, like, fill, places, self.seed, self.strict)


def _number(column: str) -> str:
    return f"nullif(({column})::DOUBLE, 'nan'::DOUBLE)"
