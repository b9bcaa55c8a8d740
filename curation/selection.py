"""What a rule may ask for: four selections, as SQL text and numbers; `pipeline.splits.cutting` carries them out.

Every selection is fail-closed: a sample whose column is NULL or NaN is dropped, whatever the rule.
Every order is total: ties go to the lower uid.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import ClassVar, Protocol, Self

from indexes.errors import PlanError

Fields = tuple[str, ...]


class Parsed(Protocol):
    """A predicate that DuckDB's parser has read."""

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
        columns: The columns that a predicate may name, each with its struct fields (none for a plain column);
            None where the pool has not been looked at yet.
    """

    benchmarks: tuple[str, ...] = ()
    reference: bool = False
    where: str = "the rule"
    parse: Callable[[str], Parsed] | None = None
    columns: Mapping[str, Fields] | None = None


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


@dataclass(frozen=True, slots=True)
class Drop:
    """Drop each sample for which `predicate` is true or NULL.

    Attributes:
        predicate: SQL of a boolean.
        reads: The columns it names, where they may be the pool's own.
    """

    predicate: str
    reads: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Rank:
    """Keep the `amount` samples with the highest (or lowest) `key`.

    Attributes:
        key: SQL of a number.
        bounds: Where keys are expected; only the speed depends on it.
        uniform: Whether keys are whole numbers spread evenly over `bounds`, as hashes are; again for speed.
    """

    key: str
    amount: Amount
    highest: bool
    bounds: tuple[float, float] = (-1.0, 1.0)
    uniform: bool = False


@dataclass(frozen=True, slots=True)
class Quota:
    """Each key in turn keeps its highest samples among those not yet taken.

    `n` is divided evenly; the first `n mod len(keys)` keys take one more, so that exactly `n` are kept.
    """

    keys: tuple[str, ...]
    amount: Amount


@dataclass(frozen=True, slots=True)
class BestRank:
    """Keep the samples whose best rank over the keys is lowest; ties by higher maximum, then lower uid.

    A rank counts from 1 in the order of key descending, uid ascending.
    """

    keys: tuple[str, ...]
    amount: Amount


Selection = Drop | Rank | Quota | BestRank


class Rule(ABC):
    """One entry of a split. A rule is a frozen slotted dataclass whose fields are its options."""

    __slots__ = ()
    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}
    needs: ClassVar[tuple[str, ...]] = ()
    """The measures whose columns the rule reads."""
    shorthand: ClassVar[str | None] = None
    """The option that a plan may give alone: `where: "width > 200"`."""

    def resolved(self, scope: Scope) -> Self:
        """Fill in defaults and expand `all`.

        Raises:
            PlanError: If the rule names what the plan does not have.
        """
        return self

    def follows(self) -> tuple[str, ...]:
        """Name the splits that must be cut before this rule can be carried out."""
        return ()

    @abstractmethod
    def selection(self, scope: Scope) -> Selection:
        """Say which samples stay; the rule has been resolved."""


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
