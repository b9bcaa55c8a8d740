from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

import curation.measures
import curation.rules
from pipeline import readers
from pipeline.documents.yaml_safe import load_yaml, parse_yaml
from pipeline.plan import build_plan, plan_schema, schema_text

PLANS = sorted((Path(__file__).parents[3] / "data_manifests" / "plans").glob("*.yaml"))
BASE = "{name: a-B.c, pool: {path: p}, benchmarks: {b: {path: b}}, output: o"


def problems(text: str) -> list[str]:
    validator = jsonschema.Draft202012Validator(plan_schema())
    return [error.message for error in validator.iter_errors(parse_yaml(text, "p").value)]


def test_the_text_is_the_schema_and_the_same_every_time() -> None:
    assert json.loads(schema_text()) == plan_schema()
    assert schema_text() == schema_text()
    assert schema_text().endswith("}\n")


def test_the_schema_is_one_and_has_every_rule() -> None:
    schema = plan_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    rules = [name for part in schema["$defs"]["rule"]["oneOf"] for name in part["properties"]]
    assert rules == sorted(curation.rules.names())
    # similarity is each benchmark's by itself; a plan does not name it
    asked = set(curation.measures.names()) - {"similarity"}
    measures = schema["properties"]["measures"]
    assert {name.replace("_", "-") for name in measures["properties"]} == asked
    aliases = {
        part["properties"]["measure"]["enum"][0]: part for part in measures["additionalProperties"]["anyOf"]
    }
    assert set(aliases) == asked
    for name in asked:
        options = set(curation.measures.measure_schemas()[name].get("properties", {}))
        for part in (measures["properties"][name]["anyOf"][0], aliases[name]):
            assert set(part["properties"]) == {"measure", *options}
    keys = schema["$defs"]["Source"]["properties"]
    for name in readers.names():
        for key, field in readers.options_of(name).model_fields.items():
            assert field.description
            assert keys[key]["description"] == f"{name}: {field.description}"
    assert "$defs" not in json.dumps(schema["$defs"]).replace("#/$defs/", "")


@pytest.mark.parametrize("path", PLANS, ids=lambda path: path.stem)
def test_every_shipped_plan_is_valid(path: Path) -> None:
    assert problems(path.read_text(encoding="utf-8")) == []
    value: Any = load_yaml(path).value
    assert value["splits"]


@pytest.mark.parametrize(
    "splits",
    [
        "a: [{near: {to: all}}]",
        "a: [{near: {to: [b], threshold: 0.9}}, {random: {keep: 3, seed: 1}}]",
        "a: {from: {minus: [b, c]}, rules: [{where: 'x > 3'}]}, b: [], c: {from: b}",
        "a: [{far: {keep: 10, combine: quota}}]",
        "laion-400.m_X: [{random: {keep: 1}}]",
    ],
)
def test_good_splits_are_valid(splits: str) -> None:
    assert problems(f"{BASE}, splits: {{{splits}}}}}") == []


@pytest.mark.parametrize(
    "rest",
    [
        "measures: {clusters: {k: 10}, captions: }",
        "measures: {clip-score: {column: similarity}}",
        "measures: {coarse: {measure: clusters, k: 10}, score: {measure: clip_score, column: similarity}}",
        "measures: {clusters: {measure: clusters, k: 10}}",
        "measures: ",
        "encoders: {clip: {model: ViT-B-32}, local: {model: folder/config.json, pretrained: w.safetensors}}",
        "encoder: {model: ViT-B-32}, reference: {path: r, encoder: clip}",
        "sources: {cc12m: {path: c, format: datacomp, embedding: l14_img, text_embedding: l14_txt}}",
        "sources: {web: {path: c, format: laion, embeddings: emb}, mine: {path: d, metadata: meta}}",
        "engine: {backend: faiss-ivf, options: {lists: 10}}",
    ],
)
def test_everything_else_that_a_plan_may_say_is_valid(rest: str) -> None:
    assert problems(f"{BASE}, {rest}}}") == []
    build_plan(parse_yaml(f"{BASE}, {rest}}}", "p"))


@pytest.mark.parametrize(
    "rest",
    [
        "splits: {a: [{neer: {to: all}}]}",
        "splits: {a: [{near: {too: all}}]}",
        "splits: {a: [{near: {to: all}, far: {keep: 1}}]}",
        "splits: {a: [near]}",
        "splits: {a b: []}",
        "splits: {../a: []}",
        "measures: {clusters: {kk: 10}}",
        "measures: {coarse: {k: 10}}",
        "measures: {coarse: {measure: clusters}}",
        "measures: {coarse: {measure: clusters, k: 10, kk: 1}}",
        "measures: {captions: {measure: clusters, k: 10}}",
        "measures: {similarity: {benchmark: b}}",
        "measures: [clusters]",
        "encoders: {clip: {pretrained: x}}",
        "sources: {cc12m: {path: c, embeding: l14_img}}",
        "splits: {a: {rules: []}}",
        "splits: {a: {from: {minus: [b]}}}",
        "splits: {a: [{far: {keep: ten}}]}",
        "extra: 1",
        "neighbours: 0",
        "pool: 3",
    ],
)
def test_an_editor_is_told_of_what_is_wrong(rest: str) -> None:
    text = BASE.replace("pool: {path: p}, ", "") if rest.startswith("pool") else BASE
    assert problems(f"{text}, {rest}}}")
