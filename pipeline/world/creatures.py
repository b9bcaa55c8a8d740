"""Living things of the world. Each function turns six traits in [0, 1] into parts, back to front."""

from __future__ import annotations

import math

from pipeline.world.geometry import Part, Traits, bar, box, disc, oval, poly, spread


def cat(t: Traits) -> list[Part]:
    """A sitting cat."""
    wide, tall, ear = spread(0.32, 0.5, t[0]), spread(0.38, 0.52, t[1]), spread(0.22, 0.42, t[2])
    return [
        bar("main", (wide * 0.8, 0.75), (0.85, spread(-0.1, 0.6, t[3])), 0.13),
        oval("main", (0, 0.45), (wide, tall)),
        oval("light", (0, 0.55), (wide * 0.5, tall * 0.6)),
        poly("main", (-0.36, -0.25), (-0.33, -0.5 - ear), (-0.04, -0.48)),
        poly("main", (0.36, -0.25), (0.33, -0.5 - ear), (0.04, -0.48)),
        oval("main", (0, -0.22), (0.4, spread(0.28, 0.36, t[4]))),
        disc("accent", -0.16, -0.26, spread(0.06, 0.1, t[5])),
        disc("accent", 0.16, -0.26, spread(0.06, 0.1, t[5])),
        poly("dark", (-0.06, -0.13), (0.06, -0.13), (0, -0.06)),
    ]


def dog(t: Traits) -> list[Part]:
    """A standing dog in profile."""
    long, leg, ear = spread(0.45, 0.65, t[0]), spread(0.3, 0.55, t[1]), spread(0.2, 0.45, t[2])
    legs = [
        bar("main", (x, 0.15), (x + spread(-0.1, 0.1, t[3]), 0.25 + leg), 0.13)
        for x in (-0.4, -0.25, 0.25, 0.4)
    ]
    return [
        bar("main", (-long, -0.05), (-long - 0.25, spread(-0.5, 0.1, t[4])), 0.1),
        *legs,
        oval("main", (0, 0.1), (long, 0.27)),
        bar("main", (long - 0.15, 0.0), (0.55, -0.35), 0.24),
        oval("main", (0.6, -0.4), (0.27, 0.2)),
        oval("main", (0.82, -0.33), (0.2, 0.11)),
        oval("accent", (0.5, -0.4 + ear / 2), (0.11, ear), 0.3),
        disc("dark", 0.66, -0.46, 0.045),
        disc("dark", 0.98, -0.35, 0.06),
        box("accent", 0.33, -0.16, 0.52, spread(-0.1, -0.02, t[5])),
    ]


def fish(t: Traits) -> list[Part]:
    """A fish in profile."""
    tall, tail = spread(0.28, 0.55, t[0]), spread(0.25, 0.5, t[1])
    bands = [
        bar("accent", (x, -tall * 0.6), (x, tall * 0.6), 0.08) for x in (-0.25, 0.0, 0.25)[: int(t[2] * 3.99)]
    ]
    return [
        poly("accent", (-0.5, 0), (-0.98, -tail), (spread(-0.85, -0.7, t[3]), 0), (-0.98, tail)),
        poly("accent", (-0.2, -tall * 0.7), (0.25, -tall * 0.8), (-0.2, -tall - spread(0.1, 0.35, t[4]))),
        oval("main", (0, 0), (0.68, tall)),
        *bands,
        poly("accent", (0.05, 0.1), (-0.25, 0.35), (-0.2, 0.05)),
        disc("light", 0.42, -0.1, spread(0.09, 0.14, t[5])),
        disc("dark", 0.44, -0.1, 0.06),
    ]


