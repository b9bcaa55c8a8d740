"""A text for each class, made of its name and its definition, to be compared with captions or images."""

from __future__ import annotations

import hashlib
import re
from functools import lru_cache

from curation.classes import BUILT_IN, built_in_file, class_list, digest_of
from indexes.errors import PlanError

NAME, DEFINITION = "{name}", "{definition}"
_DEFINITIONS = "imagenet_synset_to_definition.txt"
_SLOT = re.compile(r"\{[^{}]*\}")


def check_template(template: str, source: str, where: str) -> None:
    """Refuse a template that would give all classes one text, or asks for what a class list has not.

    Raises:
        PlanError: With the slots there are.
    """
    found = _SLOT.findall(template)
    slots = f"{NAME} and, for {' and '.join(BUILT_IN)}, {DEFINITION}"
    unknown = [slot for slot in found if slot not in (NAME, DEFINITION)]
    if unknown:
        raise PlanError(f"{where} is {template!r}, and {unknown[0]} is no slot; there are {slots}")
    if not found:
        raise PlanError(
            f"{where} is {template!r}, which has no slot, so that all classes would have one text; write {slots}"
        )
    if DEFINITION in found and source not in BUILT_IN:
        raise PlanError(
            f"{where} is {template!r}, and the class list {source} has no definitions; write a template with {NAME} "
            f'alone: "a photo of a {NAME}"'
        )


def texts_digest(source: str, where: str) -> str:
    """Hash the class list and the definitions that come with it: sha256, 64 hex digits."""
    found = digest_of(source, where)
    if source in BUILT_IN:
        found += hashlib.sha256(built_in_file(_DEFINITIONS, where)).hexdigest()
    return hashlib.sha256(found.encode()).hexdigest()


@lru_cache(maxsize=4)
def class_texts(source: str, digest: str, template: str, where: str) -> tuple[str, ...]:
    """Fill a template in for each class, in order.

    `{name}` is the class's first name. ImageNet's are in lower case, as WordNet calls its synsets: with
    "{name} which is {definition}" these are LAIONet's texts (eval-on-laion, `query_name_def`).

    Args:
        source: The class list, as `class_list` takes it.
        digest: What `texts_digest` says of it, so that a file that changed is read again.
        template: With the slots `{name}` and `{definition}`.
        where: Place in the plan, for messages.

    Raises:
        PlanError: If the class list or the definitions cannot be read.
    """
    classes = class_list(source, digest, where)
    if source not in BUILT_IN:
        return tuple(template.replace(NAME, names[0]) for names in classes.names)
    lines = built_in_file(_DEFINITIONS, where).decode().splitlines()
    meaning = dict(line.split("\t", 1) for line in lines)
    pairs = zip(classes.ids, classes.names, strict=True)
    return tuple(_filled(template, names[0].lower(), meaning[wnid]) for wnid, names in pairs)


def _filled(template: str, name: str, definition: str) -> str:
    """Fill the slots of the template alone: a definition may hold what looks like one."""
    said = {NAME: name, DEFINITION: definition}
    return _SLOT.sub(lambda slot: said[slot.group()], template)
