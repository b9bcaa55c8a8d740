"""What a plan holds, checked by pydantic: unknown keys are refused and text is not made into numbers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    ConfigDict,
    Field,
    SkipValidation,
    WithJsonSchema,
    model_validator,
)

from curation.measure import Measure
from pipeline.documents.licenses import LicenseText
from pipeline.documents.strict import Strict
from pipeline.embedding.framing import Decoder
from pipeline.embedding.weights import EncoderSpec, Precision
from pipeline.plan.measured import measure_as_written
from pipeline.plan.names import BenchmarkName, PlanName
from pipeline.plan.recipes import Split
from pipeline.sets.ingest_request import PathText
from pipeline.sets.source import Source

_DECIMAL = {"B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_BINARY = {"KIB": 2**10, "MIB": 2**20, "GIB": 2**30, "TIB": 2**40}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGT]i?B|B)", re.IGNORECASE)
_MIN_MEMORY = 64 * 2**20


def byte_count(text: str) -> int:
    """Read a size such as `1GB` (10^9 bytes) or `512MiB` (512 * 2^20 bytes)."""
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"got '{text}', which is no size; write a number with a unit: 500MB, 1GB, 2GiB")
    return int(float(match[1]) * (_DECIMAL | _BINARY)[match[2].upper()])


def _memory_size(text: str) -> str:
    if byte_count(text) < _MIN_MEMORY:
        raise ValueError(f"got '{text}', which is too little; give at least 64MiB")
    return text


class EncoderChoice(Strict):
    """The open_clip model that embeds images and captions."""

    model: PathText = Field(
        description="Name of an open_clip model, hf-hub:OWNER/NAME, or path of a folder or JSON config."
    )
    pretrained: PathText | None = Field(
        default=None, description="Name of open_clip's weights for it, or path of a checkpoint file."
    )
    precision: Precision = Field(
        default="float32",
        description="Numbers that it multiplies; the shorter ones are faster where the hardware has them.",
    )
    decoder: Decoder = Field(
        default="pillow",
        description="What decodes JPEGs; simplejpeg is faster, and refused where it moves similarities by over 0.001.",
    )

    @property
    def label(self) -> str:
        """Its model as messages name it, with what is unusual about it."""
        unusual = [self.precision] * (self.precision != "float32") + [self.decoder] * (
            self.decoder != "pillow"
        )
        return f"{self.model} ({', '.join(unusual)})" if unusual else self.model

    def spec(self) -> EncoderSpec:
        """Give the same to those that load it."""
        return EncoderSpec(self.model, self.pretrained, self.precision, self.decoder)


class AuditOptions(Strict):
    """What the report calls leakage, and how many pairs it shows."""

    hard: float = Field(default=0.99, ge=-1, le=1, description="From here on a pair may be the same image.")
    soft: float = Field(default=0.95, ge=-1, le=1, description="From here on a pair may be a near-copy.")
    pairs: int = Field(default=24, ge=0, le=500, description="Image pairs shown for each benchmark.")
    accuracies: PathText | None = Field(
        default=None,
        description="CSV of accuracies by class (class, accuracy; model, predictions), to set beside class frequency.",
    )
    results: PathText | None = Field(
        default=None,
        description="CSV of models' accuracies on ImageNet and its shifts, for effective robustness.",
    )
    image_classes: str | None = Field(
        default=None,
        min_length=1,
        description="Column of the pool, or measure.column, that lists what is seen in an image, for misalignment.",
    )
    within: list[str] | None = Field(
        default=None,
        description="Sets in which near-duplicates are looked for: benchmarks, all by default, and 'reference'.",
    )

    spectra: list[str] | None = Field(
        default=None,
        description="Splits whose singular values are set beside those of the pool and of a random sample as large.",
    )

    @model_validator(mode="after")
    def _soft_below_hard(self) -> AuditOptions:
        if self.soft > self.hard:
            raise ValueError(f"soft is {self.soft}, above hard; give a soft of at most {self.hard}")
        return self


class EngineOptions(Strict):
    """How the measuring pass computes; no choice of these but an inexact backend changes a result."""

    backend: str = Field(default="exact", description="Name of an index backend.")
    options: dict[str, Any] = Field(default_factory=dict, description="Options of that backend.")
    memory_limit: Annotated[str, AfterValidator(_memory_size)] = Field(
        default="1GB", description="Memory for one pass, such as 500MB or 2GiB."
    )
    unit_rows: Annotated[int, Field(ge=1)] = Field(
        default=131_072,
        description="Shards are taken together until a part has about this many rows.",
    )

    @property
    def memory_bytes(self) -> int:
        """The memory limit in bytes."""
        return byte_count(self.memory_limit)


class PlannedExport(Strict):
    """How a split is written for training, once a run is done: in the words of `nearfar export`."""

    samples_per_shard: int = Field(
        default=10_000, ge=1, le=1_000_000, description="Samples of a tar; the last may have fewer."
    )
    seed: int = Field(default=0, ge=0, le=2**32 - 1, description="Seed of their order.")
    license: LicenseText = Field(
        default="", description="License of the samples, for the dataset card: an identifier, or a link."
    )
    csv: bool = Field(
        default=False,
        description="List image files and captions for open_clip's reader of CSV, in place of tars.",
    )
    cls: str = Field(
        default="",
        description="Column of the split whose number each sample has as its .cls, such as classes.single.",
    )


class Plan(Strict):
    """One plan: a pool, the benchmarks it is measured against, and the splits to cut from it."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    name: PlanName = Field(description="Name of the plan, for the report.")
    pool: Source = Field(description="The image-text pool to curate.")
    encoder: EncoderChoice | None = Field(
        default=None,
        description="Model that embeds images and captions; omitted where every set brings vectors.",
    )
    encoders: dict[BenchmarkName, EncoderChoice] = Field(
        default_factory=dict,
        description="Several such models by name, instead of `encoder`; a set names its own.",
    )
    reference: Source | None = Field(
        default=None, description="The in-distribution training set that calibrates each query's threshold."
    )
    benchmarks: dict[BenchmarkName, Source] = Field(
        default_factory=dict, description="The evaluation sets by name; a plan without any compares nothing."
    )
    sources: dict[BenchmarkName, Source] = Field(
        default_factory=dict, description="Further sets by name, which a rule may draw from."
    )
    measures: Annotated[dict[str, SkipValidation[Measure]], WithJsonSchema({})] = Field(
        default_factory=dict,
        description="Measures by name with their options, beyond those that rules ask for.",
    )
    splits: Annotated[dict[str, SkipValidation[Split]], WithJsonSchema({})] = Field(
        default_factory=dict,
        description="The splits by name: lists of rules, or {from: ..., rules: [...]}.",
    )
    export: dict[str, PlannedExport] = Field(
        default_factory=dict,
        description="Splits that a run also writes as webdataset tars or as a CSV, by name with their options.",
    )
    output: PathText = Field(description="Folder for everything that nearfar writes.")
    neighbours: int = Field(
        default=10, ge=1, le=1000, description="Nearest pool samples listed for each query."
    )
    audit: AuditOptions = Field(default_factory=AuditOptions, description="Levels and sizes of the report.")
    engine: EngineOptions = Field(default_factory=EngineOptions, description="How the pass computes.")

    def encoder_map(self) -> dict[str, EncoderChoice]:
        """Name the plan's encoders, the usual one first; the single one under `encoder` is called clip."""
        return dict(self.encoders) if self.encoder is None else {"clip": self.encoder}

    def further_sets(self) -> tuple[str, ...]:
        """Name the sets that a rule may bring in: the reference, and the plan's sources."""
        return (*(("reference",) if self.reference is not None else ()), *self.sources)

    def sources_by_place(self) -> dict[str, Source]:
        """List every set of the plan by its place: `pool`, `reference`, `benchmarks.NAME`, `sources.NAME`."""
        sets = {"pool": self.pool}
        if self.reference is not None:
            sets["reference"] = self.reference
        sets |= {f"benchmarks.{name}": source for name, source in self.benchmarks.items()}
        return sets | {f"sources.{name}": source for name, source in self.sources.items()}

    def with_sets(self, changed: Mapping[str, Source]) -> Plan:
        """Give the same plan with other sets at some places, named as `sources_by_place` does."""
        told: dict[str, Any] = {place: source for place, source in changed.items() if "." not in place}
        for group in ("benchmarks", "sources"):
            own = {
                name: changed.get(f"{group}.{name}", source) for name, source in getattr(self, group).items()
            }
            told[group] = own
        return self.model_copy(update=told)

    def written(self) -> dict[str, Any]:
        """Write the plan as a plan file does, without what is None."""
        plain = self.model_dump(mode="json", exclude_none=True, exclude={"splits", "measures"})
        plain = {key: value for key, value in plain.items() if value != {}}
        asked = {name: measure_as_written(name, measure) for name, measure in self.measures.items()}
        plain |= {"measures": asked} if asked else {}
        return plain | {"splits": {name: split.as_written() for name, split in self.splits.items()}}
