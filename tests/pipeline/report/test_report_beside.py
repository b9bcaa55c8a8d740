"""Pictures of a set that brings vectors: found by path, key or url in the place that is named, and nowhere else."""

from __future__ import annotations

import base64
import re
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from audit_pools import Embedded, embeddings_with_pictures, write_tar
from report_draws import paint
from small_sets import rows_of, unit, write_part
from whole_runs import Run

from pipeline.passes.beside import find_pictures
from pipeline.report.drawing.thumbnails import thumbnail
from pipeline.report.request import WantedPicture


@pytest.fixture
def written(tmp_path: Path) -> Embedded:
    return embeddings_with_pictures(tmp_path)


def audit(cli: Run, written: Embedded, *more: str) -> tuple[int, str, str]:
    out = written.pool.parent / "out"
    named = ["--pool", str(written.pool), "--benchmark", f"things={written.benchmark}", "--out", str(out)]
    return cli("audit", *named, "--set", "audit.soft=0.9", *more)


def shown(written: Embedded) -> str:
    return (written.pool.parent / "out" / "report" / "report.html").read_text(encoding="utf-8")


def pixels(page: str) -> set[bytes]:
    """What the page's pictures decode to."""
    return {base64.b64decode(found) for found in re.findall(r'src="data:image/png;base64,([^"]+)"', page)}


def test_an_audit_of_embeddings_shows_the_pictures(written: Embedded, cli: Run) -> None:
    places = ("--images", f"things={written.files}", "--images", f"pool={written.tars}")
    code, _, errors = audit(cli, written, *places)
    assert code == 0, errors
    page = shown(written)
    truth = {
        key: base64.b64decode(thumbnail(of).address.partition(",")[2]) for key, of in written.pictures.items()
    }
    for (name, key), content in truth.items():
        if name == "things":
            assert content in pixels(page), f"the picture of {key}"
    assert pixels(page) <= set(truth.values())
    # Samples 0, 5, … 35 are the near copies: those up to 29 have pictures, the last ones a link alone.
    for at in range(0, 30, 5):
        assert truth["pool", f"{at // 20:05d}{at:04d}" if at < 20 else f"other-{at}"] in pixels(page)
    assert f'href="http://x.test//{35}" rel="noreferrer noopener"' in page
    assert f'href="http://x.test//{5}"' not in page, "what is shown needs no link"


def test_without_a_place_nothing_is_shown_and_the_advice_leads_out(written: Embedded, cli: Run) -> None:
    assert audit(cli, written)[0] == 0
    page = shown(written)
    assert "<img" not in page
    advice = re.search(r"No pictures were found of ([^<]*)\. Where .*?(--set \S+)=FOLDER", page, re.DOTALL)
    assert advice is not None
    assert advice[1] == "benchmarks.things, pool"
    assert audit(cli, written, *f"{advice[2]}={written.files}".split())[0] == 0
    assert "<img" in shown(written)
    assert "No pictures were found of pool." in shown(written)


def test_pictures_inside_the_set_itself_need_no_place(written: Embedded, cli: Run) -> None:
    (written.files / "animals").rename(written.benchmark / "animals")
    code, _, errors = audit(cli, written)
    assert (code, "several formats fit" in errors) == (2, True)
    assert audit(cli, written, "--set", "benchmarks.things.format=clip-retrieval")[0] == 0
    assert len(pixels(shown(written))) == 8


def test_a_picture_that_changes_is_shown_anew(written: Embedded, cli: Run) -> None:
    places = ("--images", f"things={written.files}")
    assert audit(cli, written, *places)[0] == 0
    before = shown(written)
    (written.files / "animals" / "query 3.png").write_bytes(paint(777, 0))
    assert audit(cli, written, *places)[0] == 0
    assert len(pixels(shown(written)) - pixels(before)) == 1


def test_every_way_to_pair(written: Embedded) -> None:
    wanted = {f"00000{at:04d}": WantedPicture(0) for at in range(20)}
    wanted |= {f"other-{at}": WantedPicture(0, url=f"http://x.test//{at}") for at in range(20, 40)}
    found = find_pictures(written.tars, wanted)
    assert found == {key: content for (name, key), content in written.pictures.items() if name == "pool"}
    # By uid, as DataComp's tars have it.
    table = pq.read_table(written.tars / "00001.parquet")
    uids = [f"{at:032x}" for at in range(20, 30)]
    pq.write_table(table.append_column("uid", [uids]), written.tars / "00001.parquet")
    found = find_pictures(written.tars, {uid: WantedPicture(0, uid=uid) for uid in uids})
    assert [found[uid] for uid in uids] == [paint(at, 0) for at in range(20, 30)]