def bird(t: Traits) -> list[Part]:
    """A perching bird."""
    plump, beak = spread(0.3, 0.45, t[0]), spread(0.15, 0.4, t[1])
    return [
        bar("dark", (-0.9, 0.72), (0.9, spread(0.6, 0.84, t[2])), 0.07),
        bar("dark", (0.02, 0.3), (0.02, 0.7), 0.05),
        bar("dark", (0.16, 0.3), (0.16, 0.7), 0.05),
        poly(
            "main",
            (-0.3, 0.1),
            (-0.98, spread(0.1, 0.6, t[3])),
            (-0.85, spread(-0.1, 0.4, t[3])),
            (-0.25, -0.1),
        ),
        oval("main", (0, 0.08), (0.48, plump), -0.35),
        oval("light", (0.16, 0.2), (0.26, plump * 0.6), -0.35),
        oval("accent", (-0.12, 0.05), (0.34, spread(0.12, 0.22, t[4])), spread(-0.2, 0.5, t[5])),
        poly("accent", (0.58, -0.36), (0.62 + beak, -0.25), (0.56, -0.18)),
        disc("main", 0.42, -0.28, 0.24),
        disc("dark", 0.48, -0.32, 0.05),
    ]


def butterfly(t: Traits) -> list[Part]:
    """A butterfly seen from above."""
    up, low = spread(0.35, 0.52, t[0]), spread(0.22, 0.4, t[1])
    tilt, parts = spread(0.3, 0.9, t[2]), list[Part]()
    for side in (-1, 1):
        parts += [
            oval("main", (side * 0.45, -0.3), (up, spread(0.25, 0.4, t[3])), -side * tilt),
            oval("accent", (side * 0.38, 0.35), (low, 0.26), side * tilt),
            disc("light", side * 0.55, -0.36, spread(0.08, 0.18, t[4])),
            disc("dark", side * 0.4, 0.38, spread(0.05, 0.14, t[5])),
            bar("dark", (0, -0.4), (side * 0.28, -0.85), 0.04),
        ]
    return [*parts, oval("dark", (0, 0), (0.09, 0.55))]


def snail(t: Traits) -> list[Part]:
    """A snail with a banded shell."""
    shell = spread(0.36, 0.54, t[0])
    rings = 2 + int(t[1] * 2.99)
    spiral = [
        disc("accent" if ring % 2 else "main", -0.12 + 0.03 * ring, 0.05, shell * (1 - ring / (rings + 1)))
        for ring in range(rings + 1)
    ]
    return [
        oval("light", (0, 0.55), (0.85, spread(0.12, 0.2, t[2]))),
        bar("light", (0.6, 0.5), (0.75, spread(-0.1, 0.2, t[3])), 0.2),
        bar("dark", (0.72, 0.1), (spread(0.55, 0.75, t[4]), -0.4), 0.05),
        bar("dark", (0.78, 0.1), (spread(0.8, 1.0, t[5]), -0.35), 0.05),
        *spiral,
    ]


def turtle(t: Traits) -> list[Part]:
    """A turtle in profile."""
    high, plates = spread(0.4, 0.65, t[0]), 2 + int(t[1] * 3.99)
    angle = [math.pi * (1 + i / 16) for i in range(17)]
    dome = [(0.65 * math.cos(a), 0.25 + high * math.sin(a)) for a in angle]
    spots = [
        disc("accent", -0.45 + 0.9 * i / max(plates - 1, 1), 0.02, spread(0.09, 0.15, t[2]))
        for i in range(plates)
    ]
    return [
        bar("light", (-0.4, 0.25), (-0.5, 0.65), 0.2),
        bar("light", (0.35, 0.25), (spread(0.3, 0.5, t[3]), 0.65), 0.2),
        bar("light", (0.5, 0.2), (0.8, spread(-0.2, 0.2, t[4])), 0.18),
        oval("light", (0.85, spread(-0.25, 0.15, t[4])), (0.2, spread(0.13, 0.18, t[5]))),
        disc("dark", 0.92, spread(-0.28, 0.12, t[4]), 0.04),
        poly("main", *dome),
        *spots,
        box("dark", -0.66, 0.22, 0.66, 0.3),
    ]


