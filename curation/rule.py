"""What a rule is: one entry of a split, which reads columns and says what stays; it never looks at a vector.

A rule is a frozen slotted dataclass whose fields are its options, in a file of its own in `curation/rules/`. It gives a
selection (`curation/selections/`), and the selection does the rest.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self

import pyarrow as pa

from curation.predicates import check_predicate, named_paths, path_type
from curation.sql_words import fielded_words, words_of
from indexes.errors import PlanError

if TYPE_CHECKING:
    from curation.selection import Selection


class Parsed(Protocol):
    """An expression that DuckDB's parser has read."""

    @property
    def tree(self) -> Mapping[str, object]:
        """The expression's node, as `json_serialize_sql` writes it."""

    @property
    def sql(self) -> str:
        """The same expression written back by the parser: what was checked is what runs."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What a rule can see of the plan.

    Attributes:
        benchmarks: Names in plan order.
        reference: Whether the plan has a reference set, so that margins exist.
        where: The rule's place in the plan, for messages: `splits.core[0].far`.
        parse: DuckDB's parser, given by the pipeline; None leaves predicates unread.
        columns: Arrow type of each column that a rule may name: the pool's own, a measure of one column named like
            itself, and a struct for a measure of several; None where the pool has not been looked at yet.
        sets: The further sets that a rule may bring in, each with the Arrow types of its own columns; None as above.
    """

    benchmarks: tuple[str, ...] = ()
    reference: bool = False
    where: str = "the rule"
    parse: Callable[[str], Parsed] | None = None
    columns: Mapping[str, Any] | None = None
    sets: Mapping[str, Mapping[str, Any] | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Amount:
    """How many samples a ranked rule keeps: exactly one of a count, a fraction, or another split's size."""

    keep: int | None = None
    fraction: float | None = None
    like: str | None = None

    def of(self, rows: int, kept: Mapping[str, int]) -> int:
        """Return the number to keep of the `rows` samples that reach the rule.

        A fraction is taken as the decimal number that the user wrote, and half a sample is rounded up:
        0.29 of 50 is 15, and 1.0 keeps every sample.

        Args:
            rows: Samples that reach the rule.
            kept: Size of each split that `like` may name.
        """
        if self.keep is not None:
            return self.keep
        if self.like is not None:
            return kept[self.like]
        share = Decimal(repr(self.fraction)) * rows
        return int(share.quantize(Decimal(1), rounding=ROUND_HALF_UP))

    def words(self) -> str:
        """Say the amount in words."""
        if self.keep is not None:
            return f"{self.keep:,}"
        return f"as many as {self.like}" if self.like is not None else f"a share of {self.fraction}"


class Rule(ABC):
    """One entry of a split. A rule is a frozen slotted dataclass whose fields are its options."""

    __slots__ = ()
    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}
    needs: ClassVar[tuple[str, ...]] = ()
    """The measures whose columns every such rule reads; those that its options name are in `reads_measures`."""
    shorthand: ClassVar[str | None] = None
    """The option that a plan may give alone: `where: "width > 200"`."""
    EXAMPLE: ClassVar[Mapping[str, Any]] = {}
    """Options that make such a rule; the conformance test runs them."""

    def resolved(self, scope: Scope) -> Self:
        """Fill in defaults and expand `all`.

        Raises:
            PlanError: If the rule names what the plan does not have.
        """
        return self

    def follows(self) -> tuple[str, ...]:
        """Name the splits that must be cut before this rule can be carried out."""
        return ()

    def adds(self) -> tuple[str, ...]:
        """Name the further sets whose samples this rule brings in."""
        return ()

    def counts_of(self) -> tuple[str, ...]:
        """Name the further sets whose samples it counts and does not bring in."""
        return ()

    def texts_of_sets(self) -> tuple[tuple[str, str], ...]:
        """List the options that are SQL over a further set's columns, each with the set: they may name a measure."""
        return ()

    def options_of_sets(self) -> Mapping[tuple[str, str], Mapping[str, Any]]:
        """Give the options that a measure has of a further set, by set and measure, where the rule says them itself."""
        return {}

    def inside(self, scope: Scope) -> tuple[tuple[Rule, Scope], ...]:
        """List the rules that this one holds, resolved, each with what it can see."""
        return ()

    def texts(self) -> tuple[str, ...]:
        """List the options that are SQL: what they name may be a measure."""
        return ()

    def reads_measures(self) -> tuple[str, ...]:
        """Name what may be a measure in the options, before any parser or pool is at hand.

        Every word of an expression that stands where a column may stand is listed, so the caller takes those that
        are measures.
        """
        return tuple(dict.fromkeys(word for text in self.texts() for word in words_of(text)))

    def cuts(self) -> Mapping[tuple[str, str], float]:
        """Give the level at which it cuts a measure's column, by both names: the measure must know it from there on."""
        return {}

    def reads_whole(self) -> frozenset[str]:
        """Name those of its expressions' words that no field is taken of: a column of the pool may be called so."""
        words = frozenset(word for text in self.texts() for word in words_of(text))
        return words.difference(*(fielded_words(text) for text in self.texts()))

    def reads(self, scope: Scope) -> tuple[str, ...]:
        """Name the columns that the rule reads: `imagenet_sketch.margin`, `clip_score`, `caption`.

        Args:
            scope: With the parser; the rule has been resolved.
        """
        return tuple(".".join(path) for path in self.paths(scope))

    def paths(self, scope: Scope) -> tuple[tuple[str, ...], ...]:
        """Like `reads`, each name in its steps, for a name may hold a dot itself."""
        if scope.parse is None:
            raise TypeError("a rule's columns are read from its SQL, which takes a parser in the scope")
        texts = dict.fromkeys(self.selection(scope).expressions())
        found = (path for text in texts for path in named_paths(scope.parse(text).tree))
        return tuple(path for path in dict.fromkeys(found) if path != ("uid",))

    @abstractmethod
    def selection(self, scope: Scope) -> Selection:
        """Say which samples stay; the rule has been resolved."""


