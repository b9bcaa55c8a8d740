"""The sets of a plan: names, encoders and the keys that a format has."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from indexes.errors import DataError, PlanError
from pipeline.documents.yaml_safe import Document, parse_yaml
from pipeline.plan import EncoderChoice, Plan, audit_plan, build_plan, check_sources, resolve
from pipeline.sets.source import Expect, Source

BASE = "name: laion400m-near-far\noutput: o\n"


def plan_of(text: str) -> Plan:
    return build_plan(parse_yaml(BASE + text, "p.yaml"))


def refusal(text: str) -> str:
    with pytest.raises(PlanError) as caught:
        plan_of(text)
    return str(caught.value)


def test_a_plan_may_have_a_pool_alone() -> None:
    plan = plan_of("pool: {path: p}")
    assert (plan.name, plan.benchmarks, plan.sources, plan.encoder_map()) == (
        "laion400m-near-far",
        {},
        {},
        {},
    )
    assert plan_of("pool: {path: p}\nbenchmarks: {}") == plan
    assert resolve(plan).written() == plan.written()
    assert list(plan.sources_by_place()) == ["pool"]


def test_a_rule_on_all_benchmarks_wants_one() -> None:
    said = refusal("pool: {path: p}\nsplits: {a: [{far: {keep: 1}}]}")
    assert "splits.a[0].far.to is 'all', but this plan has no benchmark. Add one under benchmarks" in said


@pytest.mark.parametrize("name", ["a", "A", "7", "laion-400.m_X", "x" * 64])
def test_names_of_letters_of_both_cases_digits_and_three_marks(name: str) -> None:
    text = f"pool: {{path: p}}\nbenchmarks: {{'{name}': {{path: b}}}}\nsplits: {{'{name}': []}}"
    plan = plan_of(text)
    assert (list(plan.benchmarks), list(plan.splits)) == ([name], [name])
    assert plan_of(text + f"\nencoders: {{'{name}': {{model: m}}}}").encoder_map() == {
        name: EncoderChoice(model="m")
    }


@pytest.mark.parametrize(
    "name", ["", ".", "..", "-a", "_a", ".a", "a/b", "a b", "é", "a\\n", "x" * 65, "No", "ON"]
)
@pytest.mark.parametrize("kind", ["benchmarks", "sources", "splits", "encoders"])
def test_what_is_no_name(kind: str, name: str) -> None:
    value = {"splits": "[]", "encoders": "{model: m}"}.get(kind, "{path: b}")
    said = refusal(f'pool: {{path: p}}\n{kind}: {{"{name}": {value}}}')
    assert "is not a name" in said or "cannot be a name" in said


@pytest.mark.parametrize(
    ("text", "place", "pair"),
    [
        ("benchmarks: {a: {path: b}, A: {path: b}}", "4:28", "benchmarks.A: 'a' and 'A'"),
        ("splits: {Core: [], core: []}", "4:20", "splits.core: 'Core' and 'core'"),
        ("encoders: {clip: {model: m}, CLIP: {model: n}}", "4:30", "encoders.CLIP: 'clip' and 'CLIP'"),
        ("benchmarks: {a: {path: b}}\nsources: {A: {path: b}}", "5:11", "sources.A: 'a' and 'A'"),
    ],
)
def test_names_that_differ_in_case_alone(text: str, place: str, pair: str) -> None:
    expected = f"p.yaml:{place}: {pair} differ in case alone; rename one"
    assert refusal(f"pool: {{path: p}}\n{text}") == expected


@pytest.mark.parametrize("name", ["pool", "reference", "all", "uid", "Pool"])
def test_a_source_is_not_called_as_another_set(name: str) -> None:
    assert f"sources.{name}: '{name}' cannot be a name here" in refusal(
        f"pool: {{path: p}}\nsources: {{{name}: {{path: s}}}}"
    )


def test_a_source_and_a_benchmark_have_different_names() -> None:
    said = refusal("pool: {path: p}\nbenchmarks: {a: {path: b}}\nsources: {a: {path: s}}")
    assert said.startswith("p.yaml:5:11: sources.a: 'a' is also the name of one of the benchmarks; choose")


def test_sources_are_sets_like_the_others(tmp_path: Path) -> None:
    plan = plan_of(
        "pool: {path: p}\nreference: {path: r}\nbenchmarks: {a.b: {path: b}}\n"
        "sources: {cc.12m: {path: s, manifest: imagenet_val, format: image-folder}}"
    )
    assert list(plan.sources_by_place()) == ["pool", "reference", "benchmarks.a.b", "sources.cc.12m"]
    found = resolve(plan).sources["cc.12m"]
    expect = Expect(
        samples=50_000,
        classes=1_000,
        per_class=50,
        labels="imagenet-1k",
        numbered="ILSVRC2012_val_########.JPEG",
    )
    assert (found.expect, found.dataset) == (expect, "imagenet_val")
    with pytest.raises(
        DataError, match=r"sources\.cc\.12m\.path: 's' does not exist.*--set sources\.cc\.12m\.path="
    ):
        check_sources(plan)
    said = refusal("pool: {path: p}\nsources: {cc.12m: {path: s, format: imagefolder}}")
    assert said.startswith("p.yaml:4:29: sources.cc.12m.format: unknown reader 'imagefolder'")


# Encoders


def test_the_single_encoder_is_called_clip_and_several_have_names() -> None:
    one = plan_of("pool: {path: p, encoder: clip}\nencoder: {model: m, pretrained: w}")
    assert one.encoder_map() == {"clip": EncoderChoice(model="m", pretrained="w")}
    two = plan_of(
        "pool: {path: p}\nencoders: {big: {model: m}, small: {model: n}}\nreference: {path: r, encoder: small}"
    )
    assert list(two.encoder_map()) == ["big", "small"]
    assert two.reference is not None
    assert (two.pool.encoder, two.reference.encoder) == (None, "small")
    assert build_plan(Document(two.written(), "again")) == two


def test_a_set_that_brings_its_vectors_may_say_whose_where_no_encoder_is_at_hand() -> None:
    plan = plan_of("pool: {path: p, encoder: b32}\nreference: {path: r, encoder: l14}")
    assert plan.reference is not None
    assert (plan.pool.encoder, plan.reference.encoder, plan.encoder_map()) == ("b32", "l14", {})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "encoder: {model: m}\nencoders: {a: {model: n}}",
            "4:1: encoder: encoder and encoders are both given; name all of them under encoders",
        ),
        (
            "encoders: {big: {model: m}}\nreference: {path: r, encoder: bigg}",
            "5:22: reference.encoder: unknown encoder 'bigg'; available: big. Did you mean 'big'?",
        ),
        (
            "encoder: {model: m}\nbenchmarks: {b: {path: r, encoder: big}}",
            "5:27: benchmarks.b.encoder: unknown encoder 'big'; available: clip.",
        ),
        (
            "encoders: {a: {modl: m}}",
            "4:16: encoders.a.modl: unknown key 'modl'; the keys here are: decoder, model, pre",
        ),
    ],
)
def test_encoders_that_do_not_go_together(text: str, said: str) -> None:
    assert f"p.yaml:{said}" in refusal(f"pool: {{path: p}}\n{text}")


# Keys of a format


@pytest.mark.parametrize(
    "pool",
    [
        "{path: p, format: datacomp, embedding: l14_img, text_embedding: l14_txt}",
        "{path: p, format: clip_retrieval, metadata: meta}",
        "{path: p, format: laion, embeddings: emb}",
        "{path: p, embeddings: emb}",
        "{path: p, format: image-folder, embedding: }",
    ],
)
def test_the_keys_that_a_format_has(pool: str) -> None:
    plan = plan_of(f"pool: {pool}")
    assert set(plan.pool.options) <= {"embedding", "text_embedding", "metadata", "embeddings"}
    again = build_plan(Document(plan.written(), "again"))
    assert (again.pool.options, again.written()) == (plan.pool.options, plan.written())


@pytest.mark.parametrize(
    ("pool", "place", "why"),
    [
        (
            "{path: p, format: image-folder, embedding: b32_img}",
            "3:39",
            "pool.embedding: unknown key 'embedding'; a set of format image-folder has the keys: class_file, "
            "classes, crop, dataset, duplicates, encoder, expect, follow_links, format, images, ingest, manifest, "
            "path. "
            "'embedding' is a key of: datacomp",
        ),
        (
            "{path: p, format: laion, embedding: x}",
            "3:32",
            "has the keys: dataset, duplicates, embeddings, enc",
        ),
        ("{path: p, format: datacomp, embeding: x}", "3:35", "Did you mean 'embedding'?"),
        (
            "{path: p, embeding: x}",
            "3:17",
            "pool.embeding: unknown key 'embeding'; the keys here are: class_file",
        ),
        ("{pth: p, format: laion}", "3:8", "pool.pth: unknown key 'pth'; a set of format laion has the keys"),
        ("{pth: p}", "3:1", "pool.path: the key 'path' is missing; add it"),
        ("{pth: p}", "3:8", "pool.pth: unknown key 'pth'; the keys here are: class_file"),
        (
            "{path: p, format: datacomp, embedding: 3}",
            "3:35",
            "pool.embedding: got 3, which is not text; quote it",
        ),
        (
            "{path: p, format: datacomp, embedding: ''}",
            "3:35",
            "pool.embedding: got ''; it should have at least 1",
        ),
        (
            "{path: p, format: laion, embeddings: [x]}",
            "3:32",
            "pool.embeddings: got ['x']; it should be a valid str",
        ),
    ],
)
def test_a_key_that_the_format_does_not_have_is_refused_with_its_place(
    pool: str, place: str, why: str
) -> None:
    lines = refusal(f"pool: {pool}").splitlines()
    assert any(line.startswith(f"p.yaml:{place}: ") and why in line for line in lines)


def test_keys_of_every_set_are_looked_at_and_so_are_those_of_code() -> None:
    for place in ("reference", "benchmarks.b", "sources.s"):
        first, _, name = place.partition(".")
        wrong = "{path: x, format: image-folder, metadata: m}"
        said = refusal(f"pool: {{path: p}}\n{first}: {f'{{{name}: {wrong}}}' if name else wrong}")
        assert f"{place}.metadata: unknown key 'metadata'" in said
    source = Source(path="b", format="image-folder", metadata="m")
    with pytest.raises(
        PlanError, match=re.escape("benchmarks.b.metadata: unknown key 'metadata'; a set of form")
    ):
        audit_plan({"path": "p"}, {"b": source}, "o")


def test_where_the_files_tell_the_format_a_key_that_it_lacks_is_refused_before_anything_is_read(
    tmp_path: Path,
) -> None:
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    plan = audit_plan({"path": str(tmp_path / "set"), "embedding": "b32_img"}, {}, "o")
    with pytest.raises(
        DataError,
        match=r"- pool\.embedding: unknown key 'embedding'; a set of format image-folder has the keys",
    ):
        check_sources(plan)
