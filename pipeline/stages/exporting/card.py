"""The dataset card of an export, `README.md`, and `croissant.json`. Planned by `nearfar export`, after the tars.

Both are made of committed facts: counts, digests, and what the report says of the split. Where these change, the card
alone is written again.
"""

from __future__ import annotations

from dataclasses import dataclass

from pipeline import layout
from pipeline.commit import Attempt
from pipeline.dataset_cards.card_facts import CardFacts
from pipeline.dataset_cards.committed_facts import card_facts
from pipeline.dataset_cards.croissant import croissant_bytes
from pipeline.dataset_cards.dataset_card import card_text
from pipeline.execution.context import RunContext
from pipeline.execution.work import Json, Work
from pipeline.webdataset.export_request import ExportRequest

CARD, CROISSANT = "README.md", "croissant.json"


@dataclass(frozen=True, slots=True)
class Identity:
    """What decides the bytes: all that is said."""

    facts: CardFacts


@dataclass(frozen=True, slots=True)
class Settings:
    """Nothing: the files are made of the identity."""


def works(run: RunContext, request: ExportRequest) -> list[Work[Identity, Settings]]:
    """List one unit."""
    return [Work("card", request.split, Identity(card_facts(run, request)), Settings(), run.place)]


def perform(work: Work[Identity, Settings], into: Attempt) -> Json:
    """Write the card and its twin for programs."""
    facts = work.identity.facts
    for name, content in ((CARD, card_text(facts).encode()), (CROISSANT, croissant_bytes(facts))):
        relative = layout.exported(facts.split, name)
        into.file(relative).write_bytes(content)
        into.add(relative)
    return {}
