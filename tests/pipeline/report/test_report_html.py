"""The page as a browser would parse it: nothing runs, nothing loads, and hostile text is only text."""

from __future__ import annotations

import base64
import io
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pyarrow as pa
import pytest
from PIL import Image, PngImagePlugin
from report_sets import IDENTICAL, Folder, World, build_world

from pipeline import layout
from pipeline.files.parquet import read_parquet, write_parquet
from pipeline.report.compare import NEXT
from pipeline.report.drawing.text import NAME_LIMIT, margin, percent, shortened, similarity, visible
from pipeline.report.drawing.thumbnails import EDGE, thumbnail
from pipeline.report.drawing.worst import SHOWN
from pipeline.report.making import build_report
from pipeline.report.request import ReportOptions

HOSTILE = {
    "script": "<script>alert(1)</script>",
    "handler": '"><img src=x onerror=alert(1)>',
    "style": "</style></title><svg onload=alert(1)>",
    "link": '<a href="javascript:alert(1)">click</a>',
    "template": "{{ 7 * 7 }} {% raw %} ${7*7}",
    "bidi": "safe \u202egnp.exe \u2066hidden\u2069",
    "nul": "a\x00b\x1b[31m\x7f",
    "surrogate": "tag \U000e0041 private \ue000 line\u2028end",
    "huge": "<b>" + "x" * 1_000_000,
}


