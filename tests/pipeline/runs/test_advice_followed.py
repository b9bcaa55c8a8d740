"""Advice leads out: each situation is made, the advice is taken literally, and the command then succeeds."""

from __future__ import annotations

import re
from pathlib import Path

import advice_class_cases
import advice_measure_cases
import advice_plan_cases
import advice_set_cases
import pytest
from advice_cases import CASES, World
from whole_runs import Run

assert all(
    one.__doc__ for one in (advice_class_cases, advice_plan_cases, advice_measure_cases, advice_set_cases)
), "their cases are among CASES"


@pytest.mark.parametrize("name", CASES)
def test_what_is_advised_leads_out(
    name: str, tmp_path: Path, cli: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World.new(tmp_path)
    world.setenv = monkeypatch.setenv
    world.do = lambda *arguments: cli(*arguments)[0]
    steps = CASES[name](world)
    advice = next(steps)
    code, _, world.said = cli(*world.arguments())
    assert code == 2, world.said
    pattern = ".*".join(map(re.escape, advice.split("{}")))
    assert re.search(pattern, world.said, re.DOTALL), world.said
    assert next(steps, None) is None
    code, _, errors = cli(*world.arguments())
    assert code == 0, errors
