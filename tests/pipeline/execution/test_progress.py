from __future__ import annotations

import io
import json
import logging
import os
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from indexes.errors import DataError
from pipeline.execution.display.live import Bars
from pipeline.execution.display.redaction import redact
from pipeline.execution.progress import Progress, clock_time


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def events(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]


def fail_in_a_stage(progress: Progress, error: Exception) -> None:
    with progress, progress.stage("read", 3) as stage:
        stage.advance()
        raise error


def test_plain_lines_once_a_second_and_a_final_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = Clock()
    with (
        Progress(tmp_path, live=False, clock=clock) as progress,
        progress.stage("measure", total_units=100, total_rows=100_000, done_units=20) as stage,
    ):
        for _ in range(100):
            clock.now += 0.1
            stage.advance(rows=1000)
    printed = capsys.readouterr()
    lines = printed.err.splitlines()
    assert printed.out == ""
    assert len(lines) in (10, 11, 12)  # begin, at most one a second for ten seconds, end
    assert lines[0] == "measure: 20/120 units, 0 rows"
    assert lines[-1] == "measure: 120/120 units, 100,000 rows, 10,000 rows/s, in 0:10"
    assert all("10,000 rows/s" in line and "to go" in line for line in lines[1:-1])


def test_time_to_go_counts_only_this_runs_work() -> None:
    clock = Clock()
    with Progress(None, live=False, clock=clock) as progress, progress.stage("s", 10, done_units=90) as stage:
        assert stage.eta is None
        clock.now += 5
        stage.advance(units=5)
        assert stage.eta == pytest.approx(5.0)
        assert stage.rate == 0.0
    with Progress(None, live=False, clock=clock) as progress, progress.stage("s", 4, 400, 1, 999) as stage:
        clock.now += 2
        stage.advance(rows=100)
        assert (stage.rate, stage.eta) == (pytest.approx(50.0), pytest.approx(6.0))


def test_json_lines_on_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    with Progress(None, as_json=True, clock=clock) as progress, progress.stage("read", 2, 20) as stage:
        for _ in range(2):
            clock.now += 2
            stage.advance(rows=10)
    printed = capsys.readouterr()
    found = [json.loads(line) for line in printed.out.splitlines()]
    assert printed.err == ""
    assert [line["event"] for line in found] == ["begin", "progress", "end"]
    assert found[1] == {
        "event": "progress", "stage": "read", "units": 1, "total_units": 2, "rows": 10, "total_rows": 20,
        "seconds": 2.0, "rows_per_second": 5.0, "eta_seconds": 2.0,
    }  # fmt: skip


def test_log_is_appended_with_time_stamps(tmp_path: Path) -> None:
    for _ in range(2):
        with Progress(tmp_path, live=False) as progress, progress.stage("read", 1):
            progress.note("found", files=3)
    found = events(tmp_path)
    assert [line["event"] for line in found] == ["begin", "found", "end"] * 2
    assert all(line["time"].endswith("+00:00") for line in found)


