"""What strangers' servers do costs a bounded number of bytes and seconds, and has a reason."""

from __future__ import annotations

import resource
import socket
import ssl
import time
from collections.abc import Iterator
from typing import Any

import pytest
from hostile_server import Server, hostile_server, picture

from pipeline.fetching import connections, web_request
from pipeline.fetching.host_names import HostNames, look_up
from pipeline.fetching.limits import Limits, NotFetchedError
from pipeline.fetching.owners_words import asked_wait, opted_out
from pipeline.fetching.timed_socket import Clock
from pipeline.fetching.web_request import download, host_of, target

LIMITS = Limits(body_bytes=200_000, seconds=1.5, idle_seconds=0.8, loopback=True)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with hostile_server() as running:
        yield running


@pytest.fixture(scope="module")
def names() -> Iterator[HostNames]:
    found = HostNames(loopback=True)
    yield found
    found.close()


def reason(url: str, names: HostNames, limits: Limits = LIMITS) -> str:
    with pytest.raises(NotFetchedError) as refused:
        download(url, limits, names)
    return refused.value.reason


@pytest.mark.parametrize("path", ["/pictures/3.jpg", "/to-picture", "/other-robot.jpg", "/plain.jpg"])
def test_an_image_comes_as_it_is(server: Server, names: HostNames, path: str) -> None:
    came = download(server.url(path), LIMITS, names)
    assert came.content == picture(3 if "picture" in path else 5)
    assert came.url == server.url("/pictures/3.jpg" if path == "/to-picture" else path)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/to-private", "the host's address is not of the public internet"),
        ("/to-metadata", "the host's address is not of the public internet"),
        ("/to-mapped", "the host's address is not of the public internet"),
        ("/to-file", "not a URL of http or https"),
        ("/to-password", "the URL holds a user name or password"),
        ("/to-half-an-address", "not a URL"),
        ("/to-no-host", "no valid host name"),
        ("/to-nowhere", "a redirect to nowhere"),
        ("/to-far", "a redirect to an address that is too long"),
        ("/noai.jpg", "its owner opted out"),
        ("/noindex.jpg", "its owner opted out"),
        ("/reserved.jpg", "its owner opted out"),
        ("/to-picture-noai", "its owner opted out"),
        ("/squeezed.jpg", "sent compressed, which was not asked for"),
        ("/endless.jpg", "larger than 200,000 bytes"),
        ("/liar.jpg", "larger than 200,000 bytes"),
        ("/negative.jpg", "larger than 200,000 bytes"),
        ("/short.jpg", "the body ends early"),
        ("/empty.jpg", "empty body"),
        ("/nowhere.jpg", "HTTP status 404"),
        ("/silence.jpg", "no byte for too long"),
        ("/drip.jpg", "took longer than 1.5 s"),
    ],
)
def test_each_misdeed_has_its_reason(server: Server, names: HostNames, path: str, expected: str) -> None:
    began = time.monotonic()
    assert reason(server.url(path), names) == expected
    assert time.monotonic() - began < 4


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/gone.jpg", "connection lost"),
        ("/half-a-piece.jpg", "connection lost"),
        ("/half-a-header.jpg", "empty body"),
    ],
)
def test_what_a_server_did_not_end_may_pass(server: Server, names: HostNames, path: str, said: str) -> None:
    with pytest.raises(NotFetchedError) as refused:
        download(server.url(path), LIMITS, names)
    assert (refused.value.reason, refused.value.passing) == (said, True)
    assert refused.value.url == server.url(path)


@pytest.mark.parametrize(
    ("status", "said", "seconds"),
    [
        (429, None, 0.0),
        (429, " 120 ", 120.0),
        (429, "soon", 0.0),
        (429, "9" * 5000, 0.0),
        (429, "Thu, 01 Jan 1970 00:20:00 GMT", 200.0),
        (429, "Thu, 01 Jan 1970 00:00:00 GMT", 0.0),
        (503, None, None),
        (503, "30", 30.0),
        (503, "soon", None),
        (404, "30", None),
    ],
)
def test_how_long_a_host_asks_to_be_left_alone(status: int, said: str | None, seconds: float | None) -> None:
    assert asked_wait(status, said, 1000.0) == seconds


@pytest.mark.parametrize(
    ("url", "port"),
    [("http://a/", None), ("http://a:443/", 443), ("https://a:80/", 80), ("http://a:1024/", 1024)],
)
def test_web_servers_have_ports_of_their_own(url: str, port: int | None) -> None:
    assert target(url).port == port


def test_a_redirect_in_circles_is_followed_five_times(server: Server, names: HostNames) -> None:
    before = server.asked["/to-itself"]
    assert reason(server.url("/to-itself"), names) == "more than 5 redirects"
    assert server.asked["/to-itself"] - before == 6


