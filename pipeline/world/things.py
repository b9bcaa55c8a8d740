"""Made things of the world. Each function turns six traits in [0, 1] into parts, back to front."""

from __future__ import annotations

import math

from pipeline.world.geometry import Part, Traits, bar, box, disc, oval, poly, spread


def house(t: Traits) -> list[Part]:
    """A house with windows and a door."""
    wide, eave, peak = spread(0.5, 0.85, t[0]), spread(-0.25, 0.05, t[1]), spread(-0.95, -0.6, t[2])
    door = spread(-0.4, 0.4, t[3]) * wide
    panes = [box("light", x - 0.12, eave + 0.15, x + 0.12, eave + 0.4) for x in (-0.6 * wide, 0.6 * wide)]
    return [
        box("dark", wide * 0.4, peak, wide * 0.4 + spread(0.1, 0.2, t[4]), eave),
        box("main", -wide, eave, wide, 0.85),
        poly("accent", (-wide - 0.12, eave), (spread(-0.3, 0.3, t[5]), peak), (wide + 0.12, eave)),
        *panes,
        box("dark", door - 0.13, 0.35, door + 0.13, 0.85),
        disc("light", door + 0.07, 0.6, 0.03),
    ]


def umbrella(t: Traits) -> list[Part]:
    """An open umbrella."""
    wide, high, ribs = spread(0.65, 0.95, t[0]), spread(0.5, 0.8, t[1]), 3 + int(t[2] * 3.99)
    angle = [math.pi * (1 + i / 20) for i in range(21)]
    dome = [(wide * math.cos(a), high * math.sin(a)) for a in angle]
    step = 2 * wide / ribs
    panels = [
        poly("accent", (-wide + step * i, 0), (0, -high), (-wide + step * (i + 1), 0))
        for i in range(0, ribs, 2)
    ]
    length = spread(0.6, 0.85, t[3])
    return [
        bar("dark", (0, -high - 0.12), (0, length), 0.06),
        bar("dark", (0, length), (spread(-0.25, 0.25, t[4]), length + spread(0.0, 0.1, t[5])), 0.08),
        poly("main", *dome),
        *panels,
    ]


def teapot(t: Traits) -> list[Part]:
    """A teapot."""
    wide, high = spread(0.42, 0.56, t[0]), spread(0.35, 0.52, t[1])
    return [
        disc("main", -wide - 0.12, 0.1, spread(0.24, 0.34, t[2])),
        disc("dark", -wide - 0.12, 0.1, spread(0.13, 0.2, t[2])),
        poly("main", (wide - 0.2, 0.35), (wide - 0.1, 0.0), (0.95, -spread(0.1, 0.5, t[3])), (0.98, -0.05)),
        oval("main", (0, 0.15), (wide, high)),
        box("accent", -wide * 0.9, 0.05, wide * 0.9, spread(0.12, 0.28, t[4])),
        oval("accent", (0, 0.15 - high), (0.3, 0.09)),
        disc("dark", 0, 0.02 - high, spread(0.07, 0.12, t[5])),
        box("dark", -0.3, 0.12 + high, 0.3, 0.2 + high),
    ]


def lamp(t: Traits) -> list[Part]:
    """A table lamp."""
    top, low, drop = spread(0.15, 0.4, t[0]), spread(0.45, 0.75, t[1]), spread(-0.2, 0.05, t[2])
    stand = (
        [oval("dark", (0, 0.3), (0.15, 0.45))] if t[3] > 0.5 else [bar("dark", (0, drop), (0, 0.85), 0.09)]
    )
    return [
        *stand,
        oval("accent", (0, 0.87), (spread(0.25, 0.45, t[4]), 0.1)),
        poly("main", (-top, -0.85), (top, -0.85), (low, drop), (-low, drop)),
        poly("light", (-low, drop), (low, drop), (low * 0.97, drop - 0.1), (-low * 0.97, drop - 0.1)),
        bar("dark", (low * 0.5, drop), (low * 0.5, drop + spread(0.1, 0.4, t[5])), 0.03),
    ]


def clock(t: Traits) -> list[Part]:
    """A round clock."""
    size, hour, minute = spread(0.65, 0.9, t[0]), t[1] * 2 * math.pi, t[2] * 2 * math.pi
    ticks = [
        bar("dark", (0.62 * size * math.cos(a), 0.62 * size * math.sin(a)),
            (0.75 * size * math.cos(a), 0.75 * size * math.sin(a)), 0.06)
        for a in (math.pi * i / 6 for i in range(0, 12, 1 + 2 * (t[3] > 0.5)))
    ]  # fmt: skip
    feet = [bar("main", (s * 0.3, 0.6), (s * 0.5, 0.97), 0.12) for s in (-1, 1)] if t[4] > 0.5 else []
    return [
        *feet,
        disc("main", 0, 0, size),
        disc("light", 0, 0, size * spread(0.78, 0.88, t[5])),
        *ticks,
        bar("dark", (0, 0), (0.4 * size * math.cos(hour), 0.4 * size * math.sin(hour)), 0.1),
        bar("accent", (0, 0), (0.6 * size * math.cos(minute), 0.6 * size * math.sin(minute)), 0.06),
        disc("dark", 0, 0, 0.07),
    ]


