"""Sections over vectors: groups of near-duplicates by union-find, levels of diversity and clusters by hand."""

from __future__ import annotations

import io
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from section_files import Sections, uid

from pipeline.report.sections import _chains
from pipeline.report.sections._panel import Paragraph


def duplicates(run: Sections, links: dict[int, tuple[int, float]], lowest: float = 0.0) -> None:
    """Write what the measure says: the nearest earlier sample of each, None for those without one."""
    found = [links.get(at) for at in range(run.size)]
    run.measure(
        "duplicates",
        options={"at_least": lowest or None},
        similarity=pa.array([lowest if one is None else one[1] for one in found], pa.float64()),
        nearest=pa.array([None if one is None else uid(one[0]) for one in found], pa.string()),
        place=list(range(run.size)),
    )


def paint(run: Sections) -> None:
    """Give every sample a picture."""

    def fetch(wanted: Any) -> dict[tuple[str, str], bytes]:
        found = {}
        for key in wanted["pool"]:
            target = io.BytesIO()
            Image.new("RGB", (8, 8), (int(key[3:]) % 256, 90, 30)).save(target, "PNG")
            found["pool", key] = target.getvalue()
        return found

    run.request = replace(run.request, fetch_images=fetch)


def test_groups_follow_chains_to_what_stays(tmp_path: Path) -> None:
    """3 is like 2, 2 like 0; 5 is like 4; 1 stands alone, and 6 comes just to the level, which is not above it."""
    run = Sections(tmp_path, 7)
    run.pool()
    paint(run)
    level = 0.876
    duplicates(run, {2: (0, 0.95), 3: (2, 0.9), 5: (4, np.nextafter(level, 1)), 6: (4, level), 1: (0, 0.3)})
    run.split("deduplicated", [0, 1, 4, 6], rules=[("dedup", {"epsilon": 0.124, "by": "duplicates"})])
    told = run.tell("duplicate_groups")
    found = told.panel.numbers["duplicates"]
    assert found["samples"] == 7
    assert found["dropped_at_epsilon"] == {"0.02": 0, "0.05": 0, "0.124": 3, "0.2": 4}
    assert found["groups"] == {
        "epsilon": 0.124,
        "chains_followed": True,
        "groups": 2,
        "samples": 5,
        "by_size": [[2, 1], [3, 1]],
        "largest": [
            {"first": uid(0), "size": 3, "others": [uid(2), uid(3)]},
            {"first": uid(4), "size": 2, "others": [uid(5)]},
        ],
    }
    gallery = told.panel.pieces[-1]
    assert [len(strip.pictures) for strip in gallery.strips] == [3, 2]
    assert all(picture.address for strip in gallery.strips for picture, _ in strip.pictures)
    assert [words for _, words in gallery.strips[0].pictures] == ["first", "0.9500", "0.9000"]


def test_levels_below_what_is_told_apart_are_not_named(tmp_path: Path) -> None:
    run = Sections(tmp_path, 6)
    run.pool()
    duplicates(run, {1: (0, 0.97), 2: (0, 0.92), 3: (2, 0.91)}, lowest=0.9)
    told = run.tell("duplicate_groups")
    found = told.panel.numbers["duplicates"]
    assert found["dropped_at_epsilon"] == {"0.02": 0, "0.05": 1}
    assert (found["groups"]["epsilon"], found["groups"]["samples"]) == (0.05, 2)
    assert any(
        "above 0.9 (at_least)" in piece.text for piece in told.panel.pieces if isinstance(piece, Paragraph)
    )
    run = Sections(tmp_path / "higher", 6)
    run.pool()
    duplicates(run, {1: (0, 0.995)}, lowest=0.99)
    found = run.tell("duplicate_groups").panel.numbers["duplicates"]
    assert found["dropped_at_epsilon"] == {"0.01": 1}


def test_an_epsilon_of_a_rule_over_another_measure_is_not_taken(tmp_path: Path) -> None:
    run = Sections(tmp_path, 4)
    duplicates(run, {1: (0, 0.97)})
    run.split("a", [0, 2, 3], rules=[("dedup", {"epsilon": 0.01, "by": "others"})])
    run.split("b", [0, 2, 3], rules=[("dedup", {"epsilon": 0.04, "by": "duplicates"})])
    found = run.numbers("duplicate_groups")["duplicates"]
    assert found["groups"]["epsilon"] == 0.04
    assert "0.01" not in found["dropped_at_epsilon"]


