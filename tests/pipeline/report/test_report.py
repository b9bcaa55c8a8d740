"""The report's numbers against brute force over a run whose truth is known."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pyarrow.compute as pc
import pytest
from report_sets import BENCHMARKS, COPIED, IDENTICAL, NEIGHBOURS, SIZES, Folder, World, build_world

import pipeline.report
from curation.audit import exceeded, fail_above
from pipeline import layout
from pipeline.files.parquet import read_parquet, write_parquet
from pipeline.report.answers import nearest_similarities
from pipeline.report.compare import NEXT
from pipeline.report.making import build_report
from pipeline.report.request import ReportOptions
from pipeline.report.scan import Scan

FILES = ("audit.json", "pairs.csv", "pairs.parquet", "report.html")
SCHEMA = Path(pipeline.report.__file__).with_name("audit.schema.json")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return build_world(tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Without images and without a reference."""
    return build_world(tmp_path_factory.mktemp("bare"), images=False, reference=False)


def audit(world: World, tmp_path: Path, **changes: Any) -> dict[str, Any]:
    folder = Folder(tmp_path)
    build_report(replace(world.request, **changes), folder)
    assert sorted(folder.added) == [f"report/{name}" for name in FILES]
    content = json.loads((tmp_path / "report/audit.json").read_text())
    jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text())).validate(content)
    return content


def counts_above(histogram: dict[str, Any], threshold: float) -> int:
    """Values in bins that lie wholly above a threshold on an edge."""
    lows = histogram["first"] + histogram["step"] * np.arange(len(histogram["counts"]))
    return int(np.array(histogram["counts"])[lows >= threshold].sum())


def nearest(world: World, benchmark: str, split: str | None = None) -> np.ndarray[Any, Any]:
    similarity = world.similarity[benchmark]
    if split is not None:
        similarity = similarity[world.kept[split]]
    return similarity.max(axis=0) if len(similarity) else np.full(similarity.shape[1], np.nan)


@pytest.mark.parametrize("benchmark", BENCHMARKS)
def test_gaps_of_reference_pool_and_splits(world: World, tmp_path: Path, benchmark: str) -> None:
    found = audit(world, tmp_path)["benchmarks"][benchmark]
    sets = {"reference": found["reference"], "pool": found["pool"], **found["splits"]}
    truth = {"reference": world.threshold[benchmark], "pool": nearest(world, benchmark)}
    truth |= {split: nearest(world, benchmark, split) for split in world.kept}
    assert sets.keys() == truth.keys()
    for name, values in truth.items():
        got = sets[name]
        assert got["answered"] == np.count_nonzero(~np.isnan(values))
        assert sum(got["histogram"]["counts"]) == got["answered"]
        assert counts_above(got["histogram"], 0.875) == np.count_nonzero(values > 0.875)
        assert got["queries_above"] == {str(t): int((values > t).sum()) for t in (0.8, 0.9, 0.95, 0.99)}
        assert got["queries_above_reference"] == int((values > world.threshold[benchmark]).sum())
        if got["answered"]:
            assert (got["quantiles"]["0.0"], got["quantiles"]["1.0"]) == (values.min(), values.max())
            assert got["mean"] == pytest.approx(values.mean(), abs=1e-12)
    assert sets["pruned"]["queries_above_reference"] == 0
    gain = nearest(world, benchmark) - world.threshold[benchmark]
    assert found["pool_minus_reference"]["quantiles"]["1.0"] == gain.max()
    assert counts_above(found["pool_minus_reference"]["histogram"], 0.0) == np.count_nonzero(gain > 0)


def test_medians_by_rank(world: World, tmp_path: Path) -> None:
    found = audit(world, tmp_path)["benchmarks"]["photo"]["pool"]["median_by_rank"]
    ranked = -np.sort(-world.similarity["photo"], axis=0)[:NEIGHBOURS]
    assert found == [float(np.quantile(row, 0.5, method="inverted_cdf")) for row in ranked]


