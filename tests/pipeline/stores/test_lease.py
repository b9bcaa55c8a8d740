"""One run at a time on a store: by compare and swap, and by no clock."""

from __future__ import annotations

import secrets
import threading
from dataclasses import replace

import pytest
from store_proxy import Faults

from indexes.errors import OutputError
from pipeline.stores import lease
from pipeline.stores import objects as objects_module
from pipeline.stores.lease import LEASE, Term, at_work, leased, term_of
from pipeline.stores.objects import Objects, Version
from pipeline.stores.store_addresses import parse_address

MINE = Term(1, "here", "my token", "my copy")
OTHER = Term(2, "there", "another token", "another copy")


@pytest.fixture
def objects(faults: Faults, monkeypatch: pytest.MonkeyPatch) -> Objects:
    monkeypatch.setattr(lease, "RENEWED_EVERY", 0.1)
    monkeypatch.setattr(lease, "RUNS_OUT_AFTER", 0.8)
    monkeypatch.setattr(objects_module, "_wait", lambda tried: None)
    return Objects(parse_address(f"s3://bucket/{secrets.token_hex(4)}"))


def standing(objects: Objects) -> Term:
    found = term_of(objects.read(LEASE))
    assert found is not None
    return found


def test_it_is_renewed_while_it_is_held_and_given_back(objects: Objects) -> None:
    with leased(objects, MINE):
        # Where others have the processor, one look may end before the renewal.
        assert any(at_work(objects, OTHER.copy) for _ in range(50))
        assert at_work(objects, MINE.copy) is None
    assert not standing(objects).held
    assert standing(objects).beat > 0
    assert at_work(objects, OTHER.copy) is None


def test_a_second_run_is_refused_and_told_who_holds_it(objects: Objects) -> None:
    with leased(objects, MINE):
        second = leased(objects, OTHER)
        with pytest.raises(OutputError, match=r"in use by another nearfar run \(process 1 on host here\)"):
            second.__enter__()
        assert standing(objects).token == MINE.token


def test_of_many_that_begin_together_one_holds_it(objects: Objects) -> None:
    held, refused, begin, end = [], [], threading.Barrier(4), threading.Event()

    def run(number: int) -> None:
        begin.wait()
        try:
            with leased(objects, replace(MINE, token=f"{number}", copy=f"copy {number}")):
                held.append(number)
                end.wait(20)
        except OutputError:
            refused.append(number)
        if len(refused) == 3:
            end.set()

    threads = [threading.Thread(target=run, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert (len(held), len(refused)) == (1, 3)


def test_one_that_stands_still_is_taken_over(objects: Objects, capsys: pytest.CaptureFixture[str]) -> None:
    objects.write_new(LEASE, lease._content(OTHER))
    with leased(objects, MINE):
        assert standing(objects).token == MINE.token
    said = (
        f"process 2 on host there has '{objects.address}', or left it: looking for 1 s whether it is at work"
    )
    assert said in capsys.readouterr().err


def test_one_of_the_same_copy_is_taken_at_once(objects: Objects, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two runs of a machine with one copy are kept apart by its lock; those of two machines are not."""
    monkeypatch.setattr(lease, "RUNS_OUT_AFTER", 1000.0)
    objects.write_new(LEASE, lease._content(replace(OTHER, copy=MINE.copy, host=MINE.host)))
    with leased(objects, MINE):
        assert standing(objects).token == MINE.token
        with (
            pytest.raises(OutputError, match="in use by another nearfar run"),
            leased(objects, replace(OTHER, copy=MINE.copy)),
        ):
            pass


def test_who_lost_it_does_not_take_it_back(objects: Objects) -> None:
    with leased(objects, MINE):
        objects.write(LEASE, lease._content(OTHER))
        for _ in range(20):
            threading.Event().wait(0.05)
            assert standing(objects) == OTHER
    assert standing(objects) == OTHER


def test_a_lease_that_makes_no_sense_is_nobodys(objects: Objects) -> None:
    for torn in (b"{torn", b"[]", b'{"pid": 1}'):
        objects.write(LEASE, torn)
        with leased(objects, MINE):
            assert standing(objects).token == MINE.token


def test_a_renewal_that_is_refused_is_tried_again(objects: Objects, monkeypatch: pytest.MonkeyPatch) -> None:
    real, refused = objects.replace, threading.Event()

    def replaced(name: str, content: bytes, version: Version) -> Version | None:
        if not refused.is_set():
            refused.set()
            raise OutputError("not now")
        return real(name, content, version)

    with leased(objects, MINE):
        monkeypatch.setattr(objects, "replace", replaced)
        assert refused.wait(10)
        before = standing(objects).beat
        for _ in range(200):
            if standing(objects).beat > before:
                break
            threading.Event().wait(0.05)
        assert standing(objects).beat > before


def test_it_survives_lost_answers_and_a_busy_store(objects: Objects, faults: Faults) -> None:
    for fault in ("lost", "409 after", "503", "refused"):
        faults.add(fault, "PUT", LEASE)
    with leased(objects, MINE):
        for _ in range(100):
            if not faults.left():
                break
            threading.Event().wait(0.05)
        assert faults.left() == 0
        assert standing(objects).token == MINE.token
    assert not standing(objects).held
