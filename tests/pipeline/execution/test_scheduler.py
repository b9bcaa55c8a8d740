"""A Dask scheduler by its address: over TLS, with certificates that the test makes, and without."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dask
import distributed
import pytest

from indexes.errors import BadInputError, RunFailedError
from pipeline.execution import executors
from pipeline.execution.executors import Task, run_tasks

OPENSSL = shutil.which("openssl")
pytestmark = pytest.mark.skipif(OPENSSL is None, reason="openssl, which makes the certificates, is not there")


def task(name: str, **arguments: object) -> Task:
    return Task(f"executor_tasks:{name}", dict(arguments), f"test/{name}")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """A certificate that signs itself, and its key."""
    folder = tmp_path_factory.mktemp("tls")
    made, key = str(folder / "cert.pem"), str(folder / "key.pem")
    asked = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=nearfar"
    subprocess.run(
        [str(OPENSSL), *asked.split(), "-keyout", key, "-out", made], check=True, capture_output=True
    )
    return made, key


@contextmanager
def cluster(certificate: tuple[str, str], processes: bool) -> Iterator[str]:
    made, key = certificate
    names = {f"tls_{role}_{kind}" for role in ("scheduler", "worker", "client") for kind in ("cert", "key")}
    files = {name: made if name.endswith("cert") else key for name in names}
    security = distributed.Security(tls_ca_file=made, require_encryption=True, **files)
    options = {"allowed_failures": 1, "dashboard_address": "127.0.0.1:0"}
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=1, processes=processes, protocol="tls://", security=security,
        host="127.0.0.1", dashboard_address=None, scheduler_kwargs=options, silence_logs=50,
    ) as opened:  # fmt: skip
        yield opened.scheduler_address


@pytest.fixture(scope="module")
def scheduler(certificate: tuple[str, str]) -> Iterator[str]:
    """A scheduler, and a worker in a thread of this process."""
    with cluster(certificate, processes=False) as address:
        yield address


@pytest.fixture
def configured(certificate: tuple[str, str]) -> Iterator[None]:
    """Dask's own configuration, as README says."""
    made, key = certificate
    with pytest.MonkeyPatch.context() as environment:
        for name, value in zip(executors.TLS_VARIABLES, (made, made, key), strict=True):
            environment.setenv(name, value)
        dask.config.refresh()
        yield
    dask.config.refresh()


def test_units_run_on_a_scheduler_over_tls(scheduler: str, configured: None) -> None:
    assert scheduler.startswith("tls://")
    found = sorted(run_tasks([task("double", x=i) for i in range(3)], scheduler=scheduler))
    assert found == [(0, 0), (1, 2), (2, 4)]


def test_a_tls_address_without_certificates_is_answered_with_what_to_set(
    scheduler: str, request: pytest.FixtureRequest
) -> None:
    with pytest.raises(
        BadInputError, match=r"Dask's configuration names no certificates; set DASK_"
    ) as caught:
        list(run_tasks([task("double", x=1)], scheduler=scheduler))
    assert all(name in str(caught.value) for name in executors.TLS_VARIABLES)
    request.getfixturevalue("configured")  # which sets them
    assert list(run_tasks([task("double", x=1)], scheduler=scheduler)) == [(0, 2)]


def test_without_a_certificate_nobody_is_let_in(scheduler: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(executors, "_CONNECT_SECONDS", 0.5)
    with pytest.raises(BadInputError, match="no Dask scheduler answers"):
        list(run_tasks([task("double", x=1)], scheduler=scheduler.replace("tls://", "tcp://")))


@pytest.mark.soak
def test_a_task_that_kills_a_scheduler_s_workers_fails_alone(
    certificate: tuple[str, str], configured: None, tmp_path: Path
) -> None:
    with cluster(certificate, processes=True) as address:
        survivor = task("die_at_first", mark=str(tmp_path / "mark"))
        assert list(run_tasks([survivor], scheduler=address)) == [(0, "survived")]
        done: list[tuple[int, object]] = []
        with pytest.raises(RunFailedError, match="unit test/die failed: the worker process died"):
            done.extend(run_tasks([task("die"), task("double", x=4)], scheduler=address))
        assert done == [(1, 8)]