def test_kept_against_threshold_counts_every_sample(world: World, tmp_path: Path) -> None:
    content = audit(world, tmp_path)
    highest = np.maximum(*(world.similarity[b].max(axis=1) for b in BENCHMARKS))
    margins = np.maximum(*((world.similarity[b] - world.threshold[b]).max(axis=1) for b in BENCHMARKS))
    pool = content["pool"]
    assert pool["measured"] == SIZES["pool"]
    assert pool["above"] == {str(t): int((highest > t).sum()) for t in (0.8, 0.9, 0.95, 0.99)}
    assert (
        pool["margin_above_0"] == int((margins > 0).sum()) == SIZES["pool"] - int(world.kept["pruned"].sum())
    )
    assert counts_above(pool["similarity"], 0.75) == np.count_nonzero(highest > 0.75)
    assert counts_above(pool["margin"], 0.0) == pool["margin_above_0"]
    for benchmark in BENCHMARKS:
        own = content["benchmarks"][benchmark]["pool_samples"]
        assert own["margin_above_0"] == np.count_nonzero(
            (world.similarity[benchmark] > world.threshold[benchmark]).any(axis=1)
        )


def test_leakage_by_degree_modality_and_coverage(world: World, tmp_path: Path) -> None:
    content = audit(world, tmp_path)
    for benchmark in BENCHMARKS:
        pool, reference = content["benchmarks"][benchmark]["leakage"]
        values = nearest(world, benchmark)
        assert pool["hard"]["queries"] == np.count_nonzero(values > 0.99)
        assert pool["soft"]["queries"] == np.count_nonzero((values > 0.95) & (values <= 0.99))
        for degree in ("hard", "soft"):
            assert sum(pool[degree]["by_modality"].values()) == pool[degree]["queries"]
        assert (pool["source"], reference["source"]) == ("pool", "reference")
    photo = content["benchmarks"]["photo"]["leakage"]
    assert photo[0]["hard"]["by_modality"]["with its caption"] == 1
    assert [row["coverage"] for row in photo] == ["across datasets", "within one dataset"]
    assert content["benchmarks"]["sketch"]["leakage"][0]["coverage"] == "not stated"
    planted = {(b, q) for _, b, q in IDENTICAL | COPIED if b == "photo"}
    assert photo[0]["hard"]["queries"] == len(planted)


def test_identical_files_are_told_apart_from_near_vectors(world: World, tmp_path: Path) -> None:
    content = audit(world, tmp_path)
    for benchmark in BENCHMARKS:
        truth = {(row, query) for row, b, query in IDENTICAL if b == benchmark}
        found = content["benchmarks"][benchmark]["leakage"][0]
        assert (found["identical"]["queries"], found["identical"]["pairs"]) == (len(truth), len(truth))
        assert found["identical"]["checked"] == SIZES[benchmark]
        pool = world.sets["pool"]
        assert {row["uid"] for row in found["identical_listed"]} == {pool.uids[row] for row, _ in truth}
        left = {name: sum(bool(kept[row]) for row, _ in truth) for name, kept in world.kept.items()}
        assert found["identical_left"] == left
        assert left["pruned"] == left["nothing"] == 0
        verdict = content["benchmarks"][benchmark]["verdict"]
        assert (verdict["level"], verdict["confidence"]) == ("identical", "certain")
        assert verdict["fraction"] == len(truth) / SIZES[benchmark]


def test_pairs_are_the_nearest_and_those_next_to_the_threshold(world: World, tmp_path: Path) -> None:
    pairs = audit(world, tmp_path, options=ReportOptions(pairs=10))["benchmarks"]["photo"]["pairs"]
    margins = world.similarity["photo"] - world.threshold["photo"]
    widest, uids = margins.max(axis=1), world.sets["pool"].uids
    by_group: dict[str, list[dict[str, Any]]] = {}
    for pair in pairs:
        by_group.setdefault(pair["group"], []).append(pair)
        row = world.sets["pool"].uids.index(pair["uid"])
        assert pair["key"] == world.sets["pool"].keys[row]
        assert pair["similarity"] == world.similarity["photo"][row, pair["query"]]
        assert pair["margin"] == margins[row, pair["query"]]
        assert pair["identical"] == ((row, "photo", pair["query"]) in IDENTICAL)
    nearest_pairs = [pair["similarity"] for pair in by_group["nearest"]]
    assert nearest_pairs == sorted(nearest(world, "photo"), reverse=True)[:10]
    nearest_margin = margins.argmax(axis=1)
    for group, chosen in (("above the threshold", widest > 0), ("at or below the threshold", widest <= 0)):
        # Samples by their distance to the threshold; those of one query share its card, with so many others.
        cards: dict[int, list[float]] = {}
        for row in sorted(np.flatnonzero(chosen), key=lambda row: (abs(widest[row]), uids[row]))[
            : 5 * 6 + 10
        ]:
            cards.setdefault(int(nearest_margin[row]), []).append(float(widest[row]))
        told = [
            (
                pair["query"],
                [pair["margin"], *(one["similarity"] - pair["threshold"] for one in pair["following"])],
            )
            for pair in by_group[group]
        ]
        assert told == [(query, found[: 1 + NEXT]) for query, found in list(cards.items())[:5]]


