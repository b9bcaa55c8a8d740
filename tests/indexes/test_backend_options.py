"""Options of one backend: from a plan to FAISS, and refused where they cannot be meant."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, asdict, fields, is_dataclass
from pathlib import Path

import numpy as np
import pytest
from vector_worlds import clustered, packed

from indexes import backends, registry
from indexes.backend_options import NoOptions, read_options
from indexes.backends import faiss_hnsw, faiss_ivf
from indexes.errors import BadInputError, UnknownNameError
from indexes.scanner import ScanOptions
from indexes.search import backend_options, is_exact, open_scanner

ALL = registry.names(backends)


@pytest.mark.parametrize("backend", ALL)
def test_every_backend_has_frozen_options_that_all_have_defaults(backend: str) -> None:
    options = backend_options(backend)
    assert is_dataclass(options)
    assert options == backend_options(backend, {}) == backend_options(backend, asdict(options))
    with pytest.raises((FrozenInstanceError, TypeError)):
        options.surprise = 1
    documented = type(options).__doc__ or ""
    assert all(f"{field.name}:" in documented for field in fields(options))


@pytest.mark.parametrize("backend", ALL)
def test_every_backend_refuses_an_option_that_it_does_not_have(backend: str) -> None:
    names = ", ".join(sorted(asdict(backend_options(backend)))) or "none"
    message = f"unknown option of index backend '{backend}': 'surprise'; available: {names}"
    with pytest.raises(UnknownNameError, match=message):
        backend_options(backend, {"surprise": 1})
    with pytest.raises(UnknownNameError, match=message):
        open_scanner(packed((5,), clustered(1, 5, 8), False), backend, options={"surprise": 1})


@pytest.mark.parametrize("backend", [name for name in ALL if is_exact(name)])
def test_exact_backends_take_none(backend: str) -> None:
    assert backend_options(backend, None) == NoOptions()
    with pytest.raises(UnknownNameError, match=f"available: none. Leave out the options of '{backend}'"):
        backend_options(backend, {"lists": 4})


@pytest.mark.parametrize(
    ("backend", "given", "message"),
    [
        ("faiss-ivf", {"lists": 0}, "index backend 'faiss-ivf': option 'lists' is 0; it can be at least 1"),
        ("faiss-ivf", {"lists": 2.5}, "option 'lists' .* is 2.5; it takes a whole number or null"),
        ("faiss-ivf", {"lists": True}, "option 'lists' .* is True; it takes a whole number or null"),
        ("faiss-ivf", {"lists": "many"}, "option 'lists' .* is 'many'; it takes a whole number or null"),
        ("faiss-ivf", {"probed": 0}, "'probed' is 0; it is a share of the lists, above 0 and at most 1"),
        ("faiss-ivf", {"probed": 8}, "'probed' is 8; it is a share of the lists"),
        ("faiss-ivf", {"probed": float("nan")}, "'probed' is nan; it is a share"),
        ("faiss-ivf", {"probed": None}, "option 'probed' .* is None; it takes a number"),
        ("faiss-hnsw", {"links": 1}, "'links' is 1; it can be from 2 to 512"),
        ("faiss-hnsw", {"links": 1000}, "'links' is 1000; it can be from 2 to 512"),
        ("faiss-hnsw", {"search_width": -3}, "'search_width' is -3; it can be from 1 to"),
        ("faiss-hnsw", {"build_width": 10**12}, "'build_width' is 1000000000000; it can be from 1 to"),
        (
            "faiss-ivf",
            [4],
            r"options of index backend 'faiss-ivf' are \[4\]; write a mapping of: lists, probed",
        ),
        (
            "exact",
            "fast",
            "options of index backend 'exact' are 'fast'; write a mapping of: no option at all",
        ),
    ],
)
def test_wrong_values_are_named_with_what_is_allowed(backend: str, given: object, message: str) -> None:
    with pytest.raises(BadInputError, match=message):
        backend_options(backend, given)


def test_an_unknown_backend_is_answered_with_those_there_are() -> None:
    with pytest.raises(UnknownNameError, match=r"unknown index backend 'faiss-iwf'; available: .*faiss-ivf"):
        backend_options("faiss-iwf", {"lists": 3})


def test_underscores_and_hyphens_name_the_same_backend() -> None:
    assert backend_options("faiss_ivf", {"lists": 9}) == backend_options("faiss-ivf", {"lists": 9})


@pytest.mark.parametrize(("rows", "lists", "probed"), [(1, 1, 1), (100, 5, 2), (900, 15, 4), (1600, 20, 5)])
def test_inverted_lists_by_default(rows: int, lists: int, probed: int) -> None:
    index = faiss_ivf.inverted_lists(clustered(1, rows, 16).astype(np.float32), faiss_ivf.Options())
    assert (index.nlist, index.nprobe, index.ntotal) == (lists, probed, rows)


@pytest.mark.parametrize(
    ("given", "lists", "probed"),
    [
        ({"lists": 100, "probed": 0.07}, 100, 7),
        ({"lists": 100, "probed": 0.071}, 100, 8),
        ({"lists": 7, "probed": 1}, 7, 7),
        ({"lists": 9, "probed": 1e-9}, 9, 1),
        ({"lists": 5000}, 300, 75),
    ],
)
def test_inverted_lists_as_a_plan_has_them(given: dict, lists: int, probed: int) -> None:
    options = backend_options("faiss-ivf", given)
    index = faiss_ivf.inverted_lists(clustered(1, 300, 16).astype(np.float32), options)
    assert (index.nlist, index.nprobe) == (lists, probed)


@pytest.mark.parametrize(
    ("given", "expected"),
    [({}, (32, 80, 64)), ({"links": 8, "build_width": 33, "search_width": 17}, (8, 33, 17))],
)
def test_graphs_by_default_and_as_a_plan_has_them(given: dict, expected: tuple[int, int, int]) -> None:
    options = backend_options("faiss-hnsw", given)
    index = faiss_hnsw.graph(clustered(1, 50, 16).astype(np.float32), options)
    # The lowest layer of a graph has twice as many links.
    found = (index.hnsw.nb_neighbors(0) // 2, index.hnsw.efConstruction, index.hnsw.efSearch)
    assert found == expected


def test_more_is_found_where_more_is_searched() -> None:
    queries, samples = packed((900,), clustered(1, 900, 48, clusters=300), True), clustered(2, 500, 48, 300)
    right = open_scanner(queries).scan(samples)
    for backend, option, values in (
        ("faiss-ivf", "probed", (0.1, 0.3, 1.0)),
        ("faiss-hnsw", "search_width", (1, 8, 900)),
    ):
        hits = []
        for value in values:
            found = open_scanner(queries, backend, ScanOptions(threads=1), {option: value}).scan(samples)
            hits.append(float((found.similarity == right.similarity).mean()))
        assert hits == sorted(hits), backend
        assert hits[0] < 0.95 < hits[-1], backend
        assert backend != "faiss-ivf" or hits[-1] == 1, "all lists searched is exact"


NEARBY = '''
"""A backend of somebody else's."""

