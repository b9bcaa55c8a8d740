"""A WordNet of a few words, in the files and the form of the whole."""

from __future__ import annotations

from pathlib import Path

SENSES = {
    "noun": {
        "tench": 1440764,
        "tinca": 1440000,
        "goldfish": 1443537,
        "wolf": 2114100,
        "goose": 1855672,
        "glass": 4438304,
        "bus": 2924116,
        "us": 1,
        "u": 2,
        "zebra": 2391049,
        "great_white_shark": 1484850,
        "shark": 1482330,
        "crane": 10914447,
        "robe": 3,
        "judge": 4,
        "run": 5,
    },
    "verb": {"run": 6, "bath": 7},
    "adj": {"fishy": 1443537, "great": 8},
    "adv": {"fast": 9},
}
"""The offset of each word's first sense."""
COUNTED = (("run", 1, 3), ("run", 2, 5), ("great", 3, 4))
"""How often senses are counted: word, kind of synset (1 noun, 2 verb, 3 adjective), times."""
IRREGULAR = {
    "noun": "wolves wolf\ngeese goose\nbuses bus buss\n",
    "verb": "ran run\n",
    "adj": "",
    "adv": "",
}


def small_wordnet(folder: Path) -> Path:
    """Write it."""
    for part, senses in SENSES.items():
        lines = [f"{word} {part[0]} 2 1 @ 2 1 {offset:08d} 00000042  " for word, offset in senses.items()]
        (folder / f"index.{part}").write_text("  1 A licence\n" + "\n".join(lines) + "\n", encoding="utf-8")
        (folder / f"{part}.exc").write_text(IRREGULAR[part], encoding="utf-8")
    counts = [f"{word}%{kind}:00:00:: 1 {times}" for word, kind, times in COUNTED]
    (folder / "cntlist.rev").write_text("\n".join(counts) + "\n", encoding="utf-8")
    return folder
