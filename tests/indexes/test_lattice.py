"""Rows of whole numbers: the tile against integers, the bound on every pair, and answers from any lattice."""

from __future__ import annotations

import numpy as np
import pytest
from numba import njit
from numpy.typing import NDArray
from vector_worlds import clustered, uids_of, unit

from indexes.cpu.packing import padded_bits
from indexes.cpu.processor import COLUMNS, FLOAT32, HAS_INT8, HAS_INT16, INT8, INT16, ROWS, WHOLE
from indexes.errors import DataError
from indexes.greedy import earlier as earlier_module
from indexes.greedy.earlier import nearest_earlier
from indexes.lattice import workroom
from indexes.lattice.choosing import Lattice, lattice_of
from indexes.lattice.nearest_columns import BestColumns, best_of, laid_columns
from indexes.lattice.points import (
    Points,
    column_panels,
    norm_slack,
    place,
    row_panels,
    stages,
)
from indexes.lattice.reach import Reach, reach_of
from indexes.lattice.register_tile import VALUES, tile_of
from indexes.scanner import ScanOptions

FORMS = [FLOAT32] + ([INT16] if HAS_INT16 else []) + ([INT8] if HAS_INT8 else [])
OPTIONS = ScanOptions(k=1, device="cpu", threads=2)
FEW = ROWS - 1
"""Rows of a tile that is not full."""
all_forms = pytest.mark.parametrize("form", FORMS)


@njit
def one_tile(
    form: int, a: int, b: int, units: int, cuts: int, levels: int, out: int
) -> int:  # pragma: no cover - machine code
    return tile_of(
        form, (np.int64(a), np.int64(b), np.int64(units)), np.int64(cuts), np.int64(levels), np.int64(out)
    )


@njit
def reach(least: float, norm: float, lost: float, bounds: Reach) -> int:  # pragma: no cover - machine code
    return reach_of(least, norm, lost, bounds)


def lattice_in(form: int, vectors: NDArray[np.float16]) -> Lattice:
    """A lattice of the form, whatever this processor multiplies fastest."""
    bits, which = padded_bits(vectors), np.arange(len(vectors))
    taken = lattice_of(bits, which, narrow=form == WHOLE)
    return taken if taken.form == form else lattice_of(bits, which, narrow=False)


def placed(vectors: NDArray[np.float16], lattice: Lattice) -> Points:
    return place(padded_bits(vectors), np.arange(len(vectors)), lattice)


def numbers(points: Points, form: int) -> NDArray[np.int64]:
    kind = {FLOAT32: np.float32, INT16: np.int16, INT8: np.int8}[form]
    return points.units.view(kind).astype(np.int64)


def adversaries(width: int) -> list[NDArray[np.float16]]:
    random = np.random.default_rng(width)
    plain = unit(random.normal(size=(60, width)))
    spiky = unit(random.normal(size=(60, width)) ** 9 + 1e-3)
    uneven = unit(random.normal(size=(60, width)) * np.geomspace(1, 1e-3, width) + 0.5)
    near = unit(np.ones((60, width)) + 0.01 * random.normal(size=(60, width)))
    return [
        plain,
        spiky,
        uneven,
        near,
        (plain * np.float16(4)),
        (plain * np.float16(1e-4)),
        np.zeros_like(plain),
    ]