def guitar(t: Traits) -> list[Part]:
    """A guitar, neck up."""
    low, up, waist = spread(0.38, 0.52, t[0]), spread(0.28, 0.4, t[1]), spread(0.0, 0.15, t[2])
    return [
        oval("main", (0, 0.55), (low, spread(0.3, 0.38, t[3]))),
        oval("main", (0, waist), (up, 0.28)),
        bar("accent", (0, 0.1), (0, -0.75), spread(0.1, 0.16, t[4])),
        poly("dark", (-0.12, -0.72), (0.12, -0.72), (0.16, -0.98), (-0.16, -0.98)),
        disc("dark", 0, 0.3, spread(0.11, 0.18, t[5])),
        bar("dark", (-0.2, 0.65), (0.2, 0.65), 0.07),
        bar("light", (-0.02, -0.9), (-0.02, 0.65), 0.025),
    ]


def chair(t: Traits) -> list[Part]:
    """A chair at an angle."""
    seat, back, slats = spread(0.05, 0.25, t[0]), spread(-0.95, -0.6, t[1]), 1 + int(t[2] * 3.99)
    lean = spread(0.0, 0.2, t[3])
    rails = [bar("accent", (-0.42 - lean / 2, y), (0.22 - lean / 2, y), 0.08)
             for y in (back + 0.1 + (seat - back) * i / (slats + 1) for i in range(slats))]  # fmt: skip
    legs = [
        bar("dark", (x, seat), (x * spread(1.0, 1.3, t[4]), 0.95), 0.08) for x in (-0.45, -0.15, 0.25, 0.55)
    ]
    return [
        bar("dark", (-0.42 - lean, back), (-0.42, seat), 0.09),
        bar("dark", (0.22 - lean, back), (0.22, seat), 0.09),
        *rails,
        *legs,
        poly(
            "main",
            (-0.5, seat - 0.08),
            (0.28, seat - 0.08),
            (0.62, seat + spread(0.08, 0.2, t[5])),
            (-0.45, seat + 0.18),
        ),
    ]


def bottle(t: Traits) -> list[Part]:
    """A bottle with a label."""
    wide, neck, shoulder = spread(0.24, 0.42, t[0]), spread(0.08, 0.15, t[1]), spread(-0.4, 0.1, t[2])
    return [
        box("main", -wide, shoulder, wide, 0.92),
        poly("main", (-wide, shoulder), (-neck, shoulder - 0.3), (neck, shoulder - 0.3), (wide, shoulder)),
        box("main", -neck, -0.82, neck, shoulder - 0.25),
        box("dark", -neck - 0.03, -0.97, neck + 0.03, spread(-0.85, -0.7, t[3])),
        box("accent", -wide, spread(0.15, 0.35, t[4]), wide, spread(0.5, 0.75, t[5])),
        disc("light", 0, 0.45, wide * 0.45),
    ]


def apple(t: Traits) -> list[Part]:
    """An apple with a leaf."""
    wide, drop = spread(0.36, 0.48, t[0]), spread(0.5, 0.7, t[1])
    return [
        oval("main", (-0.22, 0.15), (wide, drop), spread(-0.1, 0.2, t[2])),
        oval("main", (0.22, 0.15), (wide, drop), -spread(-0.1, 0.2, t[2])),
        oval("light", (-0.35, -0.1), (0.08, 0.16), 0.4),
        bar("dark", (0, -0.35), (spread(-0.2, 0.2, t[3]), -0.85), 0.07),
        oval("accent", (0.3, -0.7), (spread(0.2, 0.34, t[4]), 0.12), spread(-0.7, 0.1, t[5])),
    ]


def mug(t: Traits) -> list[Part]:
    """A mug with a handle, sometimes steaming."""
    wide, top = spread(0.35, 0.5, t[0]), spread(-0.4, -0.1, t[1])
    steam = [
        bar("light", (x, top - 0.1), (x + spread(-0.2, 0.2, t[5]), top - 0.5), 0.06) for x in (-0.2, 0.0, 0.2)
    ]
    return [
        *(steam if t[2] > 0.5 else []),
        disc("main", wide + 0.08, spread(0.15, 0.35, t[3]), 0.3),
        disc("dark", wide + 0.08, spread(0.15, 0.35, t[3]), 0.18),
        box("main", -wide, top, wide, 0.8),
        box("accent", -wide, spread(0.1, 0.4, t[4]), wide, spread(0.3, 0.6, t[4])),
        oval("dark", (0, top), (wide, 0.09)),
    ]


def kite(t: Traits) -> list[Part]:
    """A kite and its tail."""
    wide, mid = spread(0.4, 0.65, t[0]), spread(-0.5, -0.25, t[1])
    tail = [(0.0, 0.35), (spread(-0.3, 0.3, t[2]), 0.6), (spread(-0.4, 0.4, t[3]), 0.95)]
    bows = [disc("accent", x, y, spread(0.06, 0.12, t[4])) for x, y in tail[1:]]
    return [
        bar("dark", tail[0], tail[1], 0.04),
        bar("dark", tail[1], tail[2], 0.04),
        *bows,
        poly("main", (0, -0.95), (wide, mid), (0, 0.35), (-wide, mid)),
        poly("accent", (0, -0.95), (wide, mid), (0, mid)),
        poly("accent" if t[5] > 0.5 else "light", (0, 0.35), (-wide, mid), (0, mid)),
    ]
