"""The report in a real browser with the network off: every chart and picture is there, drawn, and nothing is logged.

The page holds no script, so the browser is asked from outside, over the DevTools protocol on a pipe (file
descriptors 3 and 4): no port, no library.
"""

from __future__ import annotations

import base64
import contextlib
import fcntl
import io
import json
import os
import select
import shutil
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from report_sets import Folder, build_world

from pipeline.report.compare import NEXT
from pipeline.report.making import build_report

pytestmark = pytest.mark.browser

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
FLAGS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage"),
    *("--hide-scrollbars", "--remote-debugging-pipe", "--host-resolver-rules=MAP * ~NOTFOUND"),
]
PATIENCE = 60
# Asked in the page: every picture's natural size, every drawn shape's box, what was loaded.
PROBE = """(async () => {
  await Promise.all([...document.images].map(image => image.decode().catch(() => null)));
  const box = element => { const r = element.getBoundingClientRect(); return [r.width, r.height]; };
  return {
    images: [...document.images].map(i => [i.naturalWidth, i.naturalHeight, i.complete, i.alt]),
    charts: [...document.querySelectorAll("svg.plotted")].map(svg => ({
      size: box(svg), label: svg.getAttribute("aria-label"),
      curves: [...svg.querySelectorAll("path.area, path.line")].map(
        path => [path.getTotalLength(), getComputedStyle(path).stroke]),
      texts: [...svg.querySelectorAll("text")].map(box),
    })),
    bars: [...document.querySelectorAll("svg.bar")].map(box),
    styled: getComputedStyle(document.querySelector("main")).maxWidth,
    wider: document.documentElement.scrollWidth - document.documentElement.clientWidth,
    loaded: performance.getEntriesByType("resource").map(entry => entry.name.slice(0, 40)),
    scripts: document.scripts.length,
  };
})()"""


def browser() -> str:
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        pytest.skip(
            "no Chromium on this machine; install it (apt-get install chromium) to open the report in one"
        )
    return found


