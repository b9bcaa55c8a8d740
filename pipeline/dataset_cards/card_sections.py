"""What a dataset card says of how a split was made, how near it is to benchmarks, and by what that was measured."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pipeline.dataset_cards.card_facts import CardFacts, Nearness, SetLosses, SplitSteps
from pipeline.dataset_cards.markdown_text import code, prose, table, without_folders
from pipeline.report.drawing.text import count, percent

_TITLES = ("rule", "which", "change", "left")
# So many reasons of a loss are named, the most frequent first.
_REASONS = 5
_SPELLED = {"model": "model", "weights_sha256": "SHA-256 of its weights", "dtype": "numbers"}
# Digits of a digest of a set's files: enough to tell sets apart.
_DIGITS = 16
_SIMILARITY = "* similarity: cosine of two images' embeddings, from -1 to 1; higher is closer"
_WORDS = {
    "threshold": "of a query of a benchmark: the similarity of the nearest reference image",
    "margin": "of a sample: the largest similarity - threshold over a benchmark's queries; above 0, the sample is "
    "nearer than the reference comes",
}


def how_it_was_made(facts: CardFacts) -> Iterator[str]:
    """Tell the way from all rows of the pool to the samples, rule by rule."""
    split, *before = facts.splits
    yield "## How it was made\n"
    if split.start:
        yield f"It starts from other splits of the pool, {_names(split.start)}, whose rules follow.\n"
    yield f"{_waterfall(facts.rows[0], split)}\n"
    if facts.sources:
        held = ", ".join(f"{count(kept)} of {code(name)}" for name, kept in facts.sources)
        yield f"The samples come from several sets: {held}.\n"
    for one in before:
        start = f", which starts from {_names(one.start)}" if one.start else ""
        yield f"### {code(one.name)}{start}\n"
        yield f"{table(_TITLES, _steps(one))}\n"
    if facts.nearness:
        words = _WORDS if facts.nearness[0].nearer is not None else {}
        yield "\n".join([_SIMILARITY, *(f"* {word}: {meaning}" for word, meaning in words.items())]) + "\n"


def _names(start: str) -> str:
    """Write names of splits, with the words between them."""
    words = {"and", "or", "without"}
    return " ".join(part if part in words else code(part) for part in start.split())


def _waterfall(pool: SetLosses, split: SplitSteps) -> str:
    rows = [("", "rows that the pool lists", "", count(pool.listed))]
    left = pool.listed
    for reason, words, found in (
        ("failed", "never arrived, or came as no image", pool.failed),
        ("quarantined", "are damaged, or cannot be compared", pool.quarantined),
    ):
        lost = sum(found.values())
        left -= lost
        rows += [(reason, f"{words}: {_reasons(found)}", f"-{count(lost)}", count(left))] if lost else []
    if pool.repeated:
        left -= pool.repeated
        rows.append(("repeated", "have the uid of an earlier row", f"-{count(pool.repeated)}", count(left)))
    return table(_TITLES, [*rows, *_steps(split)])


def _reasons(found: Mapping[str, int]) -> str:
    ranked = sorted(found.items(), key=lambda pair: (-pair[1], pair[0]))
    rest = sum(number for _, number in ranked[_REASONS:])
    named = [f"{count(number)} {code(reason)}" for reason, number in ranked[:_REASONS]]
    return ", ".join(named + ([f"{count(rest)} for other reasons"] if rest else []))


def _steps(split: SplitSteps) -> Iterator[tuple[str, ...]]:
    for reason, words, offered, dropped, left in split.steps:
        changes = ([f"+{count(offered)}"] if offered else []) + ([f"-{count(dropped)}"] if dropped else [])
        yield code(reason), prose(without_folders(words)), " ".join(changes) or "0", count(left)


def nearness(facts: CardFacts) -> Iterator[str]:
    """Say how near the split comes to each benchmark, and of how many rows that is known."""
    yield "## Nearness to benchmarks\n"
    if not facts.nearness:
        yield "The plan names no benchmark: how near these samples are to any was not measured.\n"
        yield f"{_took_part(facts)}\n"
        return
    soft, hard = facts.levels
    nearer = () if facts.nearness[0].nearer is None else ("nearer than the reference",)
    titles = ("benchmark", "queries", "median", "highest", f"> {soft:g}", f"> {hard:g}", *nearer, "identical")
    yield (
        "The similarity of each query's nearest sample: median and highest; then the queries with a sample above a "
        "similarity, and those of which a byte-identical file is among the samples.\n"
    )
    yield f"{table(titles, (_near(one) for one in facts.nearness))}\n"
    how = "with every query, exactly" if facts.exact else "by an approximate index, which may miss some"
    yield f"Every sample that could be read was compared {how}.\n"
    yield f"{_took_part(facts)}\n"


def _near(one: Nearness) -> tuple[str, ...]:
    counts = [one.soft, one.hard, *(() if one.nearer is None else (one.nearer,))]
    identical = "not known" if one.identical is None else count(one.identical)
    return (
        code(one.name),
        count(one.queries),
        _similarity(one.median),
        _similarity(one.highest),
        *map(count, counts),
        identical,
    )


def _similarity(value: float | None) -> str:
    return "none" if value is None else f"{value:.3f}"


def _took_part(facts: CardFacts) -> str:
    titles = ("set", "read as", "rows listed", "took part", "lost", "repeated", "digest of its files")
    return table(titles, map(_of_set, facts.rows))


def _of_set(rows: SetLosses) -> tuple[str, ...]:
    lost = sum(rows.failed.values()) + sum(rows.quarantined.values())
    share = f" ({percent(lost / rows.listed)})" if lost else ""
    of = f" of {code(rows.dataset)}" if rows.dataset else ""
    counts = (count(rows.listed), count(rows.measured), f"{count(lost)}{share}", count(rows.repeated))
    read_as = code(rows.format) if rows.format else "as found"
    return (f"{code(rows.name)}{of}", read_as, *counts, code(rows.contents[:_DIGITS]))


def encoders(facts: CardFacts) -> Iterator[str]:
    """Say what made the embeddings, by the digest of its weights."""
    if not facts.encoders:
        return
    yield "## Encoders\n"
    rows = [(code(name), _known(made)) for name, made in facts.encoders.items()]
    yield f"{table(('encoder', 'what is known of it'), rows)}\n"


def _known(made: Mapping[str, str]) -> str:
    named = ((words, made[key]) for key, words in _SPELLED.items() if key in made)
    return ", ".join(f"{words} {code(without_folders(text))}" for words, text in named)


def versions(facts: CardFacts) -> Iterator[str]:
    """Say by which versions it was made."""
    yield "## Versions\n"
    yield ", ".join(f"{name} {code(number)}" for name, number in facts.versions.items()) + "\n"
