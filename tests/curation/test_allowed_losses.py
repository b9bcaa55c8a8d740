"""When an audit may not say that all is well, because too much was lost."""

from __future__ import annotations

import pytest

from curation.losses import AllowLost, Lost, allow_lost, too_many_lost
from indexes.errors import BadInputError


def names(allowed: AllowLost, pool: Lost, **benchmarks: Lost) -> list[str]:
    return [found.name for found in too_many_lost(allowed, pool, benchmarks)]


def test_of_a_benchmark_no_row_may_go_and_of_a_pool_one_in_twenty() -> None:
    usual = allow_lost(None)
    assert names(usual, Lost(50, 1000), one=Lost(0, 40)) == []
    assert names(usual, Lost(51, 1000), one=Lost(1, 100_000)) == ["pool", "benchmark one"]


def test_a_share_holds_for_every_set_and_may_be_reached_but_not_passed() -> None:
    allowed = allow_lost("0.25")
    assert names(allowed, Lost(250, 1000), one=Lost(1, 4), two=Lost(2, 4)) == ["benchmark two"]
    assert names(allowed, Lost(251, 1000), one=Lost(0, 4)) == ["pool"]
    assert names(allow_lost("1"), Lost(3, 3), one=Lost(4, 4)) == []
    assert names(allow_lost("0"), Lost(1, 10**9), one=Lost(0, 4)) == ["pool"]


def test_a_set_that_lists_nothing_has_lost_all() -> None:
    assert names(allow_lost("0.99"), Lost(0, 0), one=Lost(0, 1)) == ["pool"]


@pytest.mark.parametrize("spec", ["", "some", "nan", "-0.1", "1.1", "5%", "inf"])
def test_what_is_no_share_is_refused(spec: str) -> None:
    with pytest.raises(BadInputError, match=r"--allow-lost got .*in \[0, 1\]"):
        allow_lost(spec)
