"""Names as whole words."""

from __future__ import annotations

from curation.classes._class_lists import NamedClasses
from curation.classes._matcher import Matcher
from curation.classes._whole_words import WholeWords


class WholeWordMatcher(Matcher):
    r"""A class is named where one of its names stands as whole words, case ignored (arXiv 2405.21070, mended).

    It is `whole_word_exact` with two changes: names are taken literally, and a name is bounded by no letter, digit or
    underscore beside it, so that one which ends in a mark is found too: "R.V." in "R.V. trip", and not in "rave".
    """

    def __init__(self, classes: NamedClasses) -> None:
        self._words = WholeWords(classes.names, literal=True)

    def match(self, text: str) -> list[int]:
        """Find names as whole words."""
        return self._words.found(text)
