"""Attributes that go with one class far more often than by chance: what a model may learn in place of the class."""

from __future__ import annotations

import math
from typing import Any

from curation.kernels.association import cramers_v, pmi
from curation.measures.of_caption._attribute_words import kinds_of_word
from pipeline.report.drawing.text import count, percent
from pipeline.report.request import MeasureFiles
from pipeline.report.sections._attributes import BY_WORDS, DRAWN, AttributeCounts, attribute_counts
from pipeline.report.sections._classed import named_classes
from pipeline.report.sections._look import Look
from pipeline.report.sections._panel import LeftOut, Panel, Paragraph, Piece, Sheet, rounded

TITLE, PLACE = "Attributes and classes", 45
NEEDS = ("classes.found",)
LEAST, OFTEN, FAR = 5, 0.1, 1.0
"""An alarm needs so many samples of both, such a share of the class's samples, and such a PMI in nats."""
SHOWN = 60

ABOUT = (
    "An attribute that goes with one class far more often than by chance may be learned in its place. PMI is "
    "ln(p(attribute, class) / p(attribute) p(class)), 0 for chance; Cramér's V is 0 for none and 1 for complete "
    f"association. An alarm has {LEAST} samples of both, {percent(OFTEN)} of the class's samples and a PMI of "
    f"{FAR:g} at least. Every content word is taken for an attribute, be it a colour or grass, but "
    f"for words of a class's own name. At most {count(DRAWN)} samples are looked at, drawn by hash from the whole "
    "pool: what a split drops counts here, and what it adds from other sets does not."
)


def say(look: Look) -> Panel | LeftOut:
    """Look at each measure `classes`."""
    if not look.request.pool.samples:
        return LeftOut("the pool has no samples whose captions could be read")
    numbers: dict[str, Any] = {}
    pieces: list[Piece] = []
    for measure in look.measures("classes", "found"):
        counts = attribute_counts(look, measure, BY_WORDS)
        pairs, values = _pairs(measure, counts), _values(counts)
        alarms = [pair for pair in pairs if pair["alarm"]]
        numbers[measure.name] = {
            "attributes_by": counts.source,
            "samples": counts.samples,
            "alarms": len(alarms),
            "pairs": pairs[:SHOWN],
            "cramers_v": [[attribute, rounded(v)] for attribute, v, _, _ in values[:SHOWN]],
        }
        pieces += _pieces(measure, counts, pairs, values)
    return Panel(ABOUT, numbers, pieces)


def _pairs(measure: MeasureFiles, counts: AttributeCounts) -> list[dict[str, Any]]:
    """List the pairs with enough samples, alarms first, then the strongest first."""
    names, whole = named_classes(measure).names, counts.classes.total()
    found = []
    for (of_class, attribute), together in counts.together.items():
        if together < LEAST:
            continue
        has, of = counts.attributes[attribute], counts.classes[of_class]
        strength, share = pmi(together, has, of, whole), together / of
        found.append(
            {
                "attribute": attribute,
                "kinds": sorted(kinds_of_word(attribute)),
                "class": names[of_class][0],
                "position": of_class,
                "together": together,
                "of_attribute": rounded(together / has),
                "of_class": rounded(share),
                "pmi": rounded(strength),
                "v": rounded(cramers_v([together, has - together], [of, whole - of])) if whole > of else None,
                "alarm": strength >= FAR and share >= OFTEN,
            }
        )
    return sorted(
        found, key=lambda one: (not one["alarm"], -(one["v"] or 0.0), one["attribute"], one["position"])
    )


def _values(counts: AttributeCounts) -> list[tuple[str, float, int, int]]:
    """List attributes by Cramér's V over all classes that do not hold them in their name, the strongest first."""
    found = []
    for attribute, of in counts.by_attribute().items():
        if counts.attributes[attribute] >= LEAST:
            classes = [each for each in sorted(counts.classes) if attribute not in counts.own[each]]
            having = [of.get(each, 0) for each in classes]
            value = cramers_v(having, [counts.classes[each] for each in classes])
            found.append((attribute, value, counts.attributes[attribute], len(of)))
    return sorted(found, key=lambda one: (-one[1], one[0]))


def _pieces(
    measure: MeasureFiles, counts: AttributeCounts, pairs: list[dict[str, Any]], values: Any
) -> list[Piece]:
    alarms = sum(pair["alarm"] for pair in pairs)
    said = Paragraph(
        f"{measure.name}: {count(alarms)} alarms among {count(len(pairs))} pairs of an attribute and a class with "
        f"{LEAST} samples or more, by the {counts.source} of {count(counts.samples)} samples."
    )
    heads = (
        "Attribute",
        "Class",
        "Kind",
        "Together",
        "Share of the attribute",
        "Share of the class",
        "PMI",
        "Cramér's V",
        "Alarm",
    )
    lines = [
        (
            *(pair["attribute"], pair["class"], ", ".join(pair["kinds"]), count(pair["together"])),
            *(percent(pair["of_attribute"]), percent(pair["of_class"])),
            *(
                f"{pair['pmi']:.2f}",
                "–" if pair["v"] is None else f"{pair['v']:.2f}",
                "yes" if pair["alarm"] else "",
            ),
        )
        for pair in pairs[:SHOWN]
    ]
    strongest = [
        (attribute, count(samples), count(classes), f"{v:.2f}")
        for attribute, v, samples, classes in values[:SHOWN]
        if not math.isnan(v)
    ]
    return [
        said,
        Sheet("Pairs that go together", heads, lines, texts=(1, 2, 8), more=12),
        Sheet(
            "Attributes by association with any class",
            ("Attribute", "Samples", "Classes", "Cramér's V"),
            strongest,
            more=12,
        ),
    ]
