"""What decides the bytes of a measure's part, and where what it looks at lies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from curation import measures
from curation.measure import Measure
from pipeline.execution.work import Json
from pipeline.measuring import Instance
from pipeline.passes.packed_queries import QueryFiles
from pipeline.sets.parts import Part, Stored


@dataclass(frozen=True, slots=True)
class Searching:
    """What decides what a search finds: the queries, how many neighbours are listed, and how it is done.

    Attributes:
        queries: Digests of the benchmark's queries and thresholds.
        k: Neighbours listed for each query.
        backend: Name of the index backend, with its options.
        options: Options of the backend.
        sampled: Rows and seed of the sample that is compared with the exact engine; None for an exact backend.
    """

    queries: tuple[str, ...]
    k: int
    backend: str
    options: Json
    sampled: tuple[int, int] | None


@dataclass(frozen=True, slots=True)
class Identity:
    """What decides a unit's bytes.

    Attributes:
        kind: The measure; or that rows without a comparable vector are listed.
        name: What rules call it; or the encoder.
        options: Its options.
        version: Of its code.
        part: Number of the part.
        rows: Digest of the part's samples.
        skip: Rows that take no part.
        vectors: By lane, the vectors that it looks at.
        others: Digests of other measures' columns and tables that it looks at.
        searching: What it searches, if it does.
        model: Digest of what it learned, if it did.
        target: Digest of the benchmark's queries that it takes whole, if it does, or of what was made of them.
        of: The set that the part is of.
    """

    kind: str
    name: str
    options: Json
    version: int
    part: int
    rows: str
    skip: tuple[int, ...]
    vectors: dict[str, str]
    others: dict[str, list[str]] = field(default_factory=dict)
    searching: Searching | None = None
    model: str | None = None
    target: str | None = None
    of: str = "pool"

    def measure(self) -> Measure:
        """Build the measure."""
        return measures.parse(self.kind, self.options, f"measures.{self.name}")


@dataclass(frozen=True, slots=True)
class Other:
    """What a measure needs of another.

    Attributes:
        need: As the measure names it: `clusters`, or `clusters:sizes`.
        paths: The part's file; or a table's files, of all parts.
        columns: The columns; None for a table.
    """

    need: str
    paths: tuple[str, ...]
    columns: tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class Results:
    """What a measure of whole groups found.

    Attributes:
        piece: Which piece of each file is this part's.
        paths: The files, one for each bucket of groups.
    """

    piece: int
    paths: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Settings:
    """Where what it looks at lies.

    Attributes:
        part: The part.
        lanes: Vectors by lane.
        encoder: Whose embeddings they are.
        own: Columns of the pool that it looks at.
        others: What it needs of other measures.
        queries: The benchmark's queries, where it searches or takes them whole.
        model: What it learned.
        summary: What was made of its target's queries.
        results: For a measure of whole groups, what it found.
    """

    part: Part
    lanes: dict[str, Stored]
    encoder: str
    own: tuple[str, ...] = ()
    others: tuple[Other, ...] = ()
    queries: QueryFiles | None = None
    model: str | None = None
    summary: str | None = None
    results: Results | None = None


def of_instance(
    one: Instance, part: Part, vectors: Mapping[str, str], others: Mapping[str, list[str]]
) -> Identity:
    """Say what decides the bytes of a measure's part, but for what it searches and has learned."""
    options = measures.dump(one.measure)
    return Identity(
        one.kind,
        one.name,
        options,
        one.measure.version,
        part.number,
        part.digest,
        part.skip,
        dict(vectors),
        dict(others),
    )