@dataclass
class Tab:
    """One page, driven over the browser's pipe."""

    requests: int
    replies: int
    session: str | None = None
    last: int = 0
    unread: bytes = b""
    events: list[dict[str, Any]] = field(default_factory=list)

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        self.last += 1
        message = {"id": self.last, "method": method, "params": parameters}
        if self.session is not None:
            message["sessionId"] = self.session
        os.write(self.requests, json.dumps(message).encode() + b"\0")
        return self.wait(lambda reply: reply.get("id") == self.last)

    def wait(self, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        while not wanted(reply := self.read()):
            self.events.append(reply)
        assert "error" not in reply, reply
        return dict(reply.get("result", reply))

    def read(self) -> dict[str, Any]:
        while b"\0" not in self.unread:
            assert select.select([self.replies], [], [], PATIENCE)[0], "the browser does not answer"
            content = os.read(self.replies, 1 << 20)
            assert content, "the browser closed the pipe"
            self.unread += content
        message, _, self.unread = self.unread.partition(b"\0")
        return dict(json.loads(message))


@contextlib.contextmanager
def running(profile: Path) -> Iterator[tuple[int, int]]:
    """Start the browser with every host unresolvable; give the ends of its pipe, to it and from it."""
    ends = [end for _ in range(2) for end in os.pipe()]
    # Above 4, so that placing one end on 3 or 4 cannot cover the other.
    theirs_in, ours_out, ours_in, theirs_out = (
        fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in (ends[0], ends[1], ends[2], ends[3])
    )
    for end in ends:
        os.close(end)
    command = [browser(), *FLAGS, f"--user-data-dir={profile}", "about:blank"]
    actions: list[Any] = [(os.POSIX_SPAWN_OPEN, n, os.devnull, os.O_WRONLY, 0) for n in (1, 2)]
    actions += [(os.POSIX_SPAWN_DUP2, theirs_in, 3), (os.POSIX_SPAWN_DUP2, theirs_out, 4)]
    child = os.posix_spawn(command[0], command, os.environ, file_actions=actions)
    os.close(theirs_in)
    os.close(theirs_out)
    try:
        yield ours_out, ours_in
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(ours_out)
        os.close(ours_in)


@contextlib.contextmanager
def tab(profile: Path) -> Iterator[Tab]:
    """Open an empty page that reports what it logs and asks for."""
    with running(profile) as ends:
        opened = Tab(*ends)
        target = opened.call("Target.createTarget", url="about:blank")["targetId"]
        opened.session = opened.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            opened.call(f"{domain}.enable")
        yield opened


@dataclass
class Seen:
    """What the browser made of a page."""

    facts: dict[str, Any]
    events: list[dict[str, Any]]
    shots: dict[str, np.ndarray[Any, Any]]


def look(page: Path, profile: Path) -> Seen:
    with tab(profile) as opened:
        opened.call("Page.navigate", url=page.as_uri())
        opened.wait(lambda event: event.get("method") == "Page.loadEventFired")
        result = opened.call("Runtime.evaluate", expression=PROBE, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in result, result
        shots = {scheme: shoot(opened, scheme) for scheme in ("light", "dark")}
        return Seen(result["result"]["value"], opened.events, shots)


def shoot(opened: Tab, scheme: str) -> np.ndarray[Any, Any]:
    opened.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
    content = base64.b64decode(opened.call("Page.captureScreenshot", format="png")["data"])
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB"), dtype=float)


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Seen:
    browser()
    folder = tmp_path_factory.mktemp("a report, with spaces & 'quotes'")
    build_report(build_world(folder).request, Folder(folder))
    return look(folder / "report" / "report.html", tmp_path_factory.mktemp("profile"))


def test_every_picture_is_decoded(seen: Seen) -> None:
    images = seen.facts["images"]
    assert len(images) > 2 * ((24 + 12 + 12) * 3 + 24 * NEXT), (
        "pairs around the threshold have others beside them"
    )
    assert all(complete and wide == tall == 64 for wide, tall, complete, _ in images)


def test_every_chart_is_drawn(seen: Seen) -> None:
    charts = seen.facts["charts"]
    assert len(charts) == 10
    for chart in charts:
        assert chart["size"][0] > 300
        assert chart["size"][1] > 150
        assert chart["curves"], chart["label"]
        for length, stroke in chart["curves"]:
            assert length > 0
            assert stroke not in ("none", "rgb(0, 0, 0)"), "the style sheet was not applied"
        assert len(chart["texts"]) > 8
        assert all(wide > 0 and tall > 0 for wide, tall in chart["texts"])
    assert len(seen.facts["bars"]) == 3 * 4, "the pool, what it lost, a rule, what is kept"
    assert all(wide > 20 and tall > 4 for wide, tall in seen.facts["bars"])


def test_nothing_is_logged_and_nothing_is_asked_of_the_network(seen: Seen) -> None:
    logged = [e for e in seen.events if e.get("method") in {"Log.entryAdded", "Runtime.consoleAPICalled"}]
    thrown = [e for e in seen.events if e.get("method") == "Runtime.exceptionThrown"]
    assert logged == thrown == []
    asked = [
        e["params"]["request"]["url"] for e in seen.events if e.get("method") == "Network.requestWillBeSent"
    ]
    assert [url[:5] for url in asked if not url.startswith("data:")] == ["file:"]
    assert all(name.startswith("data:") for name in seen.facts["loaded"])
    assert seen.facts["scripts"] == 0


def test_the_page_is_laid_out_in_light_and_dark(seen: Seen) -> None:
    assert seen.facts["styled"] == "1180px"
    assert seen.facts["wider"] <= 0, "the page scrolls sideways"
    light, dark = seen.shots["light"], seen.shots["dark"]
    assert light[2, 2].mean() > 240
    assert dark[2, 2].mean() < 40
    # Text and the verdict box stand out from the paper in both.
    assert (np.abs(light - light[2, 2]).max(axis=2) > 60).mean() > 0.01
    assert (np.abs(dark - dark[2, 2]).max(axis=2) > 60).mean() > 0.01


def test_the_probe_notices_what_goes_wrong(tmp_path: Path) -> None:
    """A page that breaks the policy and shows a broken picture is caught by the same means."""
    page = tmp_path / "bad.html"
    page.write_text(
        "<meta http-equiv='Content-Security-Policy' content=\"default-src 'none'; img-src data:\">"
        "<main>x</main><img src='data:image/png;base64,AAAA'><img src='https://example.invalid/x.png'>"
        "<script>1</script>"
    )
    bad = look(page, tmp_path / "profile")
    assert [wide for wide, *_ in bad.facts["images"]] == [0, 0]
    assert any(event.get("method") == "Log.entryAdded" for event in bad.events)


def test_the_report_of_a_real_run(quickstart_output: Path, tmp_path: Path) -> None:
    browser()
    real = look(quickstart_output / "report" / "report.html", tmp_path / "profile")
    images = real.facts["images"]
    assert len(images) > 3 * 24 * 2
    assert all(complete and wide > 0 and tall > 0 for wide, tall, complete, _ in images)
    assert len(real.facts["charts"]) >= 3 * 4
    assert all(length > 0 for chart in real.facts["charts"] for length, _ in chart["curves"])
    failed = {"Log.entryAdded", "Runtime.consoleAPICalled", "Runtime.exceptionThrown"}
    assert [event for event in real.events if event.get("method") in failed] == []
    assert real.facts["scripts"] == 0
