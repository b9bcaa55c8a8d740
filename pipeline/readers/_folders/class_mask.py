"""Which class folders of a set are taken: those of a list, or those that ObjectNet maps to classes of ImageNet."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from indexes.errors import DataError
from pipeline.readers._folders.image_files import key_of

_FOLDERS = "folder_to_objectnet_label.json"


def masked(
    root: Path, files: Iterable[str], classes: str | Sequence[str] | None
) -> tuple[list[str], tuple[str, ...]]:
    """Leave out images of other classes.

    Args:
        root: The set.
        files: Its images.
        classes: The class folders to take; or a JSON file, inside the set or not, of a list of them, or ObjectNet's
            objectnet_to_imagenet_1k.json, beside which lies folder_to_objectnet_label.json. None takes all.

    Returns:
        The images that stay, and a note on what is left out.

    Raises:
        DataError: If the file is none of these, or a folder is named that is not there.
    """
    there = list(files)
    if classes is None:
        return there, ()
    wanted = _from_file(root, classes) if isinstance(classes, str) else frozenset(classes)
    kept = [file for file in there if _class_of(root, file) in wanted]
    absent = sorted(wanted - {_class_of(root, file) for file in kept})
    if absent:
        more = f" and {len(absent) - 5} more" if len(absent) > 5 else ""
        raise DataError(
            f"'{root}' has no images in the class folders {', '.join(absent[:5])}{more}, which the plan names: "
            "complete the set, or correct `classes` or `class_file` in the plan"
        )
    left = len(there) - len(kept)
    return kept, (f"images of classes that the plan does not name are left out: {left:,}",) if left else ()


def _class_of(root: Path, file: str) -> str:
    return key_of(root, file).partition("/")[0]


def _from_file(root: Path, classes: str) -> frozenset[str]:
    inside = root / classes
    path = inside if inside.exists() else Path(classes)
    told = _read(path, (list, dict))
    if isinstance(told, list):
        return frozenset(map(str, told))
    folders = _read(path.with_name(_FOLDERS), (dict,))
    return frozenset(folder for folder, label in folders.items() if label in told)


def _read(path: Path, kinds: tuple[type, ...]) -> Any:
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(told, kinds):
            return told
        raise ValueError(f"it holds a {type(told).__name__}")
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(
            f"'{path}' cannot be read as a list of class folders ({error}); give a JSON list, or ObjectNet's "
            f"objectnet_to_imagenet_1k.json beside {_FOLDERS}"
        ) from error
