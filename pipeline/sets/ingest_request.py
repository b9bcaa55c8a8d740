"""What a user asks to be fetched."""

from __future__ import annotations

import os
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

# A path with a NUL cannot be opened by any system call; an empty one would silently mean the current folder.
# `~` is the home folder wherever a path comes from: a shell does not expand it in NAME=~/x.
PathText = Annotated[
    str,
    StringConstraints(min_length=1, max_length=4096, pattern=r"^[^\x00]+$"),
    AfterValidator(os.path.expanduser),
]


class IngestRequest(BaseModel):
    """A list of URLs, and how its images are fetched; a plan's `ingest:` of a set."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    urls: PathText = Field(
        description="The list: Parquet, CSV, TSV, JSON lines, or text with one URL a line; or a folder of these."
    )
    image_size: int | None = Field(
        default=None,
        ge=16,
        le=4096,
        description="Longest larger side in pixels; a larger image becomes a JPEG of that side. Else files are kept.",
    )
    shard_rows: int = Field(default=10_000, ge=1, le=100_000, description="Rows of the list for one tar.")
    connections: int = Field(
        default=64, ge=1, le=1024, description="Connections at a time, for each process."
    )
    per_host: int = Field(default=16, ge=1, le=1024, description="Of these, to one host.")
    seconds: float = Field(default=30.0, gt=0, le=600, description="For one image, from name to last byte.")
    body_bytes: int = Field(default=32 << 20, ge=1024, le=64 << 20, description="Bytes of one image.")
    pixels: int = Field(
        default=1 << 26, ge=256, le=1 << 26, description="Pixels of one image, by its header."
    )
    patience: float = Field(
        default=30.0,
        ge=0,
        le=3600,
        description="Seconds that a host is waited for in all, in one try of a piece, where it asks to wait (HTTP 429, "
        "Retry-After); then its rows fail in passing, and it is not asked.",
    )
    tries: int = Field(default=2, ge=1, le=5, description="How often a passing failure is tried in a row.")
    deny: dict[str, PathText] = Field(
        default_factory=dict,
        description="Deny lists of what is not fetched, by kind: url, host, sha256, md5.",
    )
    loopback: bool = Field(
        default=False,
        description="Let addresses of this machine be fetched from: for tests with a local server.",
    )
