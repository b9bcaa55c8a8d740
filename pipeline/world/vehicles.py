"""Vehicles of the world. Each function turns six traits in [0, 1] into parts, back to front."""

from __future__ import annotations

from pipeline.world.geometry import Part, Traits, bar, box, disc, oval, poly, spread


def car(t: Traits) -> list[Part]:
    """A car in profile."""
    roof, front, wheel = spread(-0.5, -0.2, t[0]), spread(0.3, 0.6, t[1]), spread(0.17, 0.25, t[2])
    back = spread(-0.75, -0.4, t[3])
    return [
        poly("main", (back, 0.05), (back + 0.15, roof), (front - 0.25, roof), (front, 0.05)),
        poly("light", (back + 0.1, 0.02), (back + 0.2, roof + 0.08), (-0.1, roof + 0.08), (-0.1, 0.02)),
        poly("light", (-0.02, 0.02), (-0.02, roof + 0.08), (front - 0.28, roof + 0.08), (front - 0.1, 0.02)),
        box("main", -0.95, 0.03, 0.95, spread(0.35, 0.45, t[4])),
        box("accent", -0.95, 0.15, 0.95, spread(0.17, 0.27, t[5])),
        disc("dark", -0.52, 0.4, wheel),
        disc("dark", 0.52, 0.4, wheel),
        disc("light", -0.52, 0.4, wheel * 0.5),
        disc("light", 0.52, 0.4, wheel * 0.5),
    ]


def truck(t: Traits) -> list[Part]:
    """A lorry in profile."""
    top, split, wheel = spread(-0.7, -0.3, t[0]), spread(0.2, 0.45, t[1]), spread(0.14, 0.21, t[2])
    wheels = [-0.7, -0.7 + spread(0.35, 0.5, t[3]), 0.65]
    return [
        box("accent", -0.95, top, split, 0.38),
        bar("light", (-0.95, spread(-0.1, 0.2, t[4])), (split, spread(-0.1, 0.2, t[4])), 0.12),
        poly("main", (split + 0.05, -0.25), (0.7, -0.25), (0.95, 0.05), (0.95, 0.38), (split + 0.05, 0.38)),
        poly("light", (0.5, -0.18), (0.67, -0.18), (0.85, spread(0.03, 0.1, t[5])), (0.5, 0.06)),
        *(disc("dark", x, 0.42, wheel) for x in wheels),
        *(disc("light", x, 0.42, wheel * 0.4) for x in wheels),
    ]


def sailboat(t: Traits) -> list[Part]:
    """A boat with one or two sails."""
    mast, deep = spread(-0.95, -0.7, t[0]), spread(0.7, 0.85, t[1])
    sails = [poly("main", (0.06, mast), (spread(0.5, 0.85, t[2]), 0.25), (0.06, 0.25))]
    if t[3] > 0.35:
        sails.append(poly("accent", (-0.06, mast + 0.15), (-spread(0.35, 0.7, t[4]), 0.25), (-0.06, 0.25)))
    hull = poly("dark", (-0.85, 0.38), (0.9, 0.38), (spread(0.45, 0.7, t[5]), deep), (-0.6, deep))
    return [
        bar("dark", (0, mast), (0, 0.4), 0.06),
        *sails,
        hull,
        bar("light", (-0.8, 0.44), (0.85, 0.44), 0.05),
    ]


def bicycle(t: Traits) -> list[Part]:
    """A bicycle in profile."""
    wheel, high = spread(0.32, 0.42, t[0]), spread(-0.5, -0.25, t[1])
    parts = list[Part]()
    for x in (-0.55, 0.55):
        parts += [disc("dark", x, 0.35, wheel), disc("light", x, 0.35, wheel * spread(0.75, 0.88, t[2]))]
        parts += [bar("dark", (x, 0.35 - wheel), (x, 0.35 + wheel), 0.03), disc("accent", x, 0.35, 0.08)]
    seat, head, crank = (-0.25, high), (0.4, high + spread(-0.1, 0.1, t[3])), (0.0, 0.35)
    frame = [(seat, crank), (crank, head), (seat, head), ((-0.55, 0.35), crank), ((-0.55, 0.35), seat)]
    parts += [bar("main", a, b, spread(0.06, 0.1, t[4])) for a, b in frame]
    parts += [bar("main", head, (0.55, 0.35), 0.08), oval("accent", (-0.27, high - 0.06), (0.18, 0.07))]
    return [*parts, bar("accent", head, (0.55, high - spread(0.05, 0.3, t[5])), 0.08)]


def airplane(t: Traits) -> list[Part]:
    """An aeroplane from the side and above."""
    body, sweep = spread(0.11, 0.2, t[0]), spread(0.1, 0.5, t[1])
    return [
        poly("accent", (0.15, 0), (-sweep, -spread(0.5, 0.85, t[2])), (-sweep - 0.2, -0.6), (-0.2, 0)),
        poly("accent", (-0.6, 0), (-0.95, -spread(0.3, 0.6, t[3])), (-0.98, -0.05)),
        oval("main", (0, 0), (0.95, body)),
        poly("accent", (0.2, 0.05), (-sweep, spread(0.5, 0.85, t[4])), (-sweep - 0.25, 0.65), (-0.25, 0.05)),
        *(disc("dark", -0.4 + 0.2 * i, -body * 0.3, 0.045) for i in range(2 + int(t[5] * 3.99))),
        poly("light", (0.6, -body * 0.7), (0.8, -body * 0.3), (0.6, -body * 0.2)),
    ]


def train(t: Traits) -> list[Part]:
    """A steam engine."""
    boiler, funnel = spread(-0.25, 0.0, t[0]), spread(0.1, 0.2, t[1])
    wheels = 3 + int(t[2] * 1.99)
    spokes = [-0.7 + 1.4 * i / (wheels - 1) for i in range(wheels)]
    return [
        box("accent", -0.95, spread(-0.7, -0.5, t[3]), -0.35, 0.35),
        box("light", -0.82, -0.4, -0.5, -0.1),
        box("main", -0.4, boiler, 0.85, 0.35),
        disc("main", 0.85, (boiler + 0.35) / 2, (0.35 - boiler) / 2),
        poly(
            "dark",
            (0.5 - funnel, boiler),
            (0.45 - funnel, -0.7),
            (0.6 + funnel, -0.7),
            (0.55 + funnel, boiler),
        ),
        oval("accent", (spread(-0.1, 0.2, t[4]), boiler), (0.14, 0.12)),
        *(disc("dark", x, 0.5, spread(0.17, 0.24, t[5])) for x in spokes),
        bar("light", (spokes[0], 0.5), (spokes[-1], 0.5), 0.06),
    ]
