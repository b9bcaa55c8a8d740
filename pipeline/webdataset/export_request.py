"""What an export is asked for."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.plan import PlannedExport

SAMPLES_PER_SHARD = 10_000
TARS, CSV = "tars", "csv"
"""What an export writes: webdataset tars, or a table of image files for open_clip's reader of CSV."""
CSV_NAME = "samples.csv"


@dataclass(frozen=True, slots=True)
class ExportRequest:
    """A split as tars, or as a table.

    Attributes:
        split: Its name.
        samples_per_shard: Samples of a tar; the last may have fewer.
        seed: Of their order; below 2**32.
        license: Under which the samples may be used, for the dataset card: an identifier or a link; empty where
            nothing is said.
        form: `TARS` or `CSV`.
        cls: The column of the split's whose number each sample has as `.cls`; empty for none.
        planned: Whether a plan asks for it, whose words messages then use.
    """

    split: str
    samples_per_shard: int = SAMPLES_PER_SHARD
    seed: int = 0
    license: str = ""
    form: str = TARS
    cls: str = ""
    planned: bool = False

    def spelled(self, option: str) -> str:
        """Write an option as who asked does: `--csv`, or `export.SPLIT.csv: true`."""
        if not self.planned:
            return f"--{option}"
        return f"export.{self.split}.{option}{': true' if option == CSV else ''}"


def request_of(split: str, asked: PlannedExport, planned: bool = True) -> ExportRequest:
    """Say what a plan asks for of a split, or who gives the command in the same words."""
    form = CSV if asked.csv else TARS
    return ExportRequest(split, asked.samples_per_shard, asked.seed, asked.license, form, asked.cls, planned)


def tar_name(number: int) -> str:
    """Name a tar, as DataComp's resharder does."""
    return f"{number:08d}.tar"


def stats_name(number: int) -> str:
    """Name the counts beside it."""
    return f"{number:08d}_stats.json"


def listing_name(number: int) -> str:
    """Name the table of its samples, as img2dataset does."""
    return f"{number:08d}.parquet"
