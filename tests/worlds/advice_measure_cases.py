"""Further situations that are answered with advice: what measures, rules by class and audits bring about."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from advice_cases import TINY, WEIGHTS, World, case
from small_sets import WIDTH, unit
from small_wordnet import small_wordnet


def _names(w: World, *classes: str) -> str:
    """Write a class list."""
    path = w.folder / f"{'_'.join(classes)}.json"
    path.write_text(json.dumps([[name] for name in classes]))
    return str(path)


def _head(w: World, rows: int, width: int = WIDTH) -> str:
    path = w.folder / "head.npy"
    np.save(path, unit(5, rows, width))
    return str(path)


def _compare(w: World, **options: Any) -> None:
    """Compare the pool's images with two classes, by a head unless told otherwise."""
    given = {"of": "image", "by": "none", "best": True, "names": _names(w, "cat", "dog")}
    told = {name: value for name, value in (given | options).items() if value is not None}
    w.plan["measures"] = {"class_similarity": told}


def _classed(w: World, *rules: dict[str, Any]) -> None:
    """Find one class, which every caption names."""
    w.plan["measures"] = {"classes": {"matcher": "substring", "names": _names(w, "caption")}}
    w.rule(*rules)


@case
def a_template_without_a_slot(w: World) -> Iterator[str]:
    w.images()
    _compare(w, template="a photo")
    yield "so that all classes would have one text; write {}"
    _compare(w, template=f"a photo of a {w.said.split('; write ')[1].split(' ')[0]}")


@case
def a_definition_that_a_list_has_not(w: World) -> Iterator[str]:
    w.images()
    _compare(w)
    yield 'write a template with {} alone: "a photo of a {}"'
    _compare(w, template=w.said.split('alone: "')[1].split('"')[0])


@case
def a_comparison_that_says_nothing(w: World) -> Iterator[str]:
    _compare(w, head=_head(w, 2), best=False)
    yield "so there is nothing to say; give one"
    _compare(w, head=_head(w, 2), best=True)


@case
def a_head_that_is_not_there(w: World) -> Iterator[str]:
    _compare(w, head=str(w.folder / "nowhere.npy"))
    yield "give the path of a text head, a file in {}"
    _compare(w, head=_head(w, 2))


@case
def a_head_of_as_many_classes_as_numbers(w: World) -> Iterator[str]:
    _compare(w, head=_head(w, 2, 2))
    yield "Give names with another number of classes, or another head"
    _compare(w, head=_head(w, 2))


@case
def a_head_of_another_encoder(w: World) -> Iterator[str]:
    _compare(w, head=_head(w, 2, 3 * WIDTH))
    yield "Give a head, or an encoder, of the one that made {}'s"
    _compare(w, head=_head(w, 2))


@case
def texts_that_nothing_embeds(w: World) -> Iterator[str]:
    _compare(w, template="a {name}")
    yield "the one that made the pool's embeddings, or give the texts' vectors as a file under head"
    _compare(w, head=_head(w, 2))


@case
def classes_of_two_lists(w: World) -> Iterator[str]:
    _classed(w)
    theirs = w.plan["measures"]["classes"]
    _compare(w, by="classes", head=_head(w, 2))
    w.plan["measures"]["classes"] = theirs
    yield "give both the same names"
    theirs["names"] = w.plan["measures"]["class_similarity"]["names"]


@case
def a_class_twice(w: World) -> Iterator[str]:
    _classed(w)
    path = Path(w.plan["measures"]["classes"]["names"])
    path.write_text('{"n1": ["caption"], "n1": ["dog"]}')
    yield "twice; name each once"
    path.write_text('{"n1": ["caption", "dog"]}')


@case
def classes_that_wordnet_does_not_know(w: World) -> Iterator[str]:
    (w.folder / "wordnet").mkdir()
    w.setenv("NEARFAR_WORDNET", str(small_wordnet(w.folder / "wordnet")))
    w.plan["measures"] = {"classes": {"matcher": "text_based", "names": _names(w, "goldfish")}}
    w.rule({"class-match": {}})
    yield "take names: imagenet-21k, or a JSON object by id"
    path = w.folder / "by_id.json"
    path.write_text(w.said.split("a JSON object by id, ")[1].splitlines()[0].strip())
    w.plan["measures"]["classes"]["names"] = str(path)


@case
def a_balance_of_nothing(w: World) -> Iterator[str]:
    _classed(w, {"class-balance": {"counts": {"caption": 0}}})
    yield "ask for 1 or more of one"
    w.rule({"class-balance": {"counts": {"caption": 1}}})


@case
def a_strict_size_that_is_not_there(w: World) -> Iterator[str]:
    _classed(w, {"class-subset": {"keep": 500, "strict": True}})
    yield "Ask for fewer, lower a level, or let it take what there is"
    w.rule({"class-subset": {"keep": 5, "strict": True}})


