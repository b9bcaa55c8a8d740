"""Stages are planned in the order of what they come after; an export plans no more than a split comes of."""

from __future__ import annotations

from pipeline.execution.work import stage_module
from pipeline.stages import stage_names, stages_up_to


def test_stages_up_to_one_are_those_that_it_comes_after_and_no_others() -> None:
    for last in stage_names():
        found = stages_up_to(last)
        assert found[-1] == last
        assert set(found) <= set(stage_names())
        for place, name in enumerate(found):
            assert set(stage_module(name).AFTER) <= set(found[:place])
        needed = {after for name in found for after in stage_module(name).AFTER}
        assert needed | {last} == set(found)
    assert stages_up_to("read") == ("read",)
    assert "report" not in stages_up_to("split")
