"""Two servers that speak S3, on loopback: SeaweedFS (a program of its own) and moto's (Python)."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path

import pytest

WORDS = {"AWS_ACCESS_KEY_ID": "nearfar", "AWS_SECRET_ACCESS_KEY": "of-the-tests"}
BUCKET = "bucket"
_PATIENCE = 180.0
"""Seconds: a Python server on a machine with much else to do takes a minute."""


def weed() -> str | None:
    """Find SeaweedFS's program: beside the interpreter, where its wheel puts it, or on the path."""
    beside = Path(sys.executable).parent / "weed"
    return str(beside) if beside.exists() else shutil.which("weed")


def has_moto() -> bool:
    """Say whether moto's server can be started."""
    return all(importlib.util.find_spec(name) for name in ("moto", "flask", "flask_cors"))


@dataclass
class StoreServer:
    """A server: `start` it, `stop` it, `kill` it; what it holds outlives that where it keeps files."""

    command: list[str]
    port: int
    folder: Path
    process: subprocess.Popen[bytes] | None = None
    environment: dict[str, str] = field(default_factory=dict)

    def start(self) -> None:
        """Start it, and wait until it answers."""
        with (self.folder / "server.log").open("ab") as log:
            self.process = subprocess.Popen(
                self.command, stdout=log, stderr=log, cwd=self.folder, env=os.environ | self.environment
            )
        until = time.monotonic() + _PATIENCE
        while time.monotonic() < until:
            assert self.process.poll() is None, (self.folder / "server.log").read_text()[-2000:]
            if answers(self.port):
                return
            time.sleep(0.05)
        raise AssertionError(
            f"no answer in {_PATIENCE} s: {(self.folder / 'server.log').read_text()[-2000:]}"
        )

    def stop(self) -> None:
        """Kill it, as a machine dies."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    @property
    def variables(self) -> dict[str, str]:
        """What the environment of one who uses it says."""
        return WORDS | {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.port}",
            "AWS_ALLOW_HTTP": "true",
            "AWS_REGION": "us-east-1",
        }


def answers(port: int) -> bool:
    """Say whether a server of S3 answers with a sentence, be it that it does not know who asks."""
    try:
        with socket.create_connection(("127.0.0.1", port), 1) as connection:
            connection.settimeout(2)
            connection.sendall(b"GET / HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n")
            return connection.recv(12).startswith(
                (b"HTTP/1.1 2", b"HTTP/1.0 2", b"HTTP/1.1 403", b"HTTP/1.0 403")
            )
    except OSError:
        return False


def seaweed(folder: Path) -> StoreServer:
    """Describe SeaweedFS, with a volume of its own and one who may do everything."""
    program = weed()
    assert program is not None
    folder.mkdir(parents=True, exist_ok=True)
    names = ("master", "volume", "filer", "s3")
    ports = free_ports(2 * len(names))
    options = [f"-{name}.port={port}" for name, port in zip(names, ports, strict=False)]
    options += [f"-{name}.port.grpc={port}" for name, port in zip(names, ports[len(names) :], strict=True)]
    who = {"accessKey": WORDS["AWS_ACCESS_KEY_ID"], "secretKey": WORDS["AWS_SECRET_ACCESS_KEY"]}
    # One who is no administrator, so that a bucket is not made by naming it.
    rights = [f"{right}:{BUCKET}" for right in ("Read", "Write", "List")]
    admin = {"accessKey": "admin", "secretKey": "admin"}
    identities = [
        {"name": "nearfar", "credentials": [who], "actions": rights},
        {"name": "admin", "credentials": [admin], "actions": ["Admin"]},
    ]
    (folder / "identities.json").write_text(json.dumps({"identities": identities}))
    fixed = ["-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-dir={folder}", "-filer", "-s3"]
    # Further services that would listen at ports of their own, which two servers cannot share.
    fixed += ["-s3.port.iceberg=0", "-s3.port.lance=0"]
    # A master that is alone need not wait long for another to lead; and nobody outside is told that it runs.
    fixed += ["-master.electionTimeout=1s", "-master.telemetry=false"]
    few = ["-master.volumeSizeLimitMB=64", "-volume.max=20", f"-s3.config={folder / 'identities.json'}"]
    return StoreServer([program, "server", *fixed, *few, *options], ports[3], folder)


def moto(folder: Path) -> StoreServer:
    """Describe moto's server, which keeps all in memory."""
    folder.mkdir(parents=True, exist_ok=True)
    (port,) = free_ports(1)
    said = "from moto.server import main; main()"
    return StoreServer([sys.executable, "-c", said, "-H", "127.0.0.1", "-p", str(port)], port, folder)


def free_ports(count: int) -> list[int]:
    """Find ports of loopback that nobody listens on."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in sockets]
    finally:
        for one in sockets:
            one.close()


def make_bucket(server: StoreServer, name: str = BUCKET) -> None:
    """Make a bucket, as who runs the server may."""
    request = urllib.request.Request(f"http://127.0.0.1:{server.port}/{name}", method="PUT")
    if "moto" in server.command[2]:
        urllib.request.urlopen(request, timeout=10).close()
        return
    from obstore.store import S3Store

    admin = {"access_key_id": "admin", "secret_access_key": "admin", "region": "us-east-1"}
    endpoint = f"http://127.0.0.1:{server.port}"
    store = S3Store(name, endpoint=endpoint, client_options={"allow_http": True}, **admin)
    store.put("made", b"")
    store.delete("made")


def use(server: StoreServer, monkeypatch: pytest.MonkeyPatch, port: int | None = None) -> None:
    """Let this process be one who may use a server, at its own port or another's."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in server.variables.items():
        monkeypatch.setenv(name, value)
    if port is not None:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