@settings(max_examples=15, deadline=None)
@given(st.data())
def test_groups_are_those_of_union_find(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    size = data.draw(st.integers(4, 40))
    linked = data.draw(st.lists(st.integers(1, size - 1), unique=True, max_size=size - 1))
    links = {at: (data.draw(st.integers(0, at - 1)), 0.99) for at in linked}
    run = Sections(tmp_path_factory.mktemp("run"), size)
    duplicates(run, links)
    first = list(range(size))
    for at in range(size):
        first[at] = first[links[at][0]] if at in links else at
    sizes = Counter(n for n in Counter(first).values() if n > 1)
    found = run.numbers("duplicate_groups")["duplicates"]["groups"]
    assert found["by_size"] == [list(pair) for pair in sorted(sizes.items())]


def test_very_many_links_are_not_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = Sections(tmp_path, 4)
    duplicates(run, {1: (0, 0.97), 2: (1, 0.97), 3: (1, 0.97)})
    monkeypatch.setattr(_chains, "MOST_LINKS", 2)
    found = run.numbers("duplicate_groups")["duplicates"]["groups"]
    assert (found["chains_followed"], found["by_size"]) == (False, [[2, 1], [3, 1]])


def test_kept_at_levels_of_diversity(tmp_path: Path) -> None:
    run = Sections(tmp_path, 6)
    level = pa.array([-2.0, -2.0, 0.5, np.nextafter(0.5, 1), 0.9, None], pa.float64())
    run.measure("thinning", level=level, place=pa.array([0, 0, 1, 1, 2, None], pa.int64()))
    run.split("diverse", [0], rules=[("diversity", {"level": 0.45, "by": "thinning"})])
    found = run.numbers("diversity_levels")["thinning"]
    assert (found["samples"], found["groups"]) == (5, 2)
    kept = {"0.45": 2, "0.5": 3, "0.6": 4, "0.7": 4, "0.8": 4, "0.9": 5}
    assert found["kept_at_level"] == kept


def test_clusters_by_size(tmp_path: Path) -> None:
    run = Sections(tmp_path, 8)
    run.pool()
    paint(run)
    near = [0.1, 0.9, 0.5, 0.5, 0.5, 0.7, 0.2, None]
    cluster = pa.array([2, 2, 2, 2, 2, 0, 0, None], pa.int32())
    run.measure("clusters", "", {"k": 4}, cluster=cluster, similarity=pa.array(near, pa.float64()))
    told = run.tell("cluster_sizes")
    found = told.panel.numbers["clusters"]
    assert (found["clusters"], found["empty"], found["samples"], found["median"]) == (4, 2, 7, 0)
    assert found["largest"] == [[2, 5], [0, 2]]
    # 0, 0, 2, 5: Σ|difference| = 2·(2 + 5 + 2 + 5 + 3), over 2·4·7.
    assert found["gini"] == pytest.approx(34 / 56)
    strips = told.panel.pieces[-1].strips
    assert [[words for _, words in strip.pictures] for strip in strips] == [
        ["0.9000", "0.5000", "0.5000", "0.5000"],
        ["0.7000", "0.2000"],
    ]


def test_a_pool_without_pictures_says_so(tmp_path: Path) -> None:
    run = Sections(tmp_path, 4)
    run.pool()
    run.measure("clusters", "", {"k": 1}, cluster=pa.array([0] * 4, pa.int32()), similarity=[0.5] * 4)
    strip = run.tell("cluster_sizes").panel.pieces[-1].strips[0]
    assert all(not picture.address and picture.reason for picture, _ in strip.pictures)


def test_what_a_grouping_misses_of_what_any_finds(tmp_path: Path) -> None:
    """0.95 is found by both, 0.9 by one alone, 0.89 by the other alone; a level itself is not above it."""
    run = Sections(tmp_path, 6)
    level = 0.876
    run.measure(
        "duplicates", "own", {"within": "clusters.cluster"}, similarity=[0, 0.95, 0.9, level, None, 0.0]
    )
    run.measure(
        "duplicates", "border", {"within": "clusters.border"}, similarity=[0, 0.97, 0, 0, 0.89, np.nan]
    )
    hard = {"within": "clusters.border", "rule": "semdedup"}
    run.measure("duplicates", "other_order", hard, similarity=[0.99] * 6)
    run.split("once", [0], rules=[("dedup", {"epsilon": 0.02, "by": "border"})])
    told = run.numbers("missed_duplicates")
    assert told == {
        "own + border": {
            "0.02": {
                "found_by_any": 0,
                "by_measure": {"own": {"found": 0, "missed": 0}, "border": {"found": 0, "missed": 0}},
            },
            "0.05": {
                "found_by_any": 1,
                "by_measure": {"own": {"found": 0, "missed": 1}, "border": {"found": 1, "missed": 0}},
            },
            "0.124": {
                "found_by_any": 3,
                "by_measure": {"own": {"found": 2, "missed": 1}, "border": {"found": 2, "missed": 1}},
            },
        }
    }
    sheet = run.tell("missed_duplicates").panel.pieces[-1]
    assert [row[0:4] for row in sheet.rows] == [
        ("own", "clusters.cluster", "2", "1"),
        ("border", "clusters.border", "2", "1"),
    ]


def test_one_grouping_alone_says_nothing_of_what_it_misses(tmp_path: Path) -> None:
    run = Sections(tmp_path, 3)
    run.measure("duplicates", similarity=[0.0, 0.9, 0.9])
    told = run.tell("missed_duplicates")
    assert told.panel is None
    assert "add a second measure duplicates" in told.reason
