"""Alt texts for the world's images: plain descriptions, shop listings, other languages, markup, and junk."""

from __future__ import annotations

import numpy as np

from pipeline.world.scene import Scene, pick

MEDIUM = {
    "photo": ("photo", "picture", "photograph", "snapshot"),
    "sketch": ("sketch", "pencil drawing", "line drawing", "doodle"),
    "rendition": ("cartoon", "poster", "painting", "illustration"),
}
PLAIN = (
    "a {medium} of a {colour} {name}, {place}",
    "{colour} {name} with {accent} details",
    "A {pattern} {colour} {name} in the {place}",
    "{medium} of a {colour} and {accent} {name}",
    "the {name} by the {place}, {medium}",
    "{name}",
    "a {colour} {name} and a {other}",
    "{medium}: {pattern} {name}, {colour}",
)
WEB = (
    "{Name} – {colour} | Buy {name}s online",
    'The "{colour} {name}" ({medium}), 2019',
    "{Name} <b>{colour}</b> &amp; {accent} <img src=x>",
    "Café du {name} ☕ {colour}",
    "{Name} | ネコ写真館 {colour}",
    "Рисунок: {name}, {colour} «{place}»",
    "It's the {name}'s {place}\u200b!",
    "stock {medium} {colour} {name} royalty-free 🖼️",
    "DSC_{number}.JPG",
    "image {number}",
)  # fmt: skip


def describe(rng: np.random.Generator, scene: Scene, style: str) -> str:
    """Describe `scene` in plain words, as a caption that a model can learn from."""
    return _fill(pick(rng, PLAIN), rng, scene, style)


def alt_text(rng: np.random.Generator, scene: Scene, style: str) -> str:
    """Describe `scene` as the web does: mostly plainly, else with markup, other scripts or junk."""
    template = pick(rng, PLAIN) if rng.random() < 0.75 else pick(rng, WEB)
    return _fill(template, rng, scene, style)


def _fill(template: str, rng: np.random.Generator, scene: Scene, style: str) -> str:
    thing = scene.thing
    return template.format(
        medium=pick(rng, MEDIUM[style]),
        name=thing.label,
        Name=thing.label.capitalize(),
        colour=thing.main,
        accent=thing.accent,
        place=scene.place,
        pattern=scene.pattern,
        other=scene.other.label if scene.other else "shadow",
        number=int(rng.integers(1000, 9999)),
    )
