"""A tagger's table beside a pool: joined by uid or key, each of its rows counted once, and read as classes are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
import yaml
from whole_runs import Run

CAPTIONS = ["a dog", "a cat", "dog and cat", "a bird", None, "a dog again"]
SHARDS = (("0", "1", "2"), ("3", "4", "4"))
PAIRS: list[tuple[str | None, str | None, Any]] = [
    ("0", "dog", 0.9),
    ("0", "dog", 0.95),  # said again, and surer
    ("0", "cat", 0.7),  # not above the level
    ("1", "Great_Dane", 0.8),
    ("1", "lamp", 0.99),  # no class of the list
    ("2", "cat", 0.71),
    ("3", "bird", 0.1),
    ("4", "dog", 0.9),  # two samples have this key
    ("9", "dog", 0.9),  # no sample has this one
    ("2", "dog", float("nan")),
    ("2", "dog", -0.1),
    ("2", "dog", 1.5),
    ("2", "dog", None),
    (None, "dog", 0.9),
    ("2", " ", 0.9),
]
COUNTS = {
    "rows": 15,
    "incomplete": 2,
    "improbable": 4,
    "unknown": 1,
    "ambiguous": 1,
    "doubled": 1,
    "pairs": 6,
}


@pytest.fixture
def pool(tmp_path: Path) -> Path:
    """Two shards of metadata, in which a key stands twice."""
    (tmp_path / "pool").mkdir()
    for number, keys in enumerate(SHARDS):
        at = 3 * number
        columns = {
            "url": [f"http://x.test/{at + n}" for n in range(3)],
            "caption": pa.array(CAPTIONS[at : at + 3], pa.string()),
            "key": list(keys),
        }
        pq.write_table(pa.table(columns), tmp_path / "pool" / f"part-{number:05d}.parquet")
    (tmp_path / "names.json").write_text(json.dumps([["dog", "great dane"], "cat", "bird"]))
    return tmp_path


def pairs_table(pairs: list[tuple[str | None, str | None, Any]], by: str = "key") -> pa.Table:
    names, tags, sure = (list(column) for column in zip(*pairs, strict=True))
    return pa.table(
        {
            by: pa.array(names, pa.string()),
            "tag": pa.array(tags, pa.string()),
            "probability": pa.array(sure, pa.float64(), from_pandas=False),
        }
    )


def write_pairs(path: Path, table: pa.Table) -> Path:
    """Write a table in the form that its ending says."""
    if path.suffix == ".parquet":
        pq.write_table(table, path)
    elif path.suffix == ".csv":
        pa.csv.write_csv(table, path)
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in table.to_pylist()))
    return path


def run_plan(cli: Run, folder: Path, table: Path, out: str = "out", **options: Any) -> Path:
    plan = {
        "name": "tags",
        "pool": {"path": str(folder / "pool")},
        "measures": {
            "classes": {"matcher": "whole_word", "names": str(folder / "names.json")},
            "tags": {"table": str(table), "names": str(folder / "names.json"), "both": "classes"} | options,
        },
        "splits": {
            "seen": [{"class-match": {"by": "tags.found"}}],
            "cats": [{"class-match": {"by": "tags.both", "only": [1]}}],
            "sure": [{"where": "list_contains(tags.tags, 'lamp')"}],
        },
        "engine": {"unit_rows": 1},
        "output": str(folder / out),
    }
    path = folder / "plan.yaml"
    path.write_text(yaml.safe_dump(plan, sort_keys=False))
    code, said, errors = cli("run", str(path))
    assert code == 0, errors
    assert "the table of tags: of " in said
    return folder / out


def measured(out: Path) -> dict[str, dict[str, Any]]:
    """What the measure says of each sample, by the end of its link."""
    samples = [pq.read_table(path) for path in sorted((out / "samples" / "pool").iterdir())]
    tags = [pq.read_table(path) for path in sorted((out / "measures" / "tags").iterdir())]
    rows = zip(pa.concat_tables(samples).to_pylist(), pa.concat_tables(tags).to_pylist(), strict=True)
    return {sample["url"].rpartition("/")[2]: row for sample, row in rows if sample["uid"] == row.pop("uid")}


def kept(out: Path, split: str) -> list[str]:
    tables = [pq.read_table(path) for path in sorted((out / "splits" / split).glob("part-*"))]
    return sorted(url.rpartition("/")[2] for url in pa.concat_tables(tables).column("url").to_pylist())


@pytest.mark.parametrize("ending", ["parquet", "csv", "jsonl"])
def test_each_row_of_a_table_is_counted_once(cli: Run, pool: Path, ending: str) -> None:
    out = run_plan(cli, pool, write_pairs(pool / f"tags.{ending}", pairs_table(PAIRS)))
    found = measured(out)
    assert found["0"] == {"tags": ["dog"], "probabilities": [0.95], "found": [0], "single": 0, "both": [0]}
    assert found["1"]["tags"] == ["Great_Dane", "lamp"]
    assert (found["1"]["found"], found["1"]["both"]) == ([0], [])
    assert (found["2"]["found"], found["2"]["both"]) == ([1], [1])
    assert found["3"] == {"tags": [], "probabilities": [], "found": [], "single": None, "both": []}
    assert found["4"] == found["5"] == dict.fromkeys(found["0"])
    assert {split: kept(out, split) for split in ("seen", "cats", "sure")} == {
        "seen": ["0", "1", "2"],
        "cats": ["2"],
        "sure": ["1"],
    }
    audit = json.loads((out / "report" / "audit.json").read_text())
    assert audit["provenance"]["tables"]["tags"] == COUNTS
    rows = audit["sections"]["tagged"]["numbers"]["tags"]["rows"]
    assert rows.pop("rows") == sum(rows.values()) == len(PAIRS)
    assert (rows["taken"], rows["not_above"]) == (4, 2)
    frequency = audit["sections"]["class_frequency"]["numbers"]
    assert [frequency[name]["sets"]["pool"]["counts"] for name in ("classes", "tags", "tags.both")] == [
        [3, 2, 1],
        [2, 1, 0],
        [1, 1, 0],
    ]
    apart = audit["sections"]["frequency_accuracy"]["numbers"]["misalignment"]["classes"]["tags.found"]
    assert (apart["misaligned"], apart["tagged_by_text"], apart["tagged_by_image"]) == (1, 5, 3)


def test_by_uid_in_any_order_in_either_form_of_a_uid(cli: Run, pool: Path) -> None:
    """Unlike a key, a uid is one sample's; capital letters and dashes are read. Another table is another join."""
    first = run_plan(cli, pool, write_pairs(pool / "tags.csv", pairs_table(PAIRS)))
    uids = {
        url.rpartition("/")[2]: uid
        for path in (first / "samples" / "pool").iterdir()
        for url, uid in zip(*pq.read_table(path, columns=["url", "uid"]).to_pydict().values(), strict=True)
    }
    named = [(uids.get(name or "", "no uid"), tag, sure) for name, tag, sure in reversed(PAIRS)]
    shown = [
        (f"{n[:8]}-{n[8:12]}-{n[12:16]}-{n[16:20]}-{n[20:]}".upper() if len(n) == 32 else n, tag, sure)
        for n, tag, sure in named
    ]
    out = run_plan(cli, pool, write_pairs(pool / "other.parquet", pairs_table(shown, "uid")))
    assert measured(out)["0"]["probabilities"] == [0.95]
    assert measured(out)["4"]["tags"] == ["dog"]
    assert measured(out)["5"]["tags"] is None
    audit = json.loads((out / "report" / "audit.json").read_text())
    told = audit["provenance"]["tables"]["tags"]
    assert (told["ambiguous"], told["unknown"], told["pairs"]) == (0, 2, 7)


def test_another_level_costs_no_join(cli: Run, pool: Path) -> None:
    table = write_pairs(pool / "tags.csv", pairs_table(PAIRS))
    out = run_plan(cli, pool, table)
    [record] = (out / "commits" / "tell").glob("*.json")
    before = record.stat().st_mtime_ns
    run_plan(cli, pool, table, above=0.05)
    assert record.stat().st_mtime_ns == before
    assert measured(out)["3"]["tags"] == ["bird"]
    write_pairs(table, pairs_table([("3", "cat", 0.9), ("0", None, 1.0)]))
    run_plan(cli, pool, table, above=0.05)
    assert {name: row["tags"] for name, row in measured(out).items() if row["tags"]} == {"3": ["cat"]}


def test_a_table_without_probabilities_is_sure(cli: Run, pool: Path) -> None:
    (pool / "tags.tsv").write_text("key\ttag\n0\tdog\n9\tcat\n")
    out = run_plan(cli, pool, pool / "tags.tsv")
    assert measured(out)["0"]["probabilities"] == [1.0]
