"""Fixtures for the whole suite."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def small_world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A rendered world of 200 samples, seed 0."""
    from pipeline.world.render import render_world

    out = tmp_path_factory.mktemp("world") / "small"
    render_world(out, seed=0, samples=200)
    return out
