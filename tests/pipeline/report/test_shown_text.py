"""Names in the report: where a long one may go on in the next line."""

from __future__ import annotations

from pipeline.report.drawing.text import pieces


def test_a_long_name_goes_on_behind_a_sign_and_a_short_one_stays_whole() -> None:
    assert pieces("imagenet_sketch") == ["imagenet_sketch"]
    long = "pruned_of__everything-near/to.any_of_the_benchmarks"
    assert "".join(pieces(long)) == long
    assert pieces(long) == [
        "pruned_", "of__", "everything-", "near/", "to.", "any_", "of_", "the_", "benchmarks",
    ]  # fmt: skip
    assert pieces("_" * 40) == ["_" * 40]
