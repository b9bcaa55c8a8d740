"""What becomes of single rows: the bounds of a request hold for each, and what is wrong with one is its own reason."""

from __future__ import annotations

import hashlib
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hostile_server import Server, hostile_server, picture

from pipeline.fetching.crew import Crew, Row
from pipeline.fetching.denied import Denied
from pipeline.fetching.limits import NotFetchedError
from pipeline.fetching.pacing.large_bodies import LargeBodies
from pipeline.fetching.pacing.rests import LONGEST, Rests
from pipeline.fetching.pacing.turns import Turns
from pipeline.fetching.spool import Spool
from pipeline.files.children import ChildFailedError
from pipeline.sets.ingest_request import IngestRequest


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with hostile_server() as running:
        yield running


def reasons(tmp_path: Path, server: Server, denied: Denied, *paths: str, **bounds: float) -> list[str | None]:
    request = IngestRequest.model_validate({"urls": "list", "loopback": True, "tries": 1, **bounds})
    (tmp_path / "bodies").unlink(missing_ok=True)
    with Spool(tmp_path / "bodies") as spool, Crew(request, denied, spool, 1) as crew:
        found = crew.fetch([Row(at, server.url(path), None) for at, path in enumerate(paths)])
    return [found[at].reason for at in range(len(paths))]


@pytest.mark.parametrize(
    ("bound", "value", "path", "said"),
    [
        ("pixels", 5000, "/large.jpg", "more than 5000 pixels"),
        ("body_bytes", 1024, "/large.jpg", "larger than 1,024 bytes"),
        ("seconds", 0.3, "/silence.jpg", "took longer than 0.3 s"),
    ],
)
def test_what_a_request_bounds(
    tmp_path: Path, server: Server, bound: str, value: float, path: str, said: str
) -> None:
    found = reasons(tmp_path, server, Denied(), "/pictures/1.jpg", path, **{bound: value})
    assert found == [None, said]


def test_who_presses_ctrl_c_does_not_wait_for_servers(tmp_path: Path, server: Server) -> None:
    pressed = threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT))
    began = time.monotonic()
    pressed.start()
    with pytest.raises(KeyboardInterrupt):
        reasons(tmp_path, server, Denied(), "/silence.jpg", "/silence.jpg")
    assert time.monotonic() - began < 3  # the server says nothing for five seconds


def test_a_host_is_asked_so_many_times_at_once(tmp_path: Path) -> None:
    turns = Turns([(0, "a"), (1, "a"), (2, "a"), (3, "b")], 2, Rests())
    assert {turns.take() for _ in range(3)} == {(0, "a"), (1, "a"), (3, "b")}
    taken: list[object] = []
    waiting = threading.Thread(target=lambda: taken.append(turns.take()))
    waiting.start()
    turns.give_back("b")
    waiting.join(0.2)
    assert taken == []
    turns.give_back("a")
    waiting.join(10)
    assert taken == [(2, "a")]
    assert turns.take() is None


def test_a_host_that_asks_to_wait_is_left_alone_and_then_asked_for_less() -> None:
    now = [0.0]
    rests = Rests(lambda: now[0])
    turns = Turns([(0, "a"), (1, "a"), (2, "a"), (3, "b")], 2, rests, patience=10)
    assert [turns.take() for _ in range(3)] == [(0, "a"), (3, "b"), (1, "a")]
    assert turns.again(0, "a", 0)  # for one second
    assert rests.left("a") == 1
    turns.give_back("a")
    assert turns.again(1, "a", 5)
    assert rests.left("a") == 5
    turns.give_back("a")
    taken: list[object] = []
    waiting = threading.Thread(target=lambda: taken.append(turns.take()))
    now[0] = 5
    assert turns.take() == (2, "a")
    waiting.start()  # for the second place, which there is no more
    waiting.join(0.1)
    assert taken == []
    turns.give_back("a")
    waiting.join(10)
    assert taken == [(0, "a")]
    assert turns.may_ask("a")
    assert not turns.again(0, "a", 60)
    turns.give_back("a")
    assert turns.take() == (1, "a")
    assert not turns.may_ask("a")
    assert turns.take() is None
    assert rests.left("a") == 60
    assert not Turns([(0, "a")], 2, rests, patience=30).may_ask("a")  # of another piece
    assert Turns([(0, "a")], 2, rests, patience=100).may_ask("a")


