"""What the texts of an image folder tell: those beside an image of that one, tables of many."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from pipeline.readers._described import described, of_fields
from pipeline.readers._folders.captions import Told, told_by
from pipeline.readers._folders.folder_walk import TEXT_SUFFIXES, Walk, names_of, without_suffix
from pipeline.readers._folders.image_files import bytes_of, key_of
from pipeline.readers._leftover import kind_of
from pipeline.sets import columns


def tables_of(root: Path, files: list[str], seen: Walk) -> tuple[dict[str, Callable[[str], bool]], list[str]]:
    """Find the files that tell of many images, each with what says whether it tells of one, and notes on them."""
    found: dict[str, Callable[[str], bool]] = {}
    notes: list[str] = []
    keys = [key_of(root, file) for file in files]
    for file in seen.tables:
        # One that lies beside an image of its name tells of that image alone.
        alone = file in seen.texts.get(columns.loose(without_suffix(file)), ()) or not file.lower().endswith(
            TEXT_SUFFIXES
        )
        odd: Counter[str] = Counter()
        told = told_by(file, bytes_of(file), _folder(root, file), odd) if alone else None
        if told is not None:
            seen.others[kind_of(file)] -= 1
            found[file] = partial(_tells, root, told)
            notes += [f"{key_of(root, file)}: {kind}" for kind in odd]
            notes += told.missing(keys, key_of(root, file))
    return found, notes


def texts_of(
    root: Path, files: Sequence[str], texts: Sequence[str], digests: dict[str, str]
) -> tuple[dict[str, dict[str, bytes]], list[Told]]:
    """Read what lies beside the images, and what tells of many.

    Returns:
        The texts beside images, by `names_of` these and by suffix, one of exactly that name before another; and the
        tables.
    """
    names = {name for file in files for name in names_of(file)}
    alike: dict[str, list[str]] = {}
    for name in names:
        alike.setdefault(columns.loose(name), []).append(name)
    beside: dict[str, dict[str, bytes]] = {}
    tables: list[Told] = []
    for file in texts:
        content = bytes_of(file)
        digests[file] = hashlib.sha256(content).hexdigest()
        stem, kind = without_suffix(file), Path(file).suffix[1:].lower()
        about = [stem] if stem in names else alike.get(columns.loose(stem), [])
        if about and file.lower().endswith(TEXT_SUFFIXES):
            for name in about:
                held = beside.setdefault(name, {})
                held[kind] = content if name == stem else held.get(kind, content)
        else:
            told = told_by(file, content, _folder(root, file), Counter())  # `tables_of` has noted what is odd
            tables += [told] if told is not None else []
    return beside, tables


def described_by(
    texts: dict[str, bytes], tables: Sequence[Told], key: str, odd: Counter[str]
) -> dict[str, str | None]:
    """Say what is known of an image: by the files beside it first, then by those that tell of many."""
    found = described(texts, odd)
    for table in tables:
        fields = table.of(key)
        if fields is not None:
            told = of_fields(fields, odd)
            found = {role: told[role] if value is None else value for role, value in found.items()}
    return found


def _tells(root: Path, told: Told, file: str) -> bool:
    return told.of(key_of(root, file)) is not None


def _folder(root: Path, file: str) -> str:
    return key_of(root, file).removesuffix(columns.plain_text(Path(file).name))