class Page(HTMLParser):
    """Collects elements, attributes and text; a void element never closes."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.texts: list[str] = []
        self.isolated: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        while self.open and self.open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        self.texts.append(data)
        if "bdi" in self.open:
            self.isolated.append(data)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return build_world(tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def hostile(world: World, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The report of the same run whose captions, keys, labels and names are hostile."""
    out = world.out
    texts = list(HOSTILE.values())
    for part in range(3):
        path = out / layout.samples("pool", part)
        table = read_parquet(path)
        for name in ("caption", "label"):
            values = [texts[i % len(texts)] for i in range(len(table))]
            table = table.set_column(table.column_names.index(name), name, pa.array(values, pa.string()))
        keys = [f"{texts[i % (len(texts) - 1)]}{part}-{i}" for i in range(len(table))]
        table = table.set_column(table.column_names.index("key"), "key", pa.array(keys, pa.string()))
        path.unlink()
        write_parquet(path, table, table.schema)
    request = replace(
        world.request,
        plan=HOSTILE["style"],
        command=HOSTILE["handler"],
        provenance={HOSTILE["script"]: {HOSTILE["handler"]: [HOSTILE["bidi"]], "none": None, "empty": {}}},
        pool=replace(world.request.pool, dataset=HOSTILE["link"]),
        splits=tuple(
            replace(split, name=f"{HOSTILE['script']} {split.name}") for split in world.request.splits
        ),
        fetch_images=lambda wanted: {
            (name, key): b"<svg onload=alert(1)>" for name in wanted for key in wanted[name]
        },
    )
    folder = Folder(tmp_path_factory.mktemp("hostile"))
    build_report(request, folder)
    return folder.file("report/report.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def plain(world: World, tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = Folder(tmp_path_factory.mktemp("plain"))
    fresh = build_world(tmp_path_factory.mktemp("fresh"))
    build_report(fresh.request, folder)
    return folder.file("report/report.html").read_text(encoding="utf-8")


@pytest.fixture(params=["hostile", "plain"])
def page(request: pytest.FixtureRequest) -> Page:
    return Page(request.getfixturevalue(request.param))


def test_nothing_runs_and_nothing_loads(page: Page) -> None:
    for tag, attributes in page.elements:
        assert tag not in {
            "script",
            "iframe",
            "object",
            "embed",
            "link",
            "base",
            "form",
            "video",
            "audio",
            "image",
            "use",
        }
        for name, value in attributes.items():
            assert not name.startswith("on")
            assert name != "style", "the policy allows the style sheet alone"
            if name == "src":
                assert re.match(r"data:image/(png|jpeg);base64,[A-Za-z0-9+/=]+\Z", value)
            if name in {"href", "xlink:href"} and not (tag == "a" and value.startswith("http")):
                assert re.match(r"#[a-z0-9-]+\Z", value)
            assert "javascript:" not in value or name == "aria-label" or name == "alt"


def test_the_policy_names_the_one_style_sheet(page: Page, plain: str) -> None:
    asked = {a["http-equiv"]: a["content"] for tag, a in page.elements if tag == "meta" and "http-equiv" in a}
    assert asked.pop("x-dns-prefetch-control") == "off"
    [policy] = asked.values()
    assert policy.startswith("default-src 'none'; img-src data:; style-src 'sha256-")
    assert "unsafe" not in policy
    assert [tag for tag, _ in page.elements].count("style") == 1
    style = plain[plain.index("<style>") : plain.index("</style>")]
    assert "url(" not in style
    assert "@import" not in style


def test_the_page_holds_no_address(plain: str) -> None:
    assert "http:" not in plain
    assert "https:" not in plain


def test_elements_are_those_of_the_template(hostile: str, plain: str) -> None:
    """Hostile text adds no kind of element; the pictures that cannot be decoded become placeholders."""
    # Long names may go on in the next line, and only the hostile world has any.
    kinds = {tag for tag, _ in Page(plain).elements} | {"wbr"}
    assert {tag for tag, _ in Page(hostile).elements} <= kinds
    assert "img" not in {tag for tag, _ in Page(hostile).elements}
    assert "not a JPEG, PNG, WebP, GIF, BMP, TIFF or AVIF image" in hostile


def test_captions_are_isolated_and_readable_as_they_are(hostile: str) -> None:
    shown = "\n".join(Page(hostile).isolated)
    for name in ("script", "handler", "style", "link", "template"):
        assert HOSTILE[name] in shown
    assert "safe \u27e8U+202E\u27e9gnp.exe \u27e8U+2066\u27e9hidden\u27e8U+2069\u27e9" in shown
    assert "a\u2400b\u241b[31m\u2421" in shown
    for character in ("\x00", "\x1b", "\u202e", "\u2066", "\u2028", "\U000e0041", "\ue000"):
        assert character not in hostile


def test_a_huge_caption_is_cut_and_says_so(hostile: str) -> None:
    assert "(cut: 1,000,003 characters in all)" in hostile
    assert max(map(len, re.findall("x+", hostile))) < NAME_LIMIT
    assert f">&lt;b&gt;{'x' * (ReportOptions().caption_limit - 3)}… (cut" in hostile
    assert len(hostile) < 3_000_000


def test_every_chart_has_axes_labels_and_words(plain: str) -> None:
    page = Page(plain)
    charts = [a for tag, a in page.elements if tag == "svg" and a.get("class") == "plotted"]
    assert len(charts) == 2 * 4 + 2
    assert all(len(a["aria-label"]) > 20 for a in charts)
    titles = [a for tag, a in page.elements if tag == "text" and "title" in a.get("class", "").split()]
    assert len(titles) >= 2 * len(charts) - 2
    for path in (a["d"] for tag, a in page.elements if tag == "path"):
        assert "nan" not in path
        assert "inf" not in path


def test_pictures_are_of_all_sides_of_every_pair(plain: str) -> None:
    pictures = [a for tag, a in Page(plain).elements if tag == "img"]
    cards, following = 2 * (24 + 12 + 12), plain.count("<figure><details")
    assert following > 2 * 24 * NEXT, "pairs around the threshold have others of their query beside them too"
    for kind, number in {"query": cards, "pool": cards + following, "reference": cards}.items():
        assert sum(a["alt"].startswith(kind) for a in pictures) == number
    assert len(pictures) == 3 * cards + following


def test_the_worst_pairs_stand_first_and_nowhere_else(plain: str) -> None:
    worst, rest = plain.split('aria-label="Summary"')[0], plain.split('aria-label="Summary"')[1]
    assert worst.index('id="verdict"') < worst.index('id="worst"')
    similarities = re.findall(r'<span class="value">([0-9.]+)</span>', worst)
    assert len(similarities) == SHOWN
    assert worst.count("identical bytes") == len(IDENTICAL) == 3
    uids = r'<dt>uid</dt><dd class="key">([0-9a-f]{32})'
    queries = r"photo-\d+\.png|sketch-\d+\.png"
    cards = re.findall(rf'<article class="card">.*?({queries}).*?{uids}', plain, re.DOTALL)
    assert len(set(cards)) == len(cards), "no pair has two cards"
    assert len(re.findall(uids, rest)) == len(cards) - SHOWN


def test_pictures_enlarge_without_a_script(page: Page, plain: str) -> None:
    """Each picture is the summary of a `details`, which the style sheet lays over the page when it is open."""
    for at, (tag, _) in enumerate(page.elements):
        if tag == "img":
            assert [name for name, _ in page.elements[at - 2 : at]] == ["details", "summary"]
    assert ".zoom[open] > summary { position: fixed" in plain
    assert "user-select" not in plain, "keys, paths and urls can be selected"


URLS = {
    "http://x.test/a.jpg?b=1&c=d": True,
    "HTTPS://x.test/a_(1)~%20.png": True,
    "javascript:alert(1)": False,
    "data:text/html,<script>alert(1)</script>": False,
    "http://user:secret@x.test/a": False,
    "https://x.test/a?X-Amz-Signature=abcdef": False,
    'http://x.test/" onmouseover="alert(1)': False,
    "http://x.test/\u202egpj.exe": False,
    "ftp://x.test/a": False,
}


def test_a_link_shows_nothing_by_itself(tmp_path: Path) -> None:
    """Where only urls are known: a link that hides nothing of where it leads, and no address of a picture."""
    world = build_world(tmp_path / "run", images=False)
    texts = list(URLS)
    for part in range(3):
        path = world.out / layout.samples("pool", part)
        table = read_parquet(path)
        urls = pa.array([texts[at % len(texts)] for at in range(len(table))], pa.string())
        table = table.set_column(table.column_names.index("url"), "url", urls)
        path.unlink()
        write_parquet(path, table, table.schema)
    folder = Folder(tmp_path / "made")
    build_report(world.request, folder)
    text = folder.file("report/report.html").read_text(encoding="utf-8")
    page = Page(text)
    links = [a for tag, a in page.elements if tag == "a" and not a["href"].startswith("#")]
    assert {a["href"] for a in links} == {url for url, followed in URLS.items() if followed}
    assert all(a["rel"] == "noreferrer noopener" and set(a) == {"class", "href", "rel"} for a in links)
    assert {tag for tag, _ in page.elements}.isdisjoint({"img", "link"})
    assert all(url in page.isolated for url, followed in URLS.items() if followed)
    assert "secret" not in text
    assert "Signature=abcdef" not in text
    assert "javascript:alert(1)" in page.isolated, "what may not be followed is text"


def test_a_picture_keeps_pixels_and_drops_everything_else() -> None:
    image = Image.effect_noise((400, 300), 60).convert("RGB")
    notes = PngImagePlugin.PngInfo()
    notes.add_text("Comment", "SECRET-IN-TEXT")
    exif = Image.Exif()
    exif[0x010E] = "SECRET-IN-EXIF"
    target = io.BytesIO()
    image.save(target, "PNG", pnginfo=notes, exif=exif, icc_profile=b"SECRET-IN-PROFILE")
    polyglot = target.getvalue() + b"PK\x03\x04 SECRET-APPENDED <script>"
    made = thumbnail(polyglot)
    content = base64.b64decode(made.address.partition(",")[2])
    assert b"SECRET" not in content
    assert made.address.startswith("data:image/jpeg;base64,")
    with Image.open(io.BytesIO(content)) as small:
        assert small.size == (made.width, made.height) == (EDGE, EDGE * 3 // 4)
        assert not set(small.info) & {"comment", "exif", "icc_profile"}
    assert thumbnail(polyglot) == made


def test_small_pictures_stay_sharp() -> None:
    target = io.BytesIO()
    Image.new("RGB", (40, 30), (10, 20, 30)).save(target, "PNG")
    made = thumbnail(target.getvalue())
    assert made.address.startswith("data:image/png;base64,")
    with Image.open(io.BytesIO(base64.b64decode(made.address.partition(",")[2]))) as small:
        assert (small.size, small.getpixel((5, 5))) == ((40, 30), (10, 20, 30))


@pytest.mark.parametrize("content", [None, b"", b"not an image", b"\x89PNG\r\n\x1a\n broken"])
def test_what_is_no_picture_gives_a_reason(content: bytes | None) -> None:
    made = thumbnail(content)
    assert made.address == ""
    assert made.reason


def test_visible_leaves_scripts_and_emoji_alone() -> None:
    for text in ("Grüße, 世界, नमस्ते, مرحبا, שלום", "👩\u200d👩\u200d👧 ❤\ufe0f", "می\u200cخواهم"):
        assert visible(text) == text
    assert visible("a\tb\n") == "a\u2409b\u240a"
    assert visible("\ud800") == "\u27e8U+D800\u27e9"


def test_numbers_as_they_are_written() -> None:
    assert [percent(v) for v in (0, 0.0004, 0.5, 0.9996, 1)] == [
        "0.0 %",
        "< 0.1 %",
        "50.0 %",
        "> 99.9 %",
        "100.0 %",
    ]
    assert [similarity(v) for v in (0.5, -0.25, None, float("nan"))] == ["0.5000", "\u22120.2500", "–", "–"]
    assert [similarity(v) for v in (0.99994, 1.00012, 1.5)] == ["0.9999", "1.0000", "1.5000"], (
        "equal vectors read as 1"
    )
    assert [margin(v) for v in (0.0, 0.0123, -0.5, 2e-6)] == [
        "0.0000",
        "+0.0123",
        "\u22120.5000",
        "+2.0e\u221206",
    ]
    assert shortened("abc", 3, 280) == "abc"
    assert shortened("abc", 1000, 2) == "ab… (cut: 1,000 characters in all)"


def test_the_reports_of_two_folders_are_the_same(plain: str, tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    build_report(build_world(tmp_path / "again").request, folder)
    assert folder.file("report/report.html").read_text(encoding="utf-8") == plain