def test_tars_without_sidecar_and_folders_of_shards(tmp_path: Path) -> None:
    write_tar(tmp_path / "tars" / "a.tar", [("one.png", paint(1, 0)), ("two.jpg", paint(2, 0))])
    assert find_pictures(tmp_path / "tars", {"two": WantedPicture(0), "three": WantedPicture(0)}) == {
        "two": paint(2, 0)
    }
    assert find_pictures(tmp_path / "tars" / "a.tar", {"one": WantedPicture(0)}) == {"one": paint(1, 0)}
    for name in ("00001/000010002.webp", "plain.png", "sub/by path.png"):
        file = tmp_path / "files" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(name.encode())
    wanted = {
        "000010002": WantedPicture(0),
        "plain": WantedPicture(0),
        "x": WantedPicture(0, path="sub/by path.png"),
        "gone": WantedPicture(0),
    }
    found = find_pictures(tmp_path / "files", wanted)
    assert {key: content.decode() for key, content in found.items()} == {
        "000010002": "00001/000010002.webp",
        "plain": "plain.png",
        "x": "sub/by path.png",
    }


def test_nothing_outside_the_place_is_opened(tmp_path: Path) -> None:
    """A stranger's metadata names files of the user's; a report that is passed on must not hold them."""
    private = tmp_path / "private.png"
    private.write_bytes(b"private")
    place = tmp_path / "place"
    place.mkdir()
    (place / "link.png").symlink_to(private)
    (place / "text.txt").write_bytes(b"no picture")
    hostile = (
        str(private),
        "../private.png",
        "link.png",
        "link",
        "text.txt",
        "a\0b",
        "x" * 5000,
        "..",
        "/",
        "",
    )
    assert (
        find_pictures(place, {f"k{at}": WantedPicture(0, path=path) for at, path in enumerate(hostile)}) == {}
    )
    assert find_pictures(place, {key: WantedPicture(0) for key in hostile}) == {}


def test_a_damaged_tar_costs_its_own_pictures_alone(written: Embedded) -> None:
    (written.tars / "00000.tar").write_bytes(b"no tar at all" * 100)
    wanted = {"000000003": WantedPicture(0), "other-21": WantedPicture(0, url="http://x.test//21")}
    assert find_pictures(written.tars, wanted).keys() == {"other-21"}


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("pool", "--images takes SET=PLACE"),
        ("pond=x", "there is no set 'pond'; there are: pool, things"),
        ("reference=x", "there is no set 'reference'; there are: pool, things"),
        ("pool=nowhere", "pool.images: 'nowhere' does not exist"),
    ],
)
def test_a_place_that_cannot_be_is_refused(written: Embedded, cli: Run, option: str, said: str) -> None:
    code, _, errors = audit(cli, written, "--images", option)
    assert (code, said in errors) == (2, True), errors
    assert not (written.pool.parent / "out").exists()


def test_a_place_is_given_once(written: Embedded, cli: Run) -> None:
    code, _, errors = audit(cli, written, *("--images", "pool=/tmp") * 2)
    assert (code, "given twice" in errors) == (2, True)


def test_the_column_image_path_is_read_beside_a_key(tmp_path: Path, cli: Run) -> None:
    """LAION's layout has its own ids as keys, and says in `image_path` where a picture lies."""
    rows = [
        {**row, "key": f"id{at}", "image_path": f"pics/{at}.png"} for at, row in enumerate(rows_of("", 0, 6))
    ]
    write_part(tmp_path / "whole", 0, unit(3, 6), rows)
    (tmp_path / "pool").mkdir()
    (tmp_path / "whole" / "metadata" / "metadata_0.parquet").rename(tmp_path / "pool" / "metadata_0.parquet")
    write_part(tmp_path / "things", 0, unit(3, 6), rows_of("q", 0, 6))
    for at in range(6):
        file = tmp_path / "elsewhere" / "pics" / f"{at}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(paint(at, 0))
    named = ["--pool", str(tmp_path / "pool"), "--benchmark", f"things={tmp_path / 'things'}"]
    more = [
        "--set",
        f"pool.embeddings={tmp_path / 'whole' / 'img_emb'}",
        "--images",
        f"pool={tmp_path / 'elsewhere'}",
    ]
    code, _, errors = cli("audit", *named, *more, "--out", str(tmp_path / "out"))
    assert code == 0, errors
    page = (tmp_path / "out" / "report" / "report.html").read_text(encoding="utf-8")
    assert len(pixels(page)) >= 6
    assert "<bdi>pics/3.png</bdi>" in page, "the path is text that can be selected"