from dataclasses import dataclass

from indexes.backend_options import check_range
from indexes.brute import BruteScanner

EXACT = False


@dataclass(frozen=True, slots=True)
class Options:
    """Attributes: rotations: how often; label: what for; soft: whether; share: of what."""

    rotations: int = 3
    label: str | None = None
    soft: bool = False
    share: float = 0.5

    def __post_init__(self):
        check_range("rotations", self.rotations, 1, 9)


class NearbyScanner(BruteScanner):
    def __init__(self, queries, scan_options, options):
        super().__init__(queries, scan_options)
        self.options = options


def open_scanner(queries, scan_options, options):
    return NearbyScanner(queries, scan_options, options)
'''

PLAIN = '''
"""A backend without options."""

from indexes.brute import open_scanner

EXACT = True
__all__ = ["open_scanner"]
'''


def test_a_new_file_is_a_new_backend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "near_by.py").write_text(NEARBY, encoding="utf-8")
    (tmp_path / "plain_one.py").write_text(PLAIN, encoding="utf-8")
    monkeypatch.setattr(backends, "__path__", [*backends.__path__, str(tmp_path)])
    assert {"near-by", "plain-one"} <= set(registry.names(backends))
    assert (is_exact("near-by"), is_exact("plain-one")) == (False, True)
    queries, samples = packed((9, 4), clustered(1, 13, 16), True), clustered(2, 40, 16)
    given = {"rotations": 4, "label": "x", "soft": True, "share": 1}
    scanner = open_scanner(queries, "near-by", ScanOptions(k=2), given)
    assert asdict(scanner.options) == given
    assert type(scanner.options.share) is float
    plain = open_scanner(queries, "plain-one")
    right = open_scanner(queries).scan(samples)
    for found in (scanner.scan(samples), plain.scan(samples)):
        np.testing.assert_array_equal(found.margin, right.margin)
    with pytest.raises(UnknownNameError, match="'spin'; available: label, rotations, share, soft"):
        backend_options("near-by", {"spin": 1})
    with pytest.raises(BadInputError, match="'rotations' is 10; it can be from 1 to 9"):
        backend_options("near-by", {"rotations": 10})
    with pytest.raises(BadInputError, match=r"'label' .* is 5; it takes a text or null"):
        backend_options("near-by", {"label": 5})
    with pytest.raises(BadInputError, match=r"'soft' .* is 1; it takes true or false"):
        backend_options("near-by", {"soft": 1})
    with pytest.raises(UnknownNameError, match=r"available: .*near-by.*plain-one"):
        open_scanner(queries, "nearby")


def test_options_are_not_changed_by_reading() -> None:
    given = {"lists": 4, "probed": 1}
    assert read_options(faiss_ivf.Options, given, "faiss-ivf") == faiss_ivf.Options(4, 1.0)
    assert given == {"lists": 4, "probed": 1}
    assert type(given["probed"]) is int
