"""Plans that tell domains apart: splits by domain, mixes, held-out domains, queries by domain."""

from __future__ import annotations

import csv
import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from small_sets import WIDTH, rows_of, write_part, write_plan, write_sets
from whole_runs import Run

from curation.kernels.heads.precision_levels import wilson_lower

PLANS = Path(__file__).parents[3] / "data_manifests" / "plans"
DOMAINS = ("photo", "art", "sketch")
PARTS, ROWS, LABELLED = 3, 200, 400
LABELS = "labels.csv"


def of_classes(setup: str, **more: Any) -> list[dict[str, Any]]:
    """Hold back classes 0 and 1 of sketches."""
    return [
        {"domain-holdout": {"setup": setup, "out": "sketch", "by": "width % 4", "classes": [0, 1]} | more}
    ]


SPLITS: dict[str, Any] = {
    "natural": [{"domain": {"take": ["photo"]}}],
    "rendition": [{"domain": {"take": ["art", "sketch"]}}],
    "ambiguous": [{"domain": {"take": ["ambiguous"]}}],
    "mixed": [{"domain": {"mix": {"photo": 2, "sketch": 1}, "keep": 32}}],
    "natural_only": [{"domain-holdout": {"setup": "natural-only", "natural": ["photo"]}}],
    "leave_out": [{"domain-holdout": {"setup": "leave-out", "out": "sketch"}}],
    "low": of_classes("low-diversity", natural=["photo"]),
    "high": of_classes("high-diversity"),
}


def drawn(seed: int, rows: int) -> tuple[np.ndarray, list[str]]:
    """Vectors of three domains that overlap a little, and which each is of."""
    rng = np.random.default_rng(seed)
    centres = 1.6 * np.random.default_rng(7).standard_normal((len(DOMAINS), WIDTH))
    of = rng.integers(0, len(DOMAINS), rows)
    wide = centres[of] + rng.standard_normal((rows, WIDTH)) * 1.2
    vectors = (wide / np.linalg.norm(wide, axis=1, keepdims=True)).astype(np.float16)
    return vectors, [DOMAINS[n] for n in of]


def write_world(folder: Path) -> dict[str, str]:
    """Sets, and labels for most of the pool; gives the domain of each key."""
    write_sets(folder)
    known: dict[str, str] = {}
    for part in range(PARTS):
        vectors, of = drawn(part, ROWS)
        if part == 1:
            vectors[3] = np.nan
        rows = rows_of("p", part * ROWS, ROWS)
        write_part(folder / "pool", part, vectors, rows)
        known |= {row["image_path"]: domain for row, domain in zip(rows, of, strict=True)}
    write_part(folder / "one", 0, drawn(50, 30)[0], rows_of("q", 0, 30))
    write_labels(folder / LABELS, known)
    return known


def write_labels(path: Path, known: dict[str, str], rows: int = LABELLED) -> None:
    named = [key for key in sorted(known) if key != f"p{ROWS + 3:06d}"][:rows]
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([("key", "domain"), *((key, known[key]) for key in named)])


def domain_plan(folder: Path, **options: Any) -> dict[str, Any]:
    measure = {"labels": str(folder / LABELS), "precision": 0.8, "benchmarks": ["one"]} | options
    source = {"path": str(folder / "one"), "format": "clip-retrieval"}
    return {
        "splits": SPLITS,
        "measures": {"domain": measure},
        "benchmarks": {"one": source},
        "reference": None,
    }


def table(folder: Path) -> pa.Table:
    return pa.concat_tables([pq.read_table(file) for file in sorted(folder.glob("part-*"))])


def taken(out: Path) -> dict[str, dict[str, Any]]:
    """What the measure says, by key."""
    keys = dict(
        zip(*(table(out / "samples/pool").column(c).to_pylist() for c in ("uid", "key")), strict=True)
    )
    return {keys[row["uid"]]: row for row in table(out / "measures/domain").to_pylist()}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    folder = tmp_path_factory.mktemp("domains")
    return folder, write_world(folder)