def test_few_large_files_are_in_memory_at_a_time(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = LargeBodies(1)
    with places.place() as one, places.place() as other, places.place():
        one.take(0)
        one.take(0)  # of a second try of the same row
        with pytest.raises(NotFetchedError, match="too many large files at a time"):
            other.take(0.01)
    with places.place() as one:
        one.take(0)
    monkeypatch.setattr("pipeline.fetching.web_request._LARGE", len(picture(1)))
    monkeypatch.setattr("pipeline.fetching.crew.LargeBodies", lambda most: LargeBodies(0))
    found = reasons(tmp_path, server, Denied(), "/pictures/1.jpg", "/large.jpg", seconds=0.5)
    assert found == [None, "too many large files at a time"]


def test_no_host_is_left_alone_for_longer_than_a_day() -> None:
    rests = Rests(lambda: 0.0)
    assert rests.rest("a", 1e12) == LONGEST
    assert rests.rest("a", 5) == 0
    assert rests.left("a") == LONGEST


@pytest.mark.parametrize("said", ["soon", "3600"])
def test_rows_of_a_host_that_asks_to_wait(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch, said: str
) -> None:
    """They come after a second without costing a try; where the host wants an hour, it is not asked any more."""
    monkeypatch.setattr("pipeline.fetching.crew._rests", Rests)
    server.busy, server.asks = (1 if said == "soon" else 9), ("Retry-After", said)
    paths = [f"/busy/{number}.jpg" for number in range(6)]
    found = reasons(tmp_path, server, Denied(), *paths, per_host=2)
    asked = sum(server.asked.pop(path, 0) for path in paths)
    if said == "soon":
        assert (found, asked) == ([None] * 6, 7)
    else:
        assert set(found) == {"HTTP status 429", "its host asked to wait longer than it was waited for"}
        assert asked <= 2


def test_what_may_pass_is_asked_for_again_and_nothing_else(tmp_path: Path, server: Server) -> None:
    found = reasons(tmp_path, server, Denied(), "/nowhere.jpg", "/flaky/1.jpg", "/noai.jpg", tries=3)
    assert found == ["HTTP status 404", None, "its owner opted out"]
    assert [server.asked[path] for path in ("/nowhere.jpg", "/flaky/1.jpg", "/noai.jpg")] == [1, 2, 1]


def test_a_file_is_denied_by_its_digest_and_a_redirect_by_where_it_leads(
    tmp_path: Path, server: Server
) -> None:
    digest = hashlib.md5(picture(1), usedforsecurity=False).hexdigest()
    listed = server.url("/pictures/3.jpg").replace("http:", "https:")
    denied = Denied({"md5": frozenset({digest}), "url": frozenset({listed})})
    before = server.asked["/pictures/3.jpg"]
    paths = ("/pictures/1.jpg", "/to-picture", "/pictures/2.jpg")
    assert reasons(tmp_path, server, denied, *paths) == ["on a deny list", "on a deny list", None]
    assert server.asked["/pictures/3.jpg"] == before


def test_a_decoder_that_dies_costs_its_row_alone(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Deadly:
        def call(self, request: dict[str, int], content: bytes) -> tuple[dict[str, object], bytes]:
            if content == picture(1):
                raise ChildFailedError("crashed")
            return {"kind": "jpg", "width": 64, "height": 48}, content

    monkeypatch.setattr("pipeline.fetching.crew._decoders", lambda count: Deadly())
    found = reasons(tmp_path, server, Denied(), "/pictures/1.jpg", "/pictures/2.jpg")
    assert found == ["the decoder crashed", None]