@all_forms
@pytest.mark.parametrize("width", [1, 33, 130, 513])
def test_a_tiles_sums_are_those_of_integers(width: int, form: int) -> None:
    for vectors in adversaries(width):
        lattice = lattice_in(form, vectors)
        rows, columns = placed(vectors[:FEW], lattice), placed(vectors, lattice)
        left, (right, levels) = row_panels(rows, lattice.form), column_panels(columns, "")
        u, v = numbers(rows, lattice.form), numbers(columns, lattice.form)
        for stage, edge in enumerate(stages(rows.units.shape[1]).tolist()):
            upto = edge * (4 // {FLOAT32: 4, INT16: 2, INT8: 1}[lattice.form])
            sums = u[:, :upto] @ v[:COLUMNS, :upto].T - (v[:COLUMNS, :upto] ** 2).sum(axis=1) // 2
            cuts = np.full(ROWS, 2**31 - 1, np.int32)
            cuts[:FEW] = np.median(sums, axis=1)
            out = workroom.array("answer", (32 + ROWS * COLUMNS,), np.int32)
            level = np.ascontiguousarray(levels[stage, :COLUMNS])
            addresses = (array.ctypes.data for array in (cuts, level, out))
            answer = one_tile(lattice.form, left.ctypes.data, right.ctypes.data, edge, *addresses)
            masks = [
                sum(1 << j for j in np.flatnonzero(row >= cut).tolist())
                for row, cut in zip(sums, cuts, strict=False)
            ]
            assert out[: 2 * ROWS].view(np.int64).tolist() == masks + [0] * (ROWS - FEW)
            assert answer == np.bitwise_or.reduce(np.array(masks))
            found = out[VALUES // 4 :].reshape(ROWS, COLUMNS)
            np.testing.assert_array_equal(found[:FEW], sums)


@all_forms
@pytest.mark.parametrize("width", [1, 33, 513])
def test_no_pair_that_reaches_a_score_lies_beyond_its_reach(width: int, form: int) -> None:
    """Each pair is asked for its own score, which leaves no room at all."""
    for rows in adversaries(width):
        for columns in adversaries(width):
            lattice = lattice_in(form, columns)
            left, right = placed(rows, lattice), placed(columns, lattice)
            bounds = laid_columns(right, lattice, np.arange(len(columns))).bounds
            u, v = numbers(left, lattice.form), numbers(right, lattice.form)
            whole = u @ v.T - (v**2).sum(axis=1) // 2
            exact = rows.astype(np.float64) @ columns.astype(np.float64).T
            for row in range(0, len(rows), 13):
                cut = (u[row] ** 2).sum() // 2
                for column in range(0, len(columns), 9):
                    cut_here = cut - reach(exact[row, column], left.norm[row], left.lost[row], bounds)
                    assert whole[row, column] >= cut_here


def test_what_was_rounded_off_is_counted_whole() -> None:
    for form in FORMS:
        for vectors in adversaries(130):
            lattice = lattice_in(form, vectors)
            for others in adversaries(130):
                found = placed(others, lattice)
                wide = np.zeros((len(others), len(lattice.centre) + 1))
                wide[:, :130] = others
                order = lattice.order if len(lattice.order) else np.arange(len(lattice.centre))
                moved = (wide[:, order] - lattice.centre.astype(np.float64)) * lattice.scale
                lost = np.sqrt(((moved - numbers(found, lattice.form)) ** 2).sum(axis=1))
                assert (found.lost >= lost).all()
                norm = (others.astype(np.float64) ** 2).sum(axis=1)
                assert (np.abs(found.norm - norm) <= norm_slack(130) * norm).all()


def brute(
    rows: NDArray[np.float16],
    columns: NDArray[np.float16],
    off: NDArray[np.float64],
    least: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    scores = rows.astype(np.float64) @ columns.astype(np.float64).T - off
    best, column = scores.max(axis=1), scores.argmax(axis=1)
    return np.where(best >= least, best, -np.inf), np.where(best >= least, column, -1)


def near_ties(level: float) -> tuple[NDArray[np.float16], NDArray[np.float16]]:
    """Rows and columns of which many pairs have a product of `level`, as near as steps of float16 bring it."""
    random = np.random.default_rng(5)
    columns = unit(random.normal(size=(300, 64)))
    others = np.repeat(columns[:60].astype(np.float64), 4, axis=0)
    aside = random.normal(size=others.shape)
    aside -= (aside * others).sum(axis=1, keepdims=True) * others
    aside /= np.linalg.norm(aside, axis=1, keepdims=True)
    rows = unit(level * others + np.sqrt(1 - level**2) * aside)
    for row, other in zip(rows, others, strict=True):
        for spot in random.permutation(64):
            tried = (row[spot].view(np.uint16) + np.arange(-8, 9)).astype(np.uint16).view(np.float16)
            products = (
                row.astype(np.float64) @ other + (tried.astype(np.float64) - float(row[spot])) * other[spot]
            )
            row[spot] = tried[np.abs(products - level).argmin()]
    return rows, columns


@all_forms
def test_ties_at_the_level_are_decided_as_float64_decides_them(form: int) -> None:
    rows, columns = near_ties(0.876)
    exact = (rows.astype(np.float64) @ columns.astype(np.float64).T).max(axis=1)
    assert (np.abs(exact - 0.876) < 1e-6).sum() > 100
    lattice, none = lattice_in(form, columns), np.zeros(len(columns))
    for levels in (np.full(len(rows), 0.876), exact, np.nextafter(exact, 2), np.nextafter(exact, -2)):
        held = laid_columns(placed(columns, lattice), lattice, np.arange(len(columns)))
        found = best_of(held, placed(rows, lattice).some, len(columns), levels)
        score, column = brute(rows, columns, none, levels)
        assert found.score.tolist() == score.tolist()
        assert found.column.tolist() == column.tolist()


def answers(lattice: Lattice, threads: int, off: NDArray[np.float64] | None) -> BestColumns:
    rows, columns = clustered(2, 500, 100), clustered(1, 300, 100)
    held = laid_columns(placed(columns, lattice), lattice, np.arange(300), off)
    return best_of(held, placed(rows, lattice).some, 300, np.full(500, -np.inf), threads)


@all_forms
def test_any_lattice_and_number_of_threads_gives_the_same_answers(form: int) -> None:
    rows, columns = clustered(2, 500, 100), clustered(1, 300, 100)
    taken, random = lattice_in(form, columns), np.random.default_rng(1)
    order = np.full(len(taken.centre), len(taken.centre), np.uint32)
    order[:100] = random.permutation(100)
    centre = np.where(order < 100, random.normal(size=len(order)), 0).astype(np.float32)
    odd = Lattice(order, centre, float(np.float32(taken.scale / 7)), taken.most, form)
    coarse = taken._replace(scale=float(np.float32(taken.scale / 50)))
    cut_off = taken._replace(scale=float(np.float32(taken.scale * 4)))
    for off in (None, (columns.astype(np.float64) ** 2).sum(axis=1) / 2 + random.normal(size=300) * 0.1):
        score, column = brute(rows, columns, np.zeros(300) if off is None else off, np.full(500, -np.inf))
        for lattice in (taken, odd, coarse, cut_off):
            for threads in (1, 3):
                found = answers(lattice, threads, off)
                assert found.score.tolist() == score.tolist()
                assert found.column.tolist() == column.tolist()


def test_of_equal_columns_the_lowest_rank_is_kept() -> None:
    vectors = np.repeat(unit(np.eye(3, 20)), 40, axis=0)
    lattice, rank = (
        lattice_of(padded_bits(vectors), np.arange(120)),
        np.random.default_rng(0).permutation(120),
    )
    points = placed(vectors, lattice)
    found = best_of(laid_columns(points, lattice, rank), points.some, 120, np.full(120, -np.inf))
    lowest = [int(40 * (row // 40) + rank[40 * (row // 40) :][:40].argmin()) for row in range(120)]
    assert found.column.tolist() == lowest


@pytest.mark.parametrize("narrow", [True, False])
def test_a_lowest_similarity_changes_no_answer_above_it(
    narrow: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    vectors, uids = clustered(3, 900, 96, spread=0.3), uids_of(4, 900)
    vectors[600:700] = vectors[:100]
    order, options = (
        np.random.default_rng(0).permutation(900),
        ScanOptions(device="cpu", threads=1, bfloat16=narrow),
    )
    whole = nearest_earlier(vectors, uids, order, options)
    levels = [
        -1.0,
        0.5,
        0.9,
        float(whole.similarity[444]),
        float(np.nextafter(whole.similarity[444], 2)),
        0.99,
        1.5,
    ]
    for chunk in (1 << 15, 250):
        monkeypatch.setattr(earlier_module, "_CHUNK", chunk)
        for level in levels:
            found, there = nearest_earlier(vectors, uids, order, options, level), whole.similarity >= level
            assert found.similarity.tolist() == np.where(there, whole.similarity, -np.inf).tolist()
            assert found.row.tolist() == np.where(there, whole.row, -1).tolist()


def test_a_high_level_spares_most_products() -> None:
    vectors = clustered(3, 900, 512, clusters=900)
    lattice = lattice_of(padded_bits(vectors), np.arange(900))
    points = placed(vectors, lattice)
    held = laid_columns(points, lattice, np.arange(900))
    units = [best_of(held, points.some, 0, np.full(900, level)).units for level in (-np.inf, 0.8, 0.95)]
    assert units[1] < 0.6 * units[0]
    assert units[2] < 0.3 * units[0]


@pytest.mark.parametrize("bad", [np.nan, np.inf, 60.0])
def test_a_bad_row_is_refused(bad: float) -> None:
    vectors = clustered(2, 300, 32)
    vectors[234, 31] = bad
    with pytest.raises(DataError, match="sample 234 has norm"):
        nearest_earlier(vectors, uids_of(1, 300), np.arange(300), OPTIONS)