def test_splits_by_domain_share_out_the_pool(world: tuple[Path, dict[str, str]], cli: Run) -> None:
    folder, known = world
    code, _, errors = cli("run", str(write_plan(folder, **domain_plan(folder))))
    assert code == 0, errors
    out = folder / "out"
    found = taken(out)
    assert found.pop(f"p{ROWS + 3:06d}")["taken"] is None
    for row in found.values():
        shares = row["probability"]
        assert list(shares) == sorted(DOMAINS)
        assert abs(sum(shares.values()) - 1) < 1e-12
        assert row["domain"] == max(shares, key=shares.__getitem__)
        assert row["taken"] in (row["domain"], "ambiguous")
    lowest = {of: min(r["probability"][of] for r in found.values() if r["taken"] == of) for of in DOMAINS}
    for row in found.values():
        assert (row["taken"] == "ambiguous") == (row["probability"][row["domain"]] < lowest[row["domain"]])
    kept = {name: set(table(out / "splits" / name).column("key").to_pylist()) for name in SPLITS}
    three = [kept[name] for name in ("natural", "rendition", "ambiguous")]
    assert sum(map(len, three)) == len(set.union(*three)) == len(found)
    assert all(three)
    right = sum(known[key] == "photo" for key in kept["natural"])
    assert right / len(kept["natural"]) >= 0.8
    check_others(found, kept)
    queries = table(out / "queries/domain/one")
    assert queries.column_names == ["query", "query_key", "domain", "probability", "taken"]
    assert queries.column("query_key").to_pylist() == [f"q{n:06d}" for n in range(30)]
    assert set(queries.column("taken").to_pylist()) <= {*DOMAINS, "ambiguous"}
    truth = drawn(50, 30)[1]
    assert (
        np.mean([said == of for said, of in zip(queries.column("domain").to_pylist(), truth, strict=True)])
        > 0.8
    )
    check_section(out, found, kept)
    assert cli("verify", str(out))[0] == 0


def check_section(out: Path, found: dict[str, dict[str, Any]], kept: dict[str, set[str]]) -> None:
    """The report says what held-out labels prove, and counts domains before and after each split."""
    told = json.loads((out / "report/audit.json").read_text())["sections"]["domain_shares"]["numbers"][
        "domain"
    ]
    for name, row in told["proof"].items():
        assert row["learned"] + row["held"] == pytest.approx(LABELLED / 3, rel=0.3)
        assert row["bound"] == pytest.approx(wilson_lower(row["held_right"], row["held_taken"]), rel=1e-8)
        assert row["bound"] >= told["precision"] == 0.8
        least = min(each["probability"][name] for each in found.values() if each["taken"] == name)
        assert least >= row["threshold"] - 1e-8
    assert sum(row["learned"] + row["held"] for row in told["proof"].values()) == LABELLED
    for split, keys in {"pool": set(found), **kept}.items():
        counted = Counter(found[key]["taken"] for key in keys)
        assert {name: n for name, n in told["taken"][split].items() if n} == dict(counted)