def test_a_query_is_shown_with_its_next_nearest_samples(world: World, tmp_path: Path) -> None:
    uids, found = world.sets["pool"].uids, audit(world, tmp_path)["benchmarks"]
    for name in BENCHMARKS:
        for pair in found[name]["pairs"]:
            similarity = world.similarity[name][:, pair["query"]]
            order = sorted(range(len(uids)), key=lambda row: (-similarity[row], uids[row]))
            told = [(one["uid"], one["similarity"]) for one in pair["following"]]
            if pair["group"] == "nearest":
                assert told == [(uids[row], similarity[row]) for row in order[1 : 1 + NEXT]]
    assert NEXT < NEIGHBOURS


@pytest.mark.parametrize(("soft", "pairs"), [(0.5, 24), (0.9, 24), (0.3, 7), (0.95, 1)])
def test_no_pair_is_shown_twice(bare: World, tmp_path: Path, soft: float, pairs: int) -> None:
    """What is next to a level may be among the nearest; then those behind it are shown instead."""
    found = audit(bare, tmp_path, options=ReportOptions(soft=soft, pairs=pairs))["benchmarks"]
    for name, one in found.items():
        assert len({(pair["query"], pair["uid"]) for pair in one["pairs"]}) == len(one["pairs"])
        similarity = bare.similarity[name]
        best = {
            u: (q, s)
            for u, q, s in zip(bare.sets["pool"].uids, similarity.argmax(1), similarity.max(1), strict=True)
        }
        nearest = {(pair["query"], pair["uid"]) for pair in one["pairs"] if pair["group"] == "nearest"}
        remembered = sorted((s, u) for u, (_, s) in best.items() if s > soft)[: (pairs + 1) // 2 * 6 + pairs]
        others = [(s, u) for s, u in remembered if (best[u][0], u) not in nearest]
        cards: dict[int, list[tuple[float, str]]] = {}
        for s, u in others:
            cards.setdefault(best[u][0], []).append((s, u))
        above = [
            [(each["similarity"], each["uid"]) for each in (p, *p["following"])]
            for p in one["pairs"]
            if p["group"] == "above the threshold"
        ]
        assert above == [found[: 1 + NEXT] for found in list(cards.values())[: (pairs + 1) // 2]]


def test_rows_are_accounted_for(world: World, tmp_path: Path) -> None:
    content = audit(world, tmp_path)
    pool = content["rows"]["pool"]
    assert pool["failed"] == {"HTTP 404": 4}
    assert pool["quarantined"] == {"damaged image": 2, "nan": 1}
    assert (pool["listed"], pool["measured"]) == (SIZES["pool"] + 7, SIZES["pool"])
    for split in content["splits"].values():
        assert split["rows"] - sum(step["dropped"] for step in split["steps"]) == split["kept"]


def test_without_images_or_reference(bare: World, tmp_path: Path) -> None:
    content = audit(bare, tmp_path)
    for name in BENCHMARKS:
        found = content["benchmarks"][name]
        assert (
            found["reference"]
            is found["pool_minus_reference"]
            is found["pool"]["queries_above_reference"]
            is None
        )
        assert found["verdict"]["level"] == "hard"
        assert found["leakage"][0]["identical"]["checked"] == 0
        above = [pair for pair in found["pairs"] if pair["group"] == "above the threshold"]
        assert [pair["threshold"] for pair in above] == [0.95] * len(above)
        shown = {(pair["query"], pair["uid"]) for pair in found["pairs"] if pair["group"] == "nearest"}
        similarity = bare.similarity[name]
        closest = zip(
            similarity.argmax(axis=1).tolist(), bare.sets["pool"].uids, similarity.max(axis=1), strict=True
        )
        others = sorted(value for query, uid, value in closest if value > 0.95 and (query, uid) not in shown)
        assert len({pair["query"] for pair in above}) == len(above), "a query has one card"
        every = [one["similarity"] for pair in above for one in (pair, *pair["following"])]
        assert sorted(every) == others[: len(every)]
    page = (tmp_path / "report/report.html").read_text()
    assert "no image" in page
    assert "brings vectors instead of image files" in page
    assert "<img" not in page


def test_bytes_do_not_depend_on_parts_or_place(world: World, tmp_path: Path) -> None:
    names = [f"report/{name}" for name in FILES]
    first, second = Folder(tmp_path / "one"), Folder(tmp_path / "two words")
    build_report(world.request, first)
    turned = replace(
        world.request,
        measures=tuple(replace(one, parts=tuple(reversed(one.parts))) for one in world.request.measures),
        benchmarks=tuple(
            replace(one, similarity=tuple(reversed(one.similarity))) for one in world.request.benchmarks
        ),
        pool=replace(world.request.pool, samples=tuple(reversed(world.request.pool.samples))),
    )
    build_report(turned, second)
    for name in names:
        assert first.file(name).read_bytes() == second.file(name).read_bytes()
    assert str(world.out) not in first.file(names[1]).read_text()


def test_repeated_rows_take_no_part(world: World, tmp_path: Path) -> None:
    row, _, _ = min(IDENTICAL)
    table = read_parquet(world.out / layout.samples("pool", 0)).slice(row, 1)
    repeated = table.select(["part", "row", "uid"])
    path = world.out / layout.duplicates("pool")
    path.unlink(missing_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_parquet(path, repeated, repeated.schema)
    pool = replace(world.request.pool, duplicates=layout.duplicates("pool"))
    content = audit(world, tmp_path, pool=pool)
    assert content["rows"]["pool"]["repeated"] == 1
    assert content["benchmarks"]["photo"]["leakage"][0]["identical"]["queries"] == 1


def test_how_near_each_query_comes_is_read_without_a_report(world: World) -> None:
    found = {
        files.name: nearest_similarities(world.out / files.neighbours, SIZES[files.name])
        for files in world.request.benchmarks
    }
    for benchmark in BENCHMARKS:
        assert found[benchmark].tolist() == nearest(world, benchmark).tolist()
    failed = exceeded(fail_above("0.99:0.05"), found)
    assert [(f.benchmark, f.above) for f in failed] == [
        ("photo", int((nearest(world, "photo") > 0.99).sum()))
    ]
    assert exceeded(fail_above("0.99:0.5"), found) == ()


def test_a_query_without_any_sample_is_nan(world: World, tmp_path: Path) -> None:
    table = read_parquet(world.out / layout.neighbours("photo"))
    write_parquet(tmp_path / "some.parquet", table.filter(pc.not_equal(table["query"], 7)), table.schema)
    found = nearest_similarities(tmp_path / "some.parquet", SIZES["photo"])
    assert np.flatnonzero(np.isnan(found)).tolist() == [7]


def test_the_scan_remembers_the_same_samples_for_any_batch_size(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = list(zip(*(one.similarity for one in world.request.benchmarks), strict=True))
    paths = [[world.out / path for path in part] for part in parts]
    assert len(paths) == 4
    whole = Scan(BENCHMARKS, (0.9,), None, 7).run(paths)
    monkeypatch.setattr("pipeline.report.scan.BATCH_ROWS", 11)
    pieces = Scan(BENCHMARKS, (0.9,), None, 7).run(paths)
    for name in BENCHMARKS:
        for side in ("nearest_over", "nearest_under"):
            one, other = getattr(whole[name], side), getattr(pieces[name], side)
            assert one.uid.tolist() == other.uid.tolist()
            assert one.distance.tolist() == other.distance.tolist()
        assert whole[name].similarity.tolist() == pieces[name].similarity.tolist()
