"""LAIONet's rule without the accidents of spelling."""

from __future__ import annotations

import re
import unicodedata

from curation.classes._class_lists import NamedClasses
from curation.classes._matcher import Matcher
from curation.classes._phrases import Phrases, owners
from curation.classes.laionet import MACHINE_CRANE

_WORD = re.compile(r"[^\W_]+")


def normal(text: str) -> str:
    """Write a text as its words: NFKC, case folded, letters and digits only, one blank between two words."""
    plain = text if text.isascii() else unicodedata.normalize("NFKC", text)
    return " ".join(_WORD.findall(plain.casefold()))


class LaionetNormalisedMatcher(Matcher):
    """A class is named where the words of one of its names stand in a row (arXiv 2306.15769, mended).

    It differs from `laionet` in four ways. Case does not count. Names are treated as captions are, so that "T-shirt"
    and "jack-o'-lantern" are found. Any white space, and any run of what is no letter or digit, separates words: tabs,
    two blanks, typographic quotes. Equal letters are equal however they are encoded. Names that are of two classes once
    they are so written count for neither; a name without a letter or digit is never found.
    """

    def __init__(self, classes: NamedClasses) -> None:
        listed = {
            (normal(name), position)
            for position, names in enumerate(classes.names)
            if classes.ids[position] != MACHINE_CRANE
            for name in names
        }
        found = owners(sorted(listed))
        self._phrases = Phrases({name: of for name, of in found.items() if name and len(of) == 1})

    def match(self, text: str) -> list[int]:
        """Find words in a row."""
        return self._phrases.found(normal(text))
