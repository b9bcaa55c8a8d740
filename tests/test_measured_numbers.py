"""The numbers that README claims of speed are those that the benchmarks wrote down."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from readme_examples import README, ROOT


def measured(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((ROOT / "benchmarks" / f"{name}.json").read_text())
    return found


def claims() -> dict[str, list[float]]:
    """The numbers of each row of README's tables of what was measured, by what the row is of."""
    text = README[README.index("## Measured") :].partition("\n## ")[0]
    rows = [row.split("|")[1:3] for row in text.splitlines() if row.startswith("| ")]
    return {
        what.strip(): [float(n.replace(",", "")) for n in re.findall(r"\d[\d.,]*", told)]
        for what, told in rows
    }


def row(of: str) -> list[float]:
    (found,) = (numbers for what, numbers in claims().items() if what.startswith(of))
    return found


def test_what_adds_up() -> None:
    found = measured("adding_up")
    again, more = found["again_seconds"], found["one_more_split_seconds"]
    assert row("a finished run of 2,000,000 rows") == pytest.approx([again, more], abs=0.051)
    assert row("one more benchmark on it") == [found["ratio"]]
    assert row("captions alone, 50,000 rows") == pytest.approx([found["captions_50000_seconds"]], abs=0.051)


def test_many_shards() -> None:
    found = measured("shards")
    assert (found["shards"], found["rows"], found["splits"]) == (3000, 10, 30)
    told = [found[name] for name in ("first_seconds", "files", "again_seconds")]
    assert row("3,000 shards of 10 rows") == pytest.approx(told, abs=0.051)


@pytest.mark.parametrize(
    ("of", "ratios"),
    [
        ("200,000 × 512 pool, 40,000 queries", [("in_memory", 0, "nearfar_to_faiss")]),
        (
            "the same with 5,000 / 200,000 queries",
            [("shapes", 0, "nearfar_to_faiss"), ("shapes", 1, "nearfar_to_faiss")],
        ),
        ("the same 640 / 768 / 1024 wide", [("shapes", at, "nearfar_to_faiss") for at in (2, 3, 4)]),
        (
            "without the bfloat16 unit",
            [("in_memory", 0, "nearfar_float32_to_faiss"), ("shapes", 0, "nearfar_float32_to_faiss")],
        ),
    ],
)
def test_search(of: str, ratios: list[tuple[str, int, str]]) -> None:
    found = measured("search")
    told = row(of)
    for claim, (part, at, name) in zip(told, ratios, strict=False):
        assert claim == pytest.approx(found[part][at][name], abs=0.051), (of, name)
    assert row("both engines limited to AVX2") == [round(found["avx2"]["nearfar_to_faiss"], 1)]
    assert f"On one machine with {['', '', 'two', '', 'four'][found['machine']['cores']]} " in README


def test_matchers_of_classes() -> None:
    found = measured("classes")
    text = README[README.index("On one core, over captions of the web") :].partition("\n\n")[0]
    numbers = [float(n) for n in re.findall(r"(\d+)\s(?:times|µs)", text)]
    assert numbers == pytest.approx(
        [
            found["laionet"]["ratio_on_one_core"],
            found["frequency"]["ratio_on_one_core"],
            1e6 / found["metaclip"]["on_one_core"],
        ],
        rel=0.03,
    )


def test_groups_of_samples() -> None:
    found = measured("dedup")
    levels = ("at_least_0.876", "at_least_0.8", "every")
    for of, data in (("near-duplicates in 500 clusters", "isotropic"), ("the same in clusters", "spectrum")):
        assert row(of) == pytest.approx([found[data]["torch_to"][level] for level in levels], abs=0.051)
    assert (found["clusters"], found["rows"], found["width"], found["threads"]) == (500, 1000, 512, 1)
    found = measured("kmeans")
    together = [
        found[f"{data}-spherical"]["together"]["wall"]["to_faiss"] for data in ("isotropic", "spectrum")
    ]
    assert row("k-means, 10,000 centroids") == pytest.approx(together, abs=0.051)
    assert (found["centroids"], found["rows"], found["width"]) == (10_000, 1_000_000, 512)


def test_bytes_in() -> None:
    found = measured("norm_sim")
    ratios = [found["shared"]["of_engine"], found["apart"]["of_engine"]]
    assert row("NormSim-∞ to 10,000 images, 512 wide") == ratios
    rows = measured("embed")["rows"]
    assert row("`embed` from tars, ViT-B/32 in float32") == [rows["of_forward"]["ratio"]]
    assert row("`embed`, a small model") == [rows["decode_bound"]["ratio"]]
    assert row("`embed`, ViT-B/32 in bfloat16") == [rows["of_a_loop"]["ratio"]]
    assert row("`ingest` of 2,000 images") == [measured("ingest")["ratio"]]


def test_exported_bytes() -> None:
    found = measured("export")
    ratios = [found["of_a_durable_copy"], found["of_a_durable_copy_once_started"]]
    assert row("`export` of 944 MB") == ratios
