"""Pairs side by side: query, pool sample and the reference sample that sets the threshold."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from pipeline.execution.display.redaction import redact
from pipeline.report.compare import ABOVE, BELOW, NEAREST, Compared, Pair
from pipeline.report.document import is_identical
from pipeline.report.drawing.text import brief, shortened
from pipeline.report.drawing.thumbnails import EDGE, NO_IMAGE, ROW_EDGE, Thumbnail, thumbnail
from pipeline.report.findings import Finding, Findings
from pipeline.report.lookup import Sample
from pipeline.report.request import WantedPicture

# What a browser opens as a page and nothing else; of printable ASCII, so that it reads as it is.
_LINK = re.compile(r"https?://[!#-;=?-\[\]_a-z~%]{1,2000}", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Side:
    """One picture of a card with its text, ready to be shown.

    `url` and `path` say where the picture came from and lies, as text; `link` is the url where it may be followed.
    """

    role: str
    key: str
    caption: str
    label: str
    picture: Thumbnail
    url: str = ""
    path: str = ""
    link: str = ""


@dataclass(frozen=True, slots=True)
class Card:
    """One pair.

    Attributes:
        sides: Query, pool sample, and where there is a reference its nearest sample.
        pair: Their similarity, threshold and margin.
        degree: "identical", "hard", "soft" or "".
        uid: The pool sample's uid.
        following: The query's next nearest pool samples with their similarities, nearest first.
    """

    sides: tuple[Side, ...]
    pair: Pair
    degree: str
    uid: str
    following: tuple[tuple[Side, float], ...] = ()

    @property
    def pictured(self) -> bool:
        """Whether there is a picture, or a reason why one cannot be shown: where no set has any, a card is text."""
        shown = (*self.sides, *(side for side, _ in self.following))
        return any(side.picture.address or side.picture.reason != NO_IMAGE for side in shown)


@dataclass(frozen=True, slots=True)
class Group:
    """Cards under one heading."""

    title: str
    about: str
    cards: tuple[Card, ...]


def groups(findings: Findings, finding: Finding) -> list[Group]:
    """Make the cards of one benchmark; images are fetched together and let go again."""
    compared = finding.compared
    maker = _Maker(findings, finding, _fetch(findings, finding))
    # Without a reference no query has a threshold, and where no split was cut nothing was pruned.
    with_reference = findings.request.has_reference
    level, short = (
        ("the query's threshold", "threshold") if with_reference else ("the soft level", "soft level")
    )
    pruned = with_reference and findings.request.splits
    judged = (": pruned, but barely", ": kept, but barely") if pruned else ("", "")
    headings = {
        NEAREST: (
            "Nearest pairs",
            "The queries that have the nearest pool samples, nearest first; each with those that follow.",
        ),
        ABOVE: (
            f"Just above the {short}",
            f"Pool samples that lie next above {level}{judged[0]}. Those of one query share a card.",
        ),
        BELOW: (
            f"Just below the {short}",
            f"Pool samples at or next below {level}{judged[1]}. Those of one query share a card.",
        ),
    }
    made = []
    for group, (title, about) in headings.items():
        cards = tuple(maker.card(pair) for pair in compared.pairs if pair.group == group)
        made.append(Group(title, about, cards))
    return [group for group in made if group.cards]


def _fetch(findings: Findings, finding: Finding) -> dict[tuple[str, str], bytes]:
    compared, request = finding.compared, findings.request
    wanted: dict[str, dict[str, WantedPicture]] = {}
    for pair in compared.pairs:
        for uid in pair.uids:
            _want(wanted, "pool", findings.samples["pool"].get(uid))
        _want(wanted, finding.name, finding.places.get(compared.queries.uid[pair.query]))
        if request.has_reference:
            uid = compared.queries.reference_uid[pair.query]
            _want(wanted, "reference", findings.samples["reference"].get(uid))
    return dict(request.fetch_images(wanted))


def _want(wanted: dict[str, dict[str, WantedPicture]], name: str, sample: Sample | None) -> None:
    if sample is not None:
        one = WantedPicture(sample.part, sample.uid, sample.url, sample.path)
        wanted.setdefault(name, {})[sample.key] = one


def _placed(side: Side, sample: Sample | None) -> Side:
    """Add where the picture came from and lies; a link is made only where there is no picture, and hides nothing."""
    if sample is None:
        return side
    url, shown = sample.url, redact(sample.url)
    link = url if not side.picture.address and url == shown and _LINK.fullmatch(url) else ""
    path = sample.path if sample.path != sample.key else ""
    return replace(side, url=brief(shown), path=brief(path), link=link)


@dataclass(slots=True)
class _Maker:
    findings: Findings
    finding: Finding
    images: dict[tuple[str, str], bytes]

    def card(self, pair: Pair) -> Card:
        compared = self.finding.compared
        sides = [self._query(compared, pair.query), self._sample("pool", pair.uid)]
        if self.findings.request.has_reference:
            sides.append(self._sample("reference", compared.queries.reference_uid[pair.query]))
        following = tuple((self._sample("pool", uid, ROW_EDGE), value) for uid, value in pair.following)
        return Card(tuple(sides), pair, self._degree(pair), pair.uid, following)

    def _degree(self, pair: Pair) -> str:
        options = self.findings.request.options
        if is_identical(self.findings, self.finding.compared, pair):
            return "identical"
        if pair.similarity > options.hard:
            return "hard"
        return "soft" if pair.similarity > options.soft else ""

    def _query(self, compared: Compared, at: int) -> Side:
        queries = compared.queries
        picture = thumbnail(self.images.get((self.finding.name, queries.key[at])))
        caption = self._text(queries.caption[at], len(queries.caption[at]))
        side = Side("query", brief(queries.key[at]), caption, brief(queries.label[at]), picture)
        return _placed(side, self.finding.places.get(queries.uid[at]))

    def _sample(self, name: str, uid: str, edge: int = EDGE) -> Side:
        sample = self.findings.samples[name].get(uid)
        if sample is None:
            return Side(name, uid, "", "", thumbnail(None))
        picture = thumbnail(self.images.get((name, sample.key)), edge)
        caption = self._text(sample.caption, sample.length)
        return _placed(Side(name, brief(sample.key), caption, brief(sample.label), picture), sample)

    def _text(self, caption: str, length: int) -> str:
        return shortened(caption, length, self.findings.request.options.caption_limit)
