"""One set of samples in a plan: a pool, a reference or a benchmark, and where its files lie."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from pipeline.sets.ingest_request import IngestRequest, PathText

NameText = Annotated[str, StringConstraints(min_length=1, max_length=255, pattern=r"^[^\x00]+$")]
NameList = Annotated[tuple[NameText, ...], Field(strict=False, min_length=1)]
"""A list of names, which YAML gives as one."""


class Expect(BaseModel):
    """How much of a set there must be; a run stops where the files hold another number (fail closed)."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    samples: int | None = Field(default=None, ge=1, description="Number of samples.")
    classes: int | None = Field(default=None, ge=1, description="Number of distinct classes.")
    per_class: int | None = Field(default=None, ge=1, description="Number of samples of each class.")
    labels: Literal["imagenet-1k", "positions"] | NameList | None = Field(
        default=None,
        description="The classes, as the set's folders are called: a list, ImageNet's ids, or positions from 0.",
    )
    numbered: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9_-]*#+[A-Za-z0-9_.-]*$",
        description="Names of the images, numbered from 1; # stands for a digit.",
    )


class ReaderOptions(BaseModel):
    """Options of one format, which stand beside a set's other keys; a reader that has some derives its own."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)
    paths: ClassVar[tuple[str, ...]] = ()
    """Options that are paths: inside the set, or relative to the current directory."""


class Source(BaseModel):
    """A set on disk, in one of the formats that the readers know; keys beyond these are its reader's options."""

    model_config = ConfigDict(extra="allow", frozen=True, strict=True)

    path: PathText = Field(description="File or folder, relative to the current directory.")
    format: NameText | None = Field(default=None, description="Name of a reader; found out if omitted.")
    encoder: NameText | None = Field(
        default=None, description="Which of the plan's encoders its embeddings are of; the first if omitted."
    )
    duplicates: Literal["error", "keep_first"] = Field(
        default="error", description="What to do with a uid that occurs more than once."
    )
    dataset: NameText | None = Field(
        default=None, description="Name of the dataset that this set is part of, as the report shows it."
    )
    images: PathText | None = Field(
        default=None,
        description="Folder, or img2dataset's tars, with the images of a set of vectors, for the report.",
    )
    expect: Expect | None = Field(default=None, description="Counts that the files must match.")
    ingest: IngestRequest | None = Field(
        default=None,
        description="List of URLs whose images a run fetches first, into the folder `path`.",
    )
    manifest: PathText | None = Field(default=None, description="Manifest that describes the set.")

    @property
    def options(self) -> dict[str, Any]:
        """The keys that are its reader's; those that are None say nothing."""
        return {key: value for key, value in (self.model_extra or {}).items() if value is not None}