def expression(text: str, scope: Scope, condition: bool = False) -> str:
    """Check an option that is SQL, where the parser is at hand, and write it as the parser reads it.

    Raises:
        PlanError: If it is not one plain expression over columns that are there, or no truth value where `condition`
            asks for one.
    """
    if scope.parse is None:
        return text
    try:
        parsed = scope.parse(text)
    except PlanError as error:
        raise PlanError(f"{scope.where}: {error}") from error
    check_predicate(parsed.tree, scope.columns, scope.where, condition)
    return parsed.sql


def number_column(name: str, scope: Scope, place: str) -> None:
    """Refuse a column that is not there or holds no numbers, once the pool is known.

    Raises:
        PlanError: With the place in the plan, and the columns that there are.
    """
    if scope.columns is None:
        return
    kind = path_type((name,), scope.columns)
    numbers = sorted(column for column, of in scope.columns.items() if _is_number(of))
    if kind is None or not _is_number(kind):
        problem = "is not there" if kind is None else f"holds {kind}, not numbers"
        raise PlanError(
            f"{place} names the column '{name}', which {problem}; columns of numbers: {', '.join(numbers) or 'none'}"
        )


def _is_number(kind: Any) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def expand(to: tuple[str, ...] | str, scope: Scope) -> tuple[str, ...]:
    """Return the benchmarks that `to` names, in plan order.

    Raises:
        PlanError: If a name is not in the plan, stands twice, or the plan has no benchmark at all.
    """
    place = f"{scope.where}.to"
    has = ", ".join(scope.benchmarks) or "none"
    if isinstance(to, str):
        if not scope.benchmarks:
            raise PlanError(f"{place} is 'all', but this plan has no benchmark. Add one under benchmarks")
        return scope.benchmarks
    for name in to:
        if name not in scope.benchmarks:
            raise PlanError(
                f"benchmark '{name}' is not in this plan; it has: {has}. Name one of these under {place}"
            )
        if to.count(name) > 1:
            raise PlanError(f"benchmark '{name}' stands twice under {place}; name each one once")
    return tuple(name for name in scope.benchmarks if name in to)
