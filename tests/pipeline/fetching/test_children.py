"""A piece of work that crashes, hangs or eats memory takes its own process down."""

from __future__ import annotations

import concurrent.futures
import contextlib
import io
import os
import platform
import signal
import time
from pathlib import Path

import pytest
from PIL import Image

from pipeline.files.children import ChildFailedError, Children

MODULE = """
import io, os, resource, time
from PIL import Image

def act(request, content):
    if request.get("do") == "die":
        os.kill(os.getpid(), 11)
    if request.get("do") == "hang":
        time.sleep(60)
    if request.get("do") == "eat":
        bytearray(8 << 30)
    if request.get("do") == "print":
        os.write(1, b"a library's own words")
    if request.get("do") == "draw":
        for _ in range(20):
            Image.open(io.BytesIO(content)).convert("RGB")
    faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    return {"pid": os.getpid(), "faults": faults, "size": len(content)}, content[::-1]
"""


@pytest.fixture
def acting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "acting_child.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(tmp_path))
    return "acting_child:act"


@pytest.mark.parametrize("size", [0, 1, 70_000, 3_000_000])
def test_bytes_come_back(acting: str, size: int) -> None:
    children = Children(acting, 1)
    content = os.urandom(size)
    assert children.call({}, content)[1] == content[::-1]
    children.close()


def test_many_pieces_come_as_one(acting: str) -> None:
    children = Children(acting, 1)
    pieces = [os.urandom(size) for size in (0, 5, 0, 0, 1_500_000, 1, *range(300), 0)]
    whole = b"".join(pieces)
    answer, content = children.call({}, *pieces)
    assert (answer["size"], content) == (len(whole), whole[::-1])
    assert children.call({})[0]["size"] == 0
    children.close()


@pytest.mark.parametrize(
    ("what", "said"), [("die", "crashed"), ("hang", "took too long"), ("eat", "crashed")]
)
def test_a_bad_piece_harms_no_other(acting: str, what: str, said: str) -> None:
    children = Children(acting, 1, seconds=1.5 if what == "hang" else 30)
    first = children.call({}, b"a")[0]["pid"]
    with pytest.raises(ChildFailedError, match=said):
        children.call({"do": what}, b"b")
    answer, content = children.call({}, b"cd")
    assert content == b"dc"
    assert answer["pid"] != first
    children.close()


def test_one_that_died_meanwhile_costs_nothing(acting: str) -> None:
    children = Children(acting, 1)
    idle = (children.call({}, b"")[0]["pid"], children._idle.get())
    assert idle[1] is not None
    idle[1].kill()
    idle[1].wait()
    children._idle.put(idle[1])
    assert children.call({}, b"ab")[0]["pid"] != idle[0]
    children.close()


def test_an_interrupt_and_words_of_libraries_disturb_no_answer(acting: str) -> None:
    children = Children(acting, 1)
    first = children.call({}, b"")[0]["pid"]
    os.kill(first, signal.SIGINT)
    answer, content = children.call({"do": "print"}, b"ab")
    assert (answer["pid"], content) == (first, b"ba")
    children.close()


def test_modules_of_the_folder_that_one_is_in_are_not_loaded(
    acting: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pool").mkdir()
    monkeypatch.chdir(tmp_path / "pool")
    Path("json.py").write_text("open('canary', 'w')\nfrom json.decoder import *\n")
    children = Children(acting, 1)
    with contextlib.suppress(ChildFailedError):
        children.call({}, b"")
    children.close()
    assert not Path("canary").exists()


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library takes its memory otherwise")
def test_what_a_piece_frees_stays_for_the_next(acting: str) -> None:
    picture = io.BytesIO()
    Image.new("RGB", (1024, 768), (1, 2, 3)).save(picture, "JPEG")
    children = Children(acting, 1)
    faults = [children.call({"do": "draw"}, picture.getvalue())[0]["faults"] for _ in range(3)]
    children.close()
    assert faults[2] - faults[1] < 2000, "the pixels of 20 pictures are 15,000 pages"


def test_threads_share_them(acting: str) -> None:
    children = Children(acting, 2)
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda n: children.call({}, bytes([n]) * n)[0], range(64)))
    assert [one["size"] for one in found] == list(range(64))
    assert len({one["pid"] for one in found}) <= 2
    children.close()


def test_closed_children_are_gone(acting: str) -> None:
    children = Children(acting, 1)
    pid = children.call({}, b"")[0]["pid"]
    children.close()
    deadline = time.monotonic() + 5
    while Path(f"/proc/{pid}").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not Path(f"/proc/{pid}").exists()


def test_a_file_descriptor_beyond_a_thousand_is_no_limit(acting: str) -> None:
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096), hard))
    held = [os.open(os.devnull, os.O_RDONLY) for _ in range(1100)]
    try:
        children = Children(acting, 1)
        assert children.call({}, b"ab")[1] == b"ba"
        children.close()
    finally:
        for one in held:
            os.close(one)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
