"""How near a caption or an image is to its class."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Annotated, Any, ClassVar, Literal, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import Field

from curation.classes import IMAGENET_1K, class_list, digest_of
from curation.classes.by_name._called import one_place, plain_name
from curation.measure import DEFAULTS, Block, Column, Columns, Measure, Model, Running, Tables
from curation.measures.of_class._class_texts import check_template, class_texts, texts_digest
from curation.measures.of_class._heads import head_digest, text_head
from indexes.errors import DataError, PlanError
from indexes.queries import Queries
from indexes.scanner import ScanOptions
from indexes.search import open_scanner

Text = Annotated[str, Field(strict=True, min_length=1)]
NONE = "none"
FOUND, SINGLE = "found", "single"


@dataclass(frozen=True, slots=True)
class ClassSimilarity(Measure):
    """Cosine of a sample's embedding to that of its class (arXiv 2306.15769; code `eval-on-laion`, `query_name_def`).

    The vector of a class is the text embedding of `template`, which the encoder's text tower makes once, or a row of a
    `head`. By default it is LAIONet's text similarity: caption against "NAME which is DEFINITION" of WordNet.

    Attributes:
        of: The caption's embedding (`text`), or the image's.
        by: The `classes` measure that says which class it is; or a column of the samples' own that does, by id,
            position or a name that no other class has; or `none`.
        best: Whether to look for the nearest of all classes too: `best`, `best_similarity`.
        head: A file with one vector a class, (C, d) or (d, C), .npy, .npz or .safetensors, of any length.
        names: The class list, that of `by`.
        template: With the slots {name} and, of ImageNet, {definition}; with a head it is not looked at.
        digest: Of class list and head. It is filled in; a plan that gives it is held to it.
    """

    of: Literal["text", "image"] = "text"
    by: Text = "classes"
    best: bool = False
    head: Text | None = None
    names: str = IMAGENET_1K
    template: Text = "{name} which is {definition}"
    digest: str | None = None
    needs: ClassVar[tuple[str, ...]] = ("text", "classes")

    def requires(self) -> tuple[str, ...]:
        """One embedding, and the classes."""
        return (self.of,) if self.by == NONE else (self.of, self.by)

    def resolved(self, where: str) -> Self:
        """Fill in the digest, and find out whether class list, template and head can be used.

        Raises:
            PlanError: If one of them is wrong, or not that of the digest.
        """
        if self.by == NONE and not self.best:
            raise PlanError(f"{where} has by: none and best: false, so there is nothing to say; give one")
        if self.head is None:
            check_template(self.template, self.names, f"{where}.template")
            digest = texts_digest(self.names, f"{where}.names")
        else:
            both = digest_of(self.names, f"{where}.names") + head_digest(self.head, f"{where}.head")
            digest = sha256(both.encode()).hexdigest()
        if self.digest not in (None, digest):
            raise PlanError(
                f"{where}: the class list {self.names}"
                + (f" or the head {self.head}" if self.head else "")
                + " is "
                f"not what it was: the digest is {digest}, {where}.digest says {self.digest}. Bring the former "
                f"file back, or leave {where}.digest out"
            )
        made = replace(self, digest=digest)
        made._head(where)
        return made

    def check_beside(self, others: Mapping[str, Measure], where: str) -> None:
        """Refuse classes of another list than its own.

        Raises:
            PlanError: With both.
        """
        theirs = others.get(self.by)
        if theirs is not None and getattr(theirs, "names", self.names) != self.names:
            raise PlanError(
                f"{where}.names is {self.names}, and the measure {self.by} has the classes of "
                f"{getattr(theirs, 'names', '')}, whose positions mean other classes; give both the same names"
            )

    def phrases(self) -> tuple[str, ...]:
        """The text of each class, where there is no head."""
        if self.head is not None:
            return ()
        digest = self.digest or texts_digest(self.names, "names")
        return class_texts(self.names, digest, self.template, "names")

    def width(self) -> int | None:
        """Numbers of a head's vector."""
        found = self._head("measures")
        return None if found is None else int(found.shape[1])

    def _head(self, where: str) -> NDArray[np.float16] | None:
        if self.head is None:
            return None
        digest = self.digest or head_digest(self.head, f"{where}.head")
        classes = len(class_list(self.names, digest, f"{where}.names"))
        return text_head(self.head, digest, classes, f"{where}.head")

    def columns(self) -> tuple[Column, ...]:
        """To the one class, to the nearest that is named, and to the nearest of all."""
        what = "caption" if self.of == "text" else "image"
        own = (
            Column("similarity", pa.float64(), f"cosine of {what} and its class, where there is exactly one"),
            Column("highest", pa.float64(), f"largest cosine of {what} and a class that the caption names"),
        )
        nearest = (
            Column("best", pa.int32(), f"position in {self.names} of the nearest class; ties: the lower"),
            Column("best_similarity", pa.float64(), f"cosine of {what} and that class, higher is closer"),
        )
        return (() if self.by == NONE else own) + (nearest if self.best else ())

    def start(self, model: Model, tables: Tables, options: ScanOptions = DEFAULTS) -> Running:
        """Hold the vectors of the classes ready."""
        held = self._head("measures")
        return _Comparing(self, model["phrases"] if held is None else held, options)

    def apply(self, block: Block, model: Model) -> Columns:
        """Refuse to open a search for each block."""
        raise TypeError("class_similarity works on whole parts: call start")