def rabbit(t: Traits) -> list[Part]:
    """A rabbit from the front."""
    ear, lean = spread(0.4, 0.65, t[0]), spread(0.0, 0.5, t[1])
    return [
        oval("main", (-0.2, -0.35 - ear / 2), (0.12, ear / 1.6), -lean),
        oval("main", (0.2, -0.35 - ear / 2), (0.12, ear / 1.6), spread(0.0, 0.9, t[2])),
        oval("accent", (-0.2, -0.35 - ear / 2), (0.05, ear / 2.2), -lean),
        oval("main", (0, 0.5), (spread(0.35, 0.5, t[3]), 0.45)),
        disc("light", spread(-0.1, 0.1, t[4]), 0.55, 0.25),
        oval("main", (0, -0.15), (0.36, spread(0.27, 0.36, t[5]))),
        disc("dark", -0.14, -0.2, 0.055),
        disc("dark", 0.14, -0.2, 0.055),
        oval("accent", (0, -0.05), (0.06, 0.04)),
        bar("light", (-0.04, 0.02), (0.04, 0.02), 0.1),
    ]


def tree(t: Traits) -> list[Part]:
    """A broad-leaved tree or a fir."""
    trunk = box("dark", -spread(0.06, 0.13, t[0]), 0.1, spread(0.06, 0.13, t[0]), 0.95)
    if t[1] < 0.4:
        wide = spread(0.4, 0.65, t[2])
        tiers = [(0.55, 1.0), (0.1, 0.8), (-0.3, 0.55)]
        return [trunk, *(poly("main", (-wide * k, y), (0, y - 0.6), (wide * k, y)) for y, k in tiers)]

    def around(angle: float) -> tuple[float, float]:
        return 0.45 * math.cos(angle + t[3] * 6), -0.25 + 0.3 * math.sin(angle + t[3] * 6)

    crown = [disc("main", *around(1.3 * i), spread(0.28, 0.42, t[2])) for i in range(5)]
    fruit = [disc("accent", *around(2.2 * i + t[5] * 6), 0.07) for i in range(int(t[4] * 6.99))]
    return [trunk, *crown, *fruit]


def flower(t: Traits) -> list[Part]:
    """A flower with its stalk."""
    petals, reach = 4 + int(t[0] * 5.99), spread(0.25, 0.36, t[1])
    bend = spread(-0.25, 0.25, t[2])
    ring = [
        oval("main", (reach * math.cos(a), -0.35 + reach * math.sin(a)), (reach, spread(0.1, 0.2, t[3])), a)
        for a in (2 * math.pi * i / petals for i in range(petals))
    ]
    return [
        bar("dark", (0, -0.3), (bend, 0.98), 0.07),
        oval("dark", (bend * 0.6 + 0.22, spread(0.3, 0.6, t[4])), (0.25, 0.1), -0.5),
        oval("dark", (bend * 0.6 - 0.22, spread(0.4, 0.7, t[5])), (0.25, 0.1), 0.5),
        *ring,
        disc("accent", 0, -0.35, spread(0.12, 0.2, t[3])),
    ]


def mushroom(t: Traits) -> list[Part]:
    """A toadstool."""
    wide, high = spread(0.5, 0.85, t[0]), spread(0.4, 0.75, t[1])
    angle = [math.pi * (1 + i / 16) for i in range(17)]
    cap = [(wide * math.cos(a), high * math.sin(a)) for a in angle]
    stem = spread(0.12, 0.26, t[2])
    spots = [
        disc(
            "light",
            wide * 0.55 * math.cos(1.9 * i + 6 * t[3]),
            -high * spread(0.2, 0.6, (i * 0.37) % 1),
            0.09,
        )
        for i in range(int(t[4] * 5.99))
    ]
    return [
        poly(
            "light", (-stem, -0.05), (stem, -0.05), (stem * spread(1, 1.6, t[5]), 0.85), (-stem * 1.2, 0.85)
        ),
        poly("main", *cap),
        *spots,
        box("accent", -wide, -0.04, wide, 0.05),
    ]
