"""LAIONet's rule, as its authors' code has it."""

from __future__ import annotations

import string

from curation.classes._class_lists import NamedClasses
from curation.classes._matcher import Matcher
from curation.classes._phrases import Phrases, owners

MACHINE_CRANE = "n03126707"
"""The one class of ImageNet whose names the authors' list of synsets lacks: "crane" is the bird's alone."""

_BLANKED = bytes.maketrans(string.punctuation.encode(), b" " * len(string.punctuation))


def blanked(text: str) -> str:
    """Make a blank of each ASCII punctuation character.

    It is done on bytes, in which no other character has one of these; half a surrogate pair stays what it is.
    """
    return text.encode("utf-8", "surrogatepass").translate(_BLANKED).decode("utf-8", "surrogatepass")


def unique_names(classes: NamedClasses) -> dict[str, int]:
    """Find the class of each name that is of one class only: 1,825 for ImageNet-1k, as published."""
    listed = (
        (name, position)
        for position, names in enumerate(classes.names)
        if classes.ids[position] != MACHINE_CRANE
        for name in names
    )
    return {name: found[0] for name, found in owners(listed).items() if len(found) == 1}


class LaionetMatcher(Matcher):
    """A class is named where one of its names stands between blanks (arXiv 2306.15769; code `eval-on-laion`, `label`).

    Only names count that no other class has. Each ASCII punctuation character of the caption becomes a blank, and it is
    padded with one at both ends. Case counts. Names are taken as they are, so one with a hyphen, an apostrophe or a dot
    is never found, and tabs, newlines and two blanks in a row separate nothing: see `laionet_normalised`.
    """

    def __init__(self, classes: NamedClasses) -> None:
        self._phrases = Phrases({name: (position,) for name, position in unique_names(classes).items()})

    def match(self, text: str) -> list[int]:
        """Find names between blanks."""
        return self._phrases.found(blanked(text))