class _Comparing(Running):
    """Compares a part's blocks with the classes."""

    def __init__(self, measure: ClassSimilarity, classes: NDArray[np.float16], options: ScanOptions) -> None:
        super().__init__(measure, {})
        self._of, self._by, self._classes = measure.of, measure.by, classes
        self._places = one_place(measure.names, digest_of(measure.names, "names"))
        if measure.best:
            starts = np.array([0, len(classes)], np.int64)
            queries = Queries(classes, (NONE,), starts, None)
            self._scanner = open_scanner(queries, "exact", replace(options, k=1))
        self._best = measure.best

    def apply(self, block: Block) -> Columns:
        vectors = block.vectors[self._of]
        found: dict[str, Any] = {}
        if self._by != NONE:
            named = f"{self._by}.{SINGLE}" in block.columns
            single = block.columns[f"{self._by}.{SINGLE}"] if named else self._said(block.columns[self._by])
            found["similarity"] = found["highest"] = self._to_one(vectors, single)
            if named:
                found["highest"] = self._to_any(vectors, block.columns[f"{self._by}.{FOUND}"])
        if self._best:
            scores = self._scanner.scan(vectors)
            found |= {"best": scores.nearest[:, 0], "best_similarity": scores.similarity[:, 0]}
        return found

    def _said(self, column: Any) -> Any:
        """Find the class that a text or a position says; NULL where it says none, or several."""
        texts = (None if value is None else str(value) for value in column.to_pylist())
        said = [
            None if each is None else self._places.get(each, self._places.get(plain_name(each)))
            for each in texts
        ]
        return pa.array([None if place is None else int(place) for place in said], pa.int32())

    def _to_one(self, vectors: NDArray[np.float16], single: Any) -> Any:
        rows = np.flatnonzero(single.is_valid().to_numpy(zero_copy_only=False))
        values = np.zeros(len(vectors))
        values[rows] = self._products(vectors[rows], single.drop_null().to_numpy(zero_copy_only=False))
        return pa.array(values, mask=single.is_null().to_numpy(zero_copy_only=False))

    def _to_any(self, vectors: NDArray[np.float16], found: Any) -> Any:
        """A list that is NULL or empty has none."""
        counts = found.value_lengths().fill_null(0).to_numpy(zero_copy_only=False)
        products = self._products(
            np.repeat(vectors, counts, axis=0), found.flatten().to_numpy(zero_copy_only=False)
        )
        values, some = np.zeros(len(vectors)), counts > 0
        starts = (np.cumsum(counts) - counts)[some]
        if len(starts):
            values[some] = np.maximum.reduceat(products, starts)
        return pa.array(values, mask=~some)

    def _products(self, vectors: NDArray[np.float16], classes: NDArray[np.int32]) -> NDArray[np.float64]:
        """Multiply each vector with that of its class; a product of stored vectors is exact in float64."""
        if len(classes) and not 0 <= classes.min() <= classes.max() < len(self._classes):
            raise DataError(
                f"{self._by} names the class {int(classes.max())}, and there are {len(self._classes):,} classes; give "
                "class_similarity the names of that measure"
            )
        wide = self._classes[classes].astype(np.float64)
        products: NDArray[np.float64] = np.einsum("ij,ij->i", vectors.astype(np.float64), wide)
        return products
