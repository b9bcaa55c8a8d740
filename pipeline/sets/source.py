"""One set of samples in a plan: a pool, a reference or a benchmark, and where its files lie."""

from __future__ import annotations

import os
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

# A path with a NUL cannot be opened by any system call; an empty one would silently mean the current folder.
# `~` is the home folder wherever a path comes from: a shell does not expand it in NAME=~/x.
PathText = Annotated[
    str,
    StringConstraints(min_length=1, max_length=4096, pattern=r"^[^\x00]+$"),
    AfterValidator(os.path.expanduser),
]
NameText = Annotated[str, StringConstraints(min_length=1, max_length=255, pattern=r"^[^\x00]+$")]


class Expect(BaseModel):
    """How much of a set there must be; a run stops where the files hold another number (fail closed)."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    samples: int | None = Field(default=None, ge=1, description="Number of samples.")
    classes: int | None = Field(default=None, ge=1, description="Number of distinct classes.")


class Source(BaseModel):
    """A set on disk, in one of the formats that the readers know."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    path: PathText = Field(description="File or folder, relative to the current directory.")
    format: NameText | None = Field(default=None, description="Name of a reader; found out if omitted.")
    embedding: NameText | None = Field(
        default=None, description="datacomp: name of the array in the npz files (default b32_img)."
    )
    metadata: PathText | None = Field(
        default=None, description="clip-retrieval: metadata folder, where it is not `metadata`."
    )
    embeddings: PathText | None = Field(
        default=None, description="laion: folder of .npy files that pair with the metadata files."
    )
    duplicates: Literal["error", "keep_first"] = Field(
        default="error", description="What to do with a uid that occurs more than once."
    )
    dataset: NameText | None = Field(
        default=None, description="Name of the dataset that this set is part of, as the report shows it."
    )
    expect: Expect | None = Field(default=None, description="Counts that the files must match.")
    manifest: PathText | None = Field(default=None, description="Manifest that describes the set.")