def check_others(found: dict[str, dict[str, Any]], kept: dict[str, set[str]]) -> None:
    of = {key: row["taken"] for key, row in found.items()}
    seen = {key: int(key[1:]) % 4 > 1 for key in of}
    counted = {name: [of[key] for key in kept["mixed"]].count(name) for name in DOMAINS}
    fits = min(32 // 3, list(of.values()).count("photo") // 2, list(of.values()).count("sketch"))
    assert counted == {"photo": 2 * fits, "art": 0, "sketch": fits}
    assert fits > 5
    assert kept["natural_only"] == kept["natural"]
    assert kept["leave_out"] == {key for key in of if of[key] in ("photo", "art")}
    low = {key for key in of if of[key] == "photo" or (of[key] == "sketch" and seen[key])}
    assert kept["low"] == low
    assert kept["high"] == kept["leave_out"] | low
    assert low - kept["natural"]


def test_neither_parts_nor_a_further_benchmark_change_what_was_learned(
    world: tuple[Path, dict[str, str]], cli: Run, tmp_path: Path
) -> None:
    folder, _ = world
    plan = domain_plan(folder, benchmarks=[]) | {"splits": {"natural": SPLITS["natural"]}}
    changes = {"output": str(tmp_path / "out"), "engine": {"unit_rows": 10_000}}
    assert cli("run", str(write_plan(folder, **(plan | changes))))[0] == 0
    models = {at: np.load(at / "out/internal/models/domain.npz") for at in (folder, tmp_path)}
    for name in models[folder].files:
        np.testing.assert_array_equal(models[folder][name], models[tmp_path][name])
    assert taken(folder / "out") == taken(tmp_path / "out")
    learned = tmp_path / "out/internal/models/domain.npz"
    before = learned.stat().st_mtime_ns
    assert cli("run", str(write_plan(folder, **(domain_plan(folder) | changes))))[0] == 0
    assert learned.stat().st_mtime_ns == before
    assert (tmp_path / "out/queries/domain/one").is_dir()


@pytest.mark.parametrize("way", ["centroid", "prototype"])
def test_plain_ways_are_had_by_name(
    world: tuple[Path, dict[str, str]], cli: Run, tmp_path: Path, way: str
) -> None:
    folder, known = world
    plan = domain_plan(folder, by=way) | {"output": str(tmp_path / "out")}
    code, _, errors = cli("run", str(write_plan(folder, **plan)))
    assert code == 0, errors
    found = taken(tmp_path / "out")
    said = [row["domain"] == known[key] for key, row in found.items() if row["domain"]]
    assert np.mean(said) > 0.8


def test_the_shipped_plan_shares_out_a_small_pool(
    world: tuple[Path, dict[str, str]], cli: Run, tmp_path: Path
) -> None:
    folder, known = world
    text = (PLANS / "laion_domains.yaml").read_text(encoding="utf-8")
    plan = yaml.safe_load(text)
    labels = tmp_path / "labels.csv"
    named = {key: "natural" if of == "photo" else "rendition" for key, of in known.items()}
    write_labels(labels, named)
    plan["measures"]["domain"] |= {"labels": str(labels), "precision": 0.8}
    one = {name: {"path": str(folder / "one"), "format": "clip-retrieval"} for name in plan["benchmarks"]}
    keys = {key: plan[key] for key in ("measures", "splits", "audit")}
    changes = {"benchmarks": one, "reference": None, "output": str(tmp_path / "out")}
    code, _, errors = cli("run", str(write_plan(folder, **keys, **changes)))
    assert code == 0, errors
    out = tmp_path / "out"
    kept = {name: set(table(out / "splits" / name).column("key").to_pylist()) for name in plan["splits"]}
    three = [kept[name] for name in ("natural", "rendition", "ambiguous")]
    assert sum(map(len, three)) == len(set.union(*three)) == PARTS * ROWS - 1
    assert kept["natural_like_rendition"] <= kept["natural"]
    assert len(kept["random_like_rendition"]) == len(kept["rendition"])
    for name, parts in (("mix_1_1", (1, 1)), ("mix_3_1", (3, 1)), ("mix_1_3", (1, 3))):
        fits = min(len(kept[of]) // part for of, part in zip(("natural", "rendition"), parts, strict=True))
        counted = [len(kept[name] & kept[of]) for of in ("natural", "rendition")]
        assert counted == [fits * part for part in parts]
    assert (
        kept["without_renditions"] == kept["natural"] == kept["natural_only"] == kept["leave_out_rendition"]
    )
    assert (
        kept["natural"]
        <= kept["low_diversity"]
        == kept["high_diversity"]
        <= kept["natural"] | kept["rendition"]
    )
    for name in plan["benchmarks"]:
        assert table(out / "queries/domain" / name).num_rows == 30
    assert (out / "spectra/summary.parquet").is_file()
