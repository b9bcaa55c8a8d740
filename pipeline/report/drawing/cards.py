"""Pairs side by side: query, pool sample and the reference sample that sets the threshold."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.report.compare import ABOVE, BELOW, NEAREST, Compared, Pair
from pipeline.report.document import is_identical
from pipeline.report.drawing.text import brief, shortened
from pipeline.report.drawing.thumbnails import EDGE, ROW_EDGE, Thumbnail, thumbnail
from pipeline.report.findings import Finding, Findings
from pipeline.report.lookup import Sample


@dataclass(frozen=True, slots=True)
class Side:
    """One picture of a card with its text, ready to be shown."""

    role: str
    key: str
    caption: str
    label: str
    picture: Thumbnail


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
    level = "the query's threshold" if findings.request.has_reference else "the soft level"
    # An audit cuts no split: nothing was pruned.
    judged = (": pruned, but barely", ": kept, but barely") if findings.request.splits else ("", "")
    headings = {
        NEAREST: (
            "Nearest pairs",
            "The queries that have the nearest pool samples, nearest first; each with those that follow.",
        ),
        ABOVE: ("Just above the threshold", f"Pool samples that lie next above {level}{judged[0]}."),
        BELOW: ("Just below the threshold", f"Pool samples at or next below {level}{judged[1]}."),
    }
    made = []
    for group, (title, about) in headings.items():
        cards = tuple(maker.card(pair) for pair in compared.pairs if pair.group == group)
        made.append(Group(title, about, cards))
    return [group for group in made if group.cards]


def _fetch(findings: Findings, finding: Finding) -> dict[tuple[str, str], bytes]:
    compared, request = finding.compared, findings.request
    wanted: dict[str, dict[str, int]] = {}
    for pair in compared.pairs:
        for uid in pair.uids:
            _want(wanted, "pool", findings.samples["pool"].get(uid))
        _want(wanted, finding.name, finding.places.get(compared.queries.uid[pair.query]))
        if request.has_reference:
            uid = compared.queries.reference_uid[pair.query]
            _want(wanted, "reference", findings.samples["reference"].get(uid))
    return dict(request.fetch_images(wanted))


def _want(wanted: dict[str, dict[str, int]], name: str, sample: Sample | None) -> None:
    if sample is not None:
        wanted.setdefault(name, {})[sample.key] = sample.part


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
        return Side("query", brief(queries.key[at]), caption, brief(queries.label[at]), picture)

    def _sample(self, name: str, uid: str, edge: int = EDGE) -> Side:
        sample = self.findings.samples[name].get(uid)
        if sample is None:
            return Side(name, uid, "", "", thumbnail(None))
        picture = thumbnail(self.images.get((name, sample.key)), edge)
        caption = self._text(sample.caption, sample.length)
        return Side(name, brief(sample.key), caption, brief(sample.label), picture)

    def _text(self, caption: str, length: int) -> str:
        return shortened(caption, length, self.findings.request.options.caption_limit)