@case
def a_strict_tail_that_is_not_there(w: World) -> Iterator[str]:
    _classed(w, {"trim-tail": {"rarest": 5, "strict": True}})
    yield "Ask for fewer, or let it cut what there is"
    w.rule({"trim-tail": {"rarest": 1, "keep": 1, "strict": True}})


@case
def a_subset_by_lists(w: World) -> Iterator[str]:
    _classed(w, {"class-subset": {"by": "classes.found", "keep": 5}})
    yield "Name such a column, {}"
    w.rule(
        {"class-subset": {"by": w.said.rsplit("Name such a column, ")[-1].split()[0].rstrip("."), "keep": 5}}
    )


@case
def a_rule_by_a_measure_that_has_not_its_columns(w: World) -> Iterator[str]:
    w.plan["measures"] = {"clusters": {"k": 2}, "thinning": None}
    w.rule({"diversity": {"level": 0.8, "by": "clusters"}})
    yield "Give the plan what it measures, or take the rule out"
    w.rule({"diversity": {"level": 0.8, "by": "thinning"}})


@case
def equal_hashes_within_a_group(w: World) -> Iterator[str]:
    w.plan["measures"] = {"copies": {"by": "url", "within": "width"}}
    yield "leave it out, or give bits from 1 to 32"
    w.plan["measures"] = {"copies": {"by": "url"}}


@case
def captions_that_are_not_there(w: World) -> Iterator[str]:
    w.images()
    w.plan["measures"] = {"clip_score": None}
    yield "bring a caption column"
    names = [path.name for path in sorted((w.folder / "pool").glob("*.png"))]
    lines = [f"{name},a picture" for name in names]
    (w.folder / "pool" / "metadata.csv").write_text("\n".join(["file_name,caption", *lines]) + "\n")


@case
def embeddings_of_another_encoder(w: World) -> Iterator[str]:
    w.pool_of({"url": ["u", "v"], "uid": ["a" * 32, "b" * 32]})
    np.savez(w.folder / "pool" / "p.npz", l14_img=unit(4, 2))
    tiny = {"model": str(TINY), "pretrained": str(WEIGHTS)}
    w.plan["encoders"] = {"l14": tiny, "b32": dict(tiny)}
    w.plan["pool"] = {
        "path": str(w.folder / "pool"),
        "format": "datacomp",
        "encoder": "l14",
        "embedding": "l14_img",
    }
    w.plan["benchmarks"] = {"one": {"path": str(w.folder / "one"), "encoder": "b32"}}
    yield "has no images to embed; bring embeddings of that encoder"
    np.savez(w.folder / "pool" / "p.npz", l14_img=unit(4, 2), b32_img=unit(6, 2))


@case
def weights_that_are_none(w: World) -> Iterator[str]:
    w.images()
    path = w.folder / "weights.pt"
    path.write_bytes(b"not weights" * 99)
    w.plan["encoder"]["pretrained"] = str(path)
    yield "give a safetensors file, or one of plain tensors, that was saved from this architecture"
    w.plan["encoder"]["pretrained"] = str(WEIGHTS)


@case
def a_manifest_that_is_not_there(w: World) -> Iterator[str]:
    w.plan["benchmarks"]["one"]["manifest"] = "mine"
    yield "Name one of these, or the path of a YAML file, under {}"
    path = w.folder / "mine.yaml"
    said = {"name": "mine", "kind": "benchmark", "title": "Mine", "get": "Here.", "urls": ["https://x.test"]}
    path.write_text(yaml.safe_dump(said | {"terms": "None."}))
    w.plan["benchmarks"]["one"]["manifest"] = str(path)


def _audit(w: World, *more: str) -> None:
    sets = ("--pool", str(w.folder / "pool"), "--benchmark", f"one={w.folder / 'one'}")
    w.command = ("audit", *sets, "--out", str(w.folder / "audited"), *more)


@case
def pictures_of_a_set_without_a_place(w: World) -> Iterator[str]:
    (w.folder / "pictures").mkdir()
    _audit(w, "--images", "pool")
    yield "write --images pool=/data/pool_images, SET one of: {}"
    _audit(w, "--images", f"pool={w.folder / 'pictures'}")


@case
def pictures_of_no_set(w: World) -> Iterator[str]:
    (w.folder / "pictures").mkdir()
    _audit(w, "--images", f"poool={w.folder / 'pictures'}")
    yield "--images {}: there is no set '{}'; there are: {}. Name one of these"
    _audit(w, "--images", f"{w.said.split('there are: ')[1].split(',')[0]}={w.folder / 'pictures'}")
