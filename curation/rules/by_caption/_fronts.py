"""A class's name in a phrase: as it is, or a synonym of it, in one template or one of the published eighty."""

from __future__ import annotations

from collections import defaultdict
from functools import lru_cache

from curation.classes import class_list, digest_of
from curation.expressions import text
from curation.measures.of_class._openai_templates import SLOT, openai_templates

OPENAI = "openai"
"""What a plan writes for one of OpenAI's templates for ImageNet, drawn by hash for each sample."""


def check_front(front: str | None, what: str) -> None:
    """Refuse a template that has not one slot.

    Raises:
        ValueError: With what was given; pydantic turns it into a plan error.
    """
    if front not in (None, OPENAI) and str(front).count(SLOT) != 1:
        raise ValueError(
            f"{what} is {front!r}, which has the slot {SLOT} {str(front).count(SLOT)} times; write "
            f'it once: "a photo of a {SLOT}", or {OPENAI} for one of the eighty of OpenAI'
        )


def filled(front: str, name: str, seed: int) -> str:
    """Return the SQL of a template with a name in its slot.

    Args:
        front: The template, or `openai`.
        name: SQL of the name.
        seed: Of the draw of a template.
    """
    if front != OPENAI:
        before, _, after = front.partition(SLOT)
        return f"{text(before)} || {name} || {text(after)}"
    pieces = [template.split(SLOT) for template in openai_templates()]
    befores, afters = ("[" + ", ".join(text(piece[at]) for piece in pieces) + "]" for at in (0, 1))
    place = _drawn(seed, "template", str(len(pieces)))
    return f"list_extract({befores}, {place}) || {name} || list_extract({afters}, {place})"


def synonym(name: str, source: str, seed: int) -> str:
    """Return the SQL of one of the names that a class has in a list, drawn by hash; the name itself where it has none.

    A class is found by its id, or by one of its names if no other class has it, whatever the case, `_` for a blank.

    Args:
        name: SQL of the class's name or id.
        source: A class list that comes with timm.
        seed: Of the draw.
    """
    names = _synonyms(source)
    keys = ", ".join(text(key) for key in names)
    lists = ", ".join("[" + ", ".join(text(each) for each in own) + "]" for own in names.values())
    plain = f"lower(replace({name}, '_', ' '))"
    found = f"list_extract(map_extract(MAP([{keys}], [{lists}]), {plain}), 1)"
    return f"coalesce(list_extract({found}, {_drawn(seed, 'synonym', f'len({found})')}), {name})"


def _drawn(seed: int, what: str, size: str) -> str:
    """Return the SQL of a place from 1 to `size`: the lower 64 bits of md5 of the dashed uid, the seed and the word."""
    return f"(1 + md5_number_lower(uid::VARCHAR || ':{seed:d}:{what}') % ({size}))::BIGINT"


@lru_cache(maxsize=2)
def _synonyms(source: str) -> dict[str, tuple[str, ...]]:
    where = "synonyms"
    classes = class_list(source, digest_of(source, where), where)
    called = defaultdict[str, set[int]](set)
    for at, names in enumerate(classes.names):
        for name in names:
            called[name.replace("_", " ").lower()].add(at)
    found = {name: classes.names[min(at)] for name, at in called.items() if len(at) == 1}
    return found | dict(zip(classes.ids, classes.names, strict=True))
