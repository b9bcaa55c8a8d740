"""Which image files of a folder are the rows of `samples/`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from indexes.errors import DataError
from pipeline.files.afar.stand_ins import length_of
from pipeline.readers._folders.download import download_key
from pipeline.readers._folders.image_files import fault_of, key_of
from pipeline.readers._tars.tar_members import Span
from pipeline.readers._tars.tar_samples import Sample
from pipeline.webdataset.placing.sample_places import Placed, TarPath


def placed_files(
    keys: Sequence[str | None], root: str, files: Sequence[str], downloads: Sequence[str] = ()
) -> Iterator[Placed]:
    """Put a part's rows, in their order, to the image files of its shards: each is a sample of one member.

    Args:
        keys: Each row's key.
        root: The folder.
        files: The part's image files, in order; one that is not read, or could not be decoded, has no row.
        downloads: Folders of img2dataset's, which call samples by their place in them, without the suffix.

    Raises:
        DataError: If a row has no file.
    """
    folder, at = Path(root).absolute(), 0
    for file in files:
        of = next((download for download in downloads if file.startswith(download)), None)
        key = key_of(folder, file) if of is None else download_key(file, of)
        if at < len(keys) and key == keys[at] and fault_of(file) is None:
            kind = Path(file).suffix.lower().removeprefix(".")
            sample = Sample(key, {kind: Span(0, length_of(file))}, {kind})
            yield Placed(at, TarPath(file, file[len(str(folder)) + 1 :]), sample)
            at += 1
    if at < len(keys):
        raise DataError(
            f"{len(keys) - at:,} rows of '{root}', the first with key {keys[at]!a}, are none of its images any more; "
            "run the plan again, then export"
        )