def test_errors_stop_the_stage_and_reach_the_log(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(DataError):
        fail_in_a_stage(Progress(tmp_path, live=False), DataError("https://user:pw@host/x.npy is damaged"))
    assert "read: 1/3 units" in capsys.readouterr().err.splitlines()[-1]
    assert [line["event"] for line in events(tmp_path)] == ["begin", "stopped", "stopped"]
    assert events(tmp_path)[-1]["message"] == "https://***@host/x.npy is damaged"


def test_tracebacks_logged_by_the_parts_reach_the_log_only(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    logger = logging.getLogger("nearfar")
    with Progress(tmp_path, live=False):
        logger.error("unit %s failed", "a/b", extra={"traceback": "Traceback: boom"})
    logger.error("after the run")
    (line,) = events(tmp_path)
    assert (line["level"], line["message"], line["traceback"]) == (
        "error",
        "unit a/b failed",
        "Traceback: boom",
    )
    assert "boom" not in capsys.readouterr().err


def test_a_run_without_an_output_folder_makes_none(tmp_path: Path) -> None:
    with Progress(tmp_path / "out", live=False) as progress:
        with progress.stage("plan", 1):
            pass
        assert not (tmp_path / "out").exists()
        (tmp_path / "out").mkdir()
        progress.note("now")
    assert [line["event"] for line in events(tmp_path / "out")] == ["now"]


def test_linked_log_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("precious")
    (tmp_path / "log.jsonl").symlink_to(tmp_path / "victim")
    with Progress(tmp_path, live=False) as progress:
        progress.note("hello")
    assert (tmp_path / "victim").read_text() == "precious"


def test_a_disk_that_refuses_ends_the_log_not_the_run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with Progress(tmp_path, live=False) as progress:
        progress.note("first")

        def refuse(*_: object) -> int:
            raise OSError(28, "No space left on device")

        with monkeypatch.context() as patch:
            patch.setattr(os, "write", refuse)
            progress.note("second")
        progress.note("third")
    assert [line["event"] for line in events(tmp_path)] == ["first"]


def test_bars_show_counts_and_literal_brackets(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = io.StringIO()
    monkeypatch.setattr(sys, "stderr", screen)
    progress = Progress(None, live=True)
    progress._view = Bars(Console(file=screen, force_terminal=True, width=120))
    with progress:
        with progress.stage("sketch [red]", total_units=4, total_rows=4000) as stage:
            for _ in range(4):
                stage.advance(rows=1000)
        with progress.stage("nothing", total_units=0):
            pass
    with pytest.raises(DataError):
        fail_in_a_stage(progress, DataError("broken"))
    shown = screen.getvalue()
    assert "sketch [red]" in shown
    assert "4/4 units  4,000 rows" in shown
    assert "1/3 units" in shown
    assert "stopped" in shown


def test_progress_picks_bars_only_for_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    assert isinstance(Progress(None)._view, Bars)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: False, raising=False)
    assert not isinstance(Progress(None)._view, Bars)


@pytest.mark.parametrize(
    ("seconds", "shown"), [(0.2, "0:00"), (7, "0:07"), (750, "12:30"), (10921, "3:02:01")]
)
def test_clock_time(seconds: float, shown: str) -> None:
    assert clock_time(seconds) == shown


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ("https://me:pw@host/a?b=c", "https://***@host/a?b=c"),
        ("s3://token@bucket/x and ftp://u:p@h", "s3://***@bucket/x and ftp://***@h"),
        ("https://h/x?X-Amz-Signature=ab12&w=3", "https://h/x?X-Amz-Signature=***&w=3"),
        ("https://h/x?w=3&X-Amz-Credential=AK%2F1&sig=9", "https://h/x?w=3&X-Amz-Credential=***&sig=***"),
        ("https://h/x?AWSAccessKeyId=A&Expires=1", "https://h/x?AWSAccessKeyId=***&Expires=1"),
        ("https://h/x?access_token=t;api_key=k", "https://h/x?access_token=***;api_key=***"),
        ("https://h/x?key=k&keyword=cat", "https://h/x?key=***&keyword=cat"),
        ("mail a@b.c, 50% off? yes", "mail a@b.c, 50% off? yes"),
        ("http://me:p@ss@host/a@b?c=d@e", "http://***@host/a@b?c=d@e"),
        ("//me:pw@host/x", "//***@host/x"),
        (
            "https://h/x?a=1?sig=9#access_token=t&monkey=m",
            "https://h/x?a=1?sig=***#access_token=***&monkey=m",
        ),
        ("https://h/x?my.key=k&x-api-key=k&design=d", "https://h/x?my.key=***&x-api-key=***&design=d"),
    ],
)
def test_redaction(text: str, hidden: str) -> None:
    assert redact(text) == hidden


@pytest.mark.parametrize(
    "piece", ["a", "a.", "?", "key", "&key", "?a_", "//", "//a", "@", "a=", "&sig=", "sig"]
)
def test_no_text_takes_long_to_redact(piece: str) -> None:
    text = f"http://h/?{piece * (200_000 // len(piece))}"
    began = time.process_time()
    redact(text)
    assert time.process_time() - began < 2
