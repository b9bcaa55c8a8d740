"""The domain that a sample is of, learned from labels, and taken where a bound on precision holds."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import Field

from curation.kernels.heads.precision_levels import needed, proven_level
from curation.kernels.heads.softmax_head import PENALTY
from curation.kernels.uid_hash import hashes
from curation.kernels.uid_names import hex_names
from curation.measure import DEFAULTS, Block, Column, Columns, Measure, Model, Running, Tables
from curation.measures.of_domain._domain_labels import DomainLabels, labels_digest, read_labels
from curation.measures.of_domain._domain_models import Way, learn, shares
from curation.plugin_options import pinned
from indexes.errors import DataError, PlanError
from indexes.scanner import ScanOptions

AMBIGUOUS = "ambiguous"
_SHOWN = 5
Name = Annotated[str, Field(strict=True, min_length=1)]
Share = Annotated[float, Field(strict=True, gt=0, lt=1)]


@dataclass(frozen=True, slots=True)
class Domain(Measure):
    """Which domain a sample is of: what a linear head on the embeddings says, and whether it is sure enough.

    * `labels`: Parquet or CSV with the columns `uid` or `key`, and `domain`: which domain some samples of the pool are
      of. Near-copies among them make precision look better than it is.
    * `groups: {natural: [photo], rendition: [drawing, sketch]}`: domains that count as one. A domain called
      `ambiguous` is learned as any other, and never taken.
    * `precision`: what Wilson's 95 % lower bound of the precision of taken samples must reach, on held-out labels, for
      each domain. The threshold is the lowest probability that does, as `curation.kernels.heads.precision_levels` finds
      it. A sample whose most probable domain does not reach its threshold is `ambiguous`; a domain for which no
      threshold is proven takes none.
    * `held`: share of the labels that are held out, by hash of (uid, `seed`).
    * `by`: `head`, multinomial logistic regression with `penalty`; or, as plain ways to compare it with, `centroid`
      and `prototype`, the nearest mean and the nearest labelled sample of each domain. What these call probability is
      the softmax of similarity / 0.01.
    * `benchmarks`: whose queries are told apart as well, into `queries/`. They must be of the pool's encoder.
    * `partial: true`: labels of what is not in the pool, or has no vector there, are passed over and not refused.
    * `digest`: of the labels. It is filled in; a plan that gives it is held to it.

    The table `proof` says for each domain: `learned` and `held` labels, the `threshold` (NULL where none is proven),
    how many held-out samples reach it (`taken`), how many of them are `right`, and the `bound`; and beside that, for
    each part of the pool, how many `samples` were taken.
    """

    labels: Name
    by: Way = "head"
    precision: Share = 0.95
    held: Share = 0.5
    penalty: Annotated[float, Field(strict=True, gt=0)] = PENALTY
    groups: dict[str, list[str]] | None = None
    benchmarks: tuple[Name, ...] = ()
    partial: bool = False
    seed: Annotated[int, Field(strict=True, ge=0, lt=2**63)] = 0
    digest: str | None = None
    needs: ClassVar[tuple[str, ...]] = ("image",)
    taught: ClassVar[bool] = True

    def resolved(self, where: str) -> Self:
        """Read the labels, and fill in their digest; a file that is not there is missed by `check_beside`.

        Raises:
            PlanError: If they cannot be read, are not those of the digest, or say one domain alone.
        """
        if not Path(self.labels).exists():
            return self
        found = labels_digest(self.labels, f"{where}.labels")
        digest = pinned(self.digest, found, f"{where}.labels: {self.labels}", where)
        filled = replace(self, digest=digest)
        domains = filled.told(where).domains()
        if len(domains) < 2:
            raise PlanError(
                f"{where}.labels say one domain alone ({', '.join(domains) or 'none'}), which tells nothing apart; add "
                "labels of another"
            )
        return filled

    def check_beside(self, others: Mapping[str, Measure], where: str) -> None:
        """The labels must be there before anything is read: a plan may be looked at without them."""
        labels_digest(self.labels, f"{where}.labels")

    def told(self, where: str = "the measure") -> DomainLabels:
        """Return the labels, as `groups` has them."""
        digest = self.digest or labels_digest(self.labels, f"{where}.labels")
        found = read_labels(self.labels, digest, f"{where}.labels")
        return found if self.groups is None else found.joined(self.groups, where)

    def columns(self) -> tuple[Column, ...]:
        """The likeliest domain, how likely each is, and which one the sample is taken as."""
        each = pa.struct([(name, pa.float64()) for name in self.told().domains()])
        return (
            Column("domain", pa.string(), "the most probable domain; ties go to the first by name"),
            Column("probability", each, "probability of each domain; they sum to 1"),
            Column("taken", pa.string(), f"that domain where its threshold is reached, else {AMBIGUOUS}"),
        )

    def sample_rows(self) -> int:
        """As many as there are labels."""
        return len(self.told().domain_of)

    def taught_by(self, uids: NDArray[np.uint64], keys: Any) -> NDArray[np.bool_]:
        """Say `(n,)` which samples have a label."""
        return np.array([name is not None for name in self._domains_of(uids, keys)], bool)

    def _domains_of(self, uids: NDArray[np.uint64], keys: Any) -> list[str | None]:
        told = self.told()
        names = keys.to_pylist() if told.by == "key" else hex_names(uids)
        return [told.domain_of.get(name) for name in names]

    def learns(self) -> Self:
        """All but the benchmarks, which are looked at when it has learned."""
        return replace(self, benchmarks=())

    def judges(self) -> tuple[str, ...]:
        """As the plan says."""
        return self.benchmarks

    def train(self, sample: Block, options: ScanOptions = DEFAULTS) -> Model:
        """Learn from some labels, and find each domain's threshold by the others.

        Raises:
            DataError: If labels name what is not there, or are too few for the bound.
        """
        told, keys = self.told(), sample.columns.get("key")
        if not self.partial:
            _refuse_unknown(told, sample.uids, keys)
        names = told.domains()
        of = np.array([names.index(name or "") for name in self._domains_of(sample.uids, keys)], np.int64)
        out = _held_out(sample.uids, self.seed, self.held)
        learned, held = (np.bincount(of[rows], minlength=len(names)) for rows in (~out, out))
        self._refuse_few(names, learned, held)
        vectors = sample.vectors["image"]
        model = learn(self.by, vectors[~out], of[~out], len(names), self.penalty)
        proof = self._proof(names, shares(vectors[out], model), of[out])
        return {"domains": np.array(names), "learned": learned, "held": held} | dict(model) | proof

    def _refuse_few(
        self, names: tuple[str, ...], learned: NDArray[np.int64], held: NDArray[np.int64]
    ) -> None:
        least = needed(self.precision)
        for name, own, out in zip(names, learned.tolist(), held.tolist(), strict=True):
            short = 0 if name == AMBIGUOUS else least - out
            more = max(math.ceil(short / self.held), 0 if own else 1)
            if more > 0:
                raise DataError(
                    f"{own + out:,} labels of '{name}' are of samples with a vector, and {out:,} of these are held "
                    f"out; {least:,} held-out ones, all of them right, are the fewest whose lower bound reaches "
                    f"{self.precision}. Add about {more:,} labels of it, or lower precision"
                )

    def _proof(
        self, names: tuple[str, ...], found: NDArray[np.float64], of: NDArray[np.int64]
    ) -> dict[str, NDArray[Any]]:
        said, sureness = np.argmax(found, axis=1), np.max(found, axis=1)
        levels, counts, bounds = [], [], []
        for place, name in enumerate(names):
            own = said == place
            proven = proven_level(sureness[own], of[own] == place, self.precision)
            level = proven.level if name != AMBIGUOUS else None
            levels.append(np.inf if level is None else level)
            counts.append((proven.taken, proven.right))
            bounds.append(proven.bound)
        taken, right = np.array(counts, np.int64).T
        return {"level": np.array(levels), "taken": taken, "right": right, "bound": np.array(bounds)}

    def start(self, model: Model, tables: Tables, options: ScanOptions = DEFAULTS) -> Running:
        """Begin with a part."""
        return _Telling(self, model)

    def apply(self, block: Block, model: Model) -> Columns:
        """Tell a block apart."""
        return _Telling(self, model).apply(block)


class _Telling(Running):
    """Tells samples apart, and counts what is taken."""

    def __init__(self, measure: Domain, model: Model) -> None:
        super().__init__(measure, model)
        self._names = [str(name) for name in model["domains"]]
        self._counts = np.zeros(len(self._names) + 1, np.int64)

    def apply(self, block: Block) -> Columns:
        found = shares(block.vectors["image"], self.model)
        said = np.argmax(found, axis=1)
        sure = found[np.arange(len(said)), said] >= self.model["level"][said]
        taken = np.where(sure, said, len(self._names))
        self._counts += np.bincount(taken, minlength=len(self._counts))
        names = pa.array([*self._names, AMBIGUOUS])
        each = [pa.array(np.ascontiguousarray(column)) for column in found.T]
        return {
            "domain": names.take(pa.array(said)),
            "probability": pa.StructArray.from_arrays(each, self._names),
            "taken": names.take(pa.array(taken)),
        }

    def finish(self) -> Mapping[str, pa.Table]:
        facts = {name: self.model[name] for name in ("learned", "held", "taken", "right", "bound")}
        levels = self.model["level"]
        proof = {"domain": self._names, "threshold": pa.array(levels, mask=np.isinf(levels))} | facts
        return {"proof": pa.table(proof | {"samples": self._counts[:-1]})}


def _refuse_unknown(told: DomainLabels, uids: NDArray[np.uint64], keys: Any) -> None:
    there = set(keys.to_pylist() if told.by == "key" else hex_names(uids))
    unknown = sorted(name for name in told.domain_of if name not in there)
    if unknown:
        more = f" and {len(unknown) - _SHOWN:,} more" if len(unknown) > _SHOWN else ""
        raise DataError(
            f"labels name a {told.by} of which the pool has no sample with a vector: "
            f"{', '.join(map(repr, unknown[:_SHOWN]))}{more}. Correct the labels, or say partial: true to pass over "
            "such"
        )


def _held_out(uids: NDArray[np.uint64], seed: int, share: float) -> NDArray[np.bool_]:
    """Draw `(n,)` rows by hash of the uid: a label that comes or goes moves no other."""
    return hashes(uids, seed) < np.uint64(share * 2.0**64)
