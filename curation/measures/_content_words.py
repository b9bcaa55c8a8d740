"""Which words of a caption say what is to be seen."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

_UNSEEN = dict.fromkeys(
    [0xAD, 0xFEFF, *range(0x200B, 0x2010), *range(0x202A, 0x202F), *range(0x2060, 0x2070)]
)
"""Characters that are not seen, such as a turn of direction: one inside a word does not divide it."""
_WORD = re.compile(r"[^\W_]+(?:['\u2019][^\W_]+)*")
_GRAMMAR = """
a about above across after again against all along also although always am among an and another any anyone
anything are aren't around as at away be because been before behind being below beneath beside besides between
beyond both but by can can't cannot could couldn't despite did didn't do does doesn't doing don't down during
each either else enough ever every everyone everything except few for from further had hadn't has hasn't have
haven't having he her here hers herself him himself his how however i i'm if in inside into is isn't it it's its
itself just least less like many may me might mine more most much must my myself near neither never no nobody
none nor not nothing now of off on once one's only onto or other others ought our ours ourselves out outside
over own per perhaps rather same several shall she should shouldn't since so some someone something such than
that that's the their theirs them themselves then there there's these they this those though through throughout
thus till to too toward towards under underneath unless until up upon us very via was wasn't we were weren't
what whatever when where whether which while who whoever whole whom whose why will with within without won't
would wouldn't yet you your yours yourself yourselves
"""
FUNCTION_WORDS = frozenset(_GRAMMAR.split())
"""English words of grammar: articles, pronouns, prepositions, conjunctions, auxiliaries, degree."""
PICTURE_WORDS = frozenset(
    ("image", "images", "photo", "photograph", "photographs", "photos", "pic", "pics", "picture", "pictures")
)
"""Words that say that there is a picture, and not of what."""


def tokens(text: str) -> list[str]:
    """List a text's words in order, case folded and composed (NFC): runs of letters and digits, apostrophes inside."""
    return _WORD.findall(folded(text))


def folded(text: str) -> str:
    """Bring a text into one form: composed (NFC), case folded, without characters that are not seen."""
    plain = text if text.isascii() else unicodedata.normalize("NFC", text).translate(_UNSEEN)
    return plain.casefold().replace("\u2019", "'")


def content_words(text: str) -> frozenset[str]:
    """Gather a text's distinct content words: all but English words of grammar.

    Other languages have no list here: all of their words count. ("Content words per caption", arXiv 2310.04971, is
    defined nowhere; this is ours.)
    """
    return frozenset(tokens(text)) - FUNCTION_WORDS


def shown(text: str) -> frozenset[str]:
    """Gather the content words that are not about there being a picture: what a label-only caption says."""
    return content_words(text) - PICTURE_WORDS


def says(words: Sequence[str], phrase: Sequence[str]) -> bool:
    """Say whether a phrase stands in a text, both as `tokens` gives them."""
    length = len(phrase)
    return any(
        words[at] == phrase[0] and list(words[at : at + length]) == list(phrase)
        for at in range(len(words) - length + 1)
    )