def test_what_is_no_http_is_a_reason_too(server: Server, names: HostNames) -> None:
    assert reason(server.url("/garbage"), names).startswith("not HTTP")


def test_too_slow_for_the_rate(server: Server, names: HostNames, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.fetching.timed_socket._GRACE", 0.3)
    assert reason(server.url("/drip.jpg"), names) == "slower than 1024 bytes a second"


def test_what_comes_counts_for_the_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    """From the first byte on: a server may take its time before."""
    now = iter([0.0, 9.0, 9.0, 19.0, 19.0])
    monkeypatch.setattr(time, "monotonic", lambda: next(now))
    clock = Clock(Limits(seconds=30, idle_seconds=8, bytes_per_second=100))
    assert clock.left() == 8
    clock.came(1000)
    assert clock.left() == 8
    clock.came(-1)
    with pytest.raises(NotFetchedError, match="slower than 100 bytes a second"):
        clock.left()


@pytest.mark.parametrize("path", ["/", "/silence.jpg"])
def test_what_speaks_no_tls_is_given_up_in_time(server: Server, names: HostNames, path: str) -> None:
    """A server that says something else, and one that says nothing: the second accepts, and is never read."""
    began = time.monotonic()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1] if path == "/silence.jpg" else server.server_address[1]
        assert reason(f"https://127.0.0.1:{port}{path}", names) == "no secure connection"
    assert time.monotonic() - began < 4


