"""`nearfar audit` as a whole tool: its options, its messages, and another try into the folder of one that failed."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from forked_commands import Forker
from small_sets import rows_of, unit, write_part
from whole_runs import Run

from pipeline.commit import records


def command(sets: Path, *more: str, benchmark: str = "one") -> list[str]:
    named = [
        "--pool",
        str(sets / "pool"),
        "--benchmark",
        f"one={sets / benchmark}",
        "--out",
        str(sets / "aud"),
    ]
    return ["audit", *named, *more]


def report(sets: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((sets / "aud" / "report" / "audit.json").read_text())
    return found


def options(text: str) -> set[str]:
    return set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", text))


def narrow(sets: Path) -> None:
    """A benchmark of another encoder."""
    write_part(sets / "narrow", 0, unit(5, 9, width=8), rows_of("n", 0, 9))


FAILING = {
    "a benchmark that is not there": (
        ["--set", "audit.soft=0.9"],
        "nowhere",
        "there is no such file or folder",
    ),
    "a model that is not known": (["--model", "ViT-B-99"], "one", "ViT-B-99"),
    "weights without a model": (["--pretrained", "openai"], "one", "give --model too"),
    "a gate that is none": (["--fail-above", "2"], "one", "--fail-above got '2'"),
    "losses without a gate": (["--allow-lost", "0.1"], "one", "--fail-above"),
    "a benchmark of another width": ([], "narrow", "vectors of width 8"),
    "a level that is none": (["--set", "audit.hard=7"], "one", "audit.hard"),
    "an output among the files": (["--out", "{sets}/pool"], "one", "which is pool itself"),
}


@pytest.mark.parametrize("case", FAILING)
def test_a_failed_try_does_not_stand_in_the_way(sets: Path, cli: Run, case: str) -> None:
    more, benchmark, said = FAILING[case]
    narrow(sets)
    more = [option.format(sets=sets) for option in more]
    if (
        case == "a model that is not known"
    ):  # embeddings need no model, so a set that brings images asks for it
        whole_runs_images(sets)
        benchmark = "images"
    code, _, errors = cli(*command(sets, *more, benchmark=benchmark))
    assert (code, said in errors) == (2, True), errors
    known = options(cli("audit", "--help")[1])
    assert options(errors) <= known, "a message names only options that audit has"
    code, _, errors = cli(*command(sets))
    assert code == 0, errors
    assert report(sets)["benchmarks"]["one"]["queries"] == 20


def whole_runs_images(sets: Path) -> None:
    (sets / "images").mkdir()
    (sets / "images" / "a.png").write_bytes(b"any")


@pytest.mark.parametrize("turn", [2, 7])
def test_a_try_that_was_killed_goes_on(sets: Path, cli: Run, forked: Forker, turn: int) -> None:
    point = f"commit.sealed=kill@{turn}"
    assert forked(*command(sets), folder=sets, NEARFAR_FAILPOINT=point)[0] == -9
    stood = sum(len(records(sets / "aud", stage)) for stage in ("read", "catalog", "index", "measure"))
    code, _, errors = cli(*command(sets))
    assert (code, stood > 0) == (0, True), errors
    again = (sets / "aud" / "report" / "audit.json").read_bytes()
    code, _, errors = cli(*command(sets))
    assert (sets / "aud" / "report" / "audit.json").read_bytes() == again


def test_images_without_an_encoder_are_answered_with_audits_own_options(sets: Path, cli: Run) -> None:
    whole_runs_images(sets)
    code, _, errors = cli(*command(sets, benchmark="images"))
    assert (code, "--model ViT-B-16-plus-240 --pretrained laion400m_e32" in errors) == (2, True)
    assert options(errors) <= options(cli("audit", "--help")[1])


def test_what_else_a_plan_can_ask_for(sets: Path, cli: Run) -> None:
    chosen = ("measures.captions={}", "neighbours=3", "audit.pairs=2", "audit.soft=0.5", "audit.hard=0.9")
    more = [item for one in chosen for item in ("--set", one)]
    reference = ["--reference", str(sets / "reference"), "--benchmark", f"two={sets / 'two'}"]
    code, out, errors = cli(*command(sets, *more, *reference))
    assert code == 0, errors
    found = report(sets)
    assert found["measures"]["captions"]["rows"] == 360
    assert found["levels"]["soft"] == 0.5
    assert list(found["benchmarks"]) == ["one", "two"]
    assert found["benchmarks"]["one"]["reference"]["answered"] == 20
    for name in ("one", "two"):
        nearest = [pair for pair in found["benchmarks"][name]["pairs"] if pair["group"] == "nearest"]
        assert len(nearest) == 2
        assert all(len(pair["following"]) == 2 for pair in nearest), (
            "three neighbours: the nearest and two more"
        )
    assert re.search(r"^one +20 ", out, re.MULTILINE)
    assert re.search(r"^two +15 ", out, re.MULTILINE)


def test_json_is_the_same_answer(sets: Path, cli: Run) -> None:
    code, out, _ = cli(*command(sets, "--json"))
    last = json.loads(out.splitlines()[-1])
    assert (code, last["event"]) == (0, "finished")
    assert last["headline"] == report(sets)["headline"]