def test_no_connection_is_waited_for_longer_than_there_is_time(
    names: HostNames, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []

    def connect(address: Any, timeout: float) -> socket.socket:
        waits.append(timeout)
        raise TimeoutError

    monkeypatch.setattr(socket, "create_connection", connect)
    assert reason("http://127.0.0.1:1024/", names) == "no connection"
    assert len(waits) == 1
    assert 0 < waits[0] <= LIMITS.idle_seconds


@pytest.mark.parametrize(
    ("raised", "said", "passing"),
    [
        (socket.gaierror(-2, "Name or service not known"), "unknown host", True),
        (UnicodeError("label too long"), "no valid host name", False),
        (None, "the host's address is not of the public internet", False),
    ],
)
def test_a_name_that_is_none_has_a_reason(raised: Exception | None, said: str, passing: bool) -> None:
    def ask(host: str) -> tuple[str, ...]:
        if raised is not None:
            raise raised
        return ()

    names = HostNames(loopback=True, ask=ask)
    with pytest.raises(NotFetchedError) as refused:
        download("http://nobody.example/", LIMITS, names)
    assert (refused.value.reason, refused.value.passing) == (said, passing)
    names.close()


@pytest.mark.parametrize(
    "url",
    [
        "http://10.0.0.1/", "http://2130706433/", "http://0x7f.1/", "http://127.1/", "http://localhost/",
        "http://[::1]/", "http://[fe80::1]/", "http://[64:ff9b::7f00:1]/", "http://169.254.169.254/latest/",
    ],
)  # fmt: skip
def test_private_addresses_in_any_spelling(url: str) -> None:
    names = HostNames()
    assert reason(url, names, Limits(seconds=2)) == "the host's address is not of the public internet"
    names.close()


@pytest.mark.parametrize(
    "url",
    [
        "",
        "x",
        "ftp://a/b",
        "pipe:touch canary",
        "data:image/png;base64,AAAA",
        "file:///etc/passwd",
        "http://",
        "http://a:b@c/",
        "http://[::1",
        "http://a:99999/",
        "http://a:25/",
        "https://a:1023/",
        "http://a b/",
        "http://a\x00/",
        "http://a..b/",
    ],
)
def test_what_is_no_url_opens_no_connection(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "create_connection", lambda *_, **__: pytest.fail("a connection was made"))
    with pytest.raises(NotFetchedError):
        target(url)
    assert host_of(url) == ""


@pytest.mark.parametrize("piece", ["é", "é.", "a.", "@", ":", "[", "%zz", "/"])
def test_no_link_takes_long_to_read(piece: str) -> None:
    url = f"http://{piece * (1_000_000 // len(piece))}"
    began = time.process_time()
    assert host_of(url) == ""
    assert time.process_time() - began < 1


def test_a_name_that_changes_its_answer_gains_nothing(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = iter([("127.0.0.1",), ("10.0.0.1",)])
    asked: list[str] = []

    def ask(host: str) -> tuple[str, ...]:
        asked.append(host)
        return next(answers)

    connected: list[Any] = []
    real = socket.create_connection

    def connect(address: Any, **more: Any) -> socket.socket:
        connected.append(address)
        return real(address, **more)

    monkeypatch.setattr(socket, "create_connection", connect)
    names = HostNames(loopback=True, ask=ask)
    port = server.server_address[1]
    for _ in range(2):
        came = download(f"http://rebinding.example:{port}/pictures/3.jpg", LIMITS, names)
        assert came.content == picture(3)
    names.close()
    assert asked == ["rebinding.example"]
    assert connected == [("127.0.0.1", port)] * 2


def test_a_name_that_was_not_found_is_asked_for_again_when_told() -> None:
    answers: dict[str, list[object]] = {
        "late.example": [socket.gaierror(-3, "try again"), ("93.184.216.34",)],
        "known.example": [("93.184.216.35",)],
    }

    def ask(host: str) -> tuple[str, ...]:
        found = answers[host].pop(0)
        if isinstance(found, Exception):
            raise found
        assert isinstance(found, tuple)
        return found

    names, clock = HostNames(ask=ask), Clock(Limits())
    assert names.addresses("known.example", clock) == ("93.184.216.35",)
    for _ in range(2):
        with pytest.raises(NotFetchedError, match="unknown host"):
            names.addresses("late.example", clock)
    names.forget_unknown()
    assert names.addresses("late.example", clock) == ("93.184.216.34",)
    assert names.addresses("known.example", clock) == ("93.184.216.35",)
    names.close()


def test_a_name_with_a_private_address_among_others_is_refused() -> None:
    names = HostNames(ask=lambda _: ("93.184.216.34", "10.0.0.1"))
    assert reason("http://two.example/", names, Limits(seconds=2)).endswith("not of the public internet")
    names.close()


def test_a_name_server_that_does_not_answer_is_given_up() -> None:
    names = HostNames(ask=lambda _: time.sleep(3) or ())
    began = time.monotonic()
    assert reason("http://slow.example/", names, Limits(seconds=0.3)) == "the name server does not answer"
    names.close()  # which waits for nobody either
    assert time.monotonic() - began < 2


def test_proxies_of_the_environment_are_not_used(
    server: Server, names: HostNames, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("http_proxy", "HTTP_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(variable, "http://127.0.0.1:9")
    assert download(server.url("/pictures/3.jpg"), LIMITS, names).content == picture(3)


@pytest.mark.parametrize(
    ("robots", "mining", "expected"),
    [
        (["noai"], [], True),
        (["max-snippet:5", "NOINDEX"], [], True),
        (["googlebot: noindex"], [], False),
        (["all"], ["0"], False),
        ([], ["1"], True),
        (["unavailable_after: 25 Jun 2010"], [], False),
        (["max-snippet:-1, noindex"], [], True),
        (["noai, max-image-preview:large"], [], True),
        (["googlebot: nofollow, noai"], [], False),
        (["googlebot: nofollow, nearfar: noai"], [], True),
        (["*: none"], [], True),
        (["all", "noimageindex"], ["0"], True),
        (["noimageai"], [], True),
        (["unavailable_after: Fri, 25-Jun-2010 15:00:00 GMT, noai"], [], True),
    ],
)
def test_who_opts_out(robots: list[str], mining: list[str], expected: bool) -> None:
    assert opted_out(robots, mining) is expected


def test_nobody_is_asked_at_a_denied_address_that_a_redirect_leads_to(
    server: Server, names: HostNames
) -> None:
    denied = server.url("/pictures/3.jpg")
    before = server.asked["/pictures/3.jpg"]
    with pytest.raises(NotFetchedError, match="on a deny list"):
        download(server.url("/to-picture"), LIMITS, names, lambda url: url == denied)
    assert server.asked["/pictures/3.jpg"] == before


def test_certificates_are_looked_at() -> None:
    context = connections._certificates()
    assert context.check_hostname
    assert context.verify_mode == ssl.CERT_REQUIRED


@pytest.mark.parametrize(
    ("soft", "most", "wanted"), [(256, 4096, 2304), (256, 1024, 1024), (4096, 8192, None), (256, -1, 2304)]
)
def test_files_may_be_open_as_many_as_there_are_connections(
    soft: int, most: int, wanted: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: (soft, most))
    monkeypatch.setattr(resource, "setrlimit", lambda _, limits: asked.append(limits))
    connections.let_open(1024)
    assert asked == ([] if wanted is None else [(wanted, most)])


def test_look_up_lists_each_address_once() -> None:
    assert look_up("127.0.0.1") == ("127.0.0.1",)


def test_a_redirect_in_another_encoding_leads_to_what_cannot_be_read() -> None:
    class Answer:
        def getheader(self, name: str) -> str:
            return b"http://x.test/caf\xe9/\xc3\xa9".decode("latin-1")  # as http.client reads headers

    assert web_request._elsewhere(Answer()) == "http://x.test/caf\ufffd/\u00e9"  # type: ignore[arg-type]
