"""The plan of `nearfar audit`, made of its options: formats are found out, `--set` says the rest."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from indexes.errors import DataError, PlanError
from pipeline.documents.overrides import apply_overrides
from pipeline.documents.yaml_safe import Document
from pipeline.plan import Plan, build_plan
from pipeline.readers import advice, describe, detect, names, near
from pipeline.stores.brought_sets import brought


def audit_plan(
    pool: str,
    benchmarks: Sequence[str],
    reference: str | None,
    out: str,
    encoder: tuple[str | None, str | None],
    overrides: Sequence[str] = (),
    images: Sequence[str] = (),
) -> Plan:
    """Make a plan from the options of `nearfar audit`.

    Args:
        pool: Path of the pool.
        benchmarks: `NAME=PATH` of each benchmark.
        reference: Path of the reference, if there is one.
        out: Folder for the report.
        encoder: Model and weights, each if given.
        overrides: `key=value` texts that replace or add values, as `--set` gives them.
        images: `SET=PLACE` of each set whose pictures lie beside it: `pool`, `reference` or a benchmark's name.

    Raises:
        PlanError: If an option is wrong.
        DataError: If the format of a set is not clear; the message says what was found.
    """
    told = frozenset(override.partition("=")[0].strip() for override in overrides)
    given: dict[str, Any] = {"name": "audit", "pool": _source("pool", "--pool ", pool, told), "output": out}
    given["benchmarks"] = {}
    for name, path in _named(benchmarks).items():
        given["benchmarks"][name] = _source(f"benchmarks.{name}", f"--benchmark {name}=", path, told)
    if reference is not None:
        given["reference"] = _source("reference", "--reference ", reference, told)
    model, pretrained = encoder
    if model is None and pretrained is not None:
        raise PlanError(
            f"--pretrained {pretrained} names weights but no model; give --model too, "
            "such as --model ViT-B-32, or leave both out where every set brings embeddings"
        )
    if model is not None:
        given["encoder"] = {"model": model} | ({} if pretrained is None else {"pretrained": pretrained})
    _put_images(given, images)
    document = Document(given, "audit")
    apply_overrides(document, overrides)
    return build_plan(document)


def _named(benchmarks: Sequence[str]) -> dict[str, str]:
    named: dict[str, str] = {}
    for option in benchmarks:
        name, equals, path = option.partition("=")
        if not equals or not path:
            raise PlanError(
                f"--benchmark takes NAME=PATH, got '{option}'; write --benchmark sketch=/data/sketch"
            )
        if name in named:
            raise PlanError(f"--benchmark {name} is given twice; give each benchmark a name of its own")
        named[name] = path
    return named


def _put_images(given: dict[str, Any], images: Sequence[str]) -> None:
    sets = {name: given[name] for name in ("pool", "reference") if name in given} | given["benchmarks"]
    for option in images:
        name, equals, place = option.partition("=")
        if not equals or not place:
            raise PlanError(
                f"--images takes SET=PLACE, got '{option}'; write --images pool=/data/pool_images, SET one of: "
                f"{', '.join(sets)}"
            )
        if name not in sets:
            raise PlanError(
                f"--images {option}: there is no set '{name}'; there are: {', '.join(sets)}. Name one of these"
            )
        if "images" in sets[name]:
            raise PlanError(f"--images {name} is given twice; a set has one place of images")
        sets[name]["images"] = place


def _source(place: str, option: str, path: str, told: frozenset[str]) -> dict[str, str]:
    """Describe a set as a plan does; its format is found out unless `--set` tells it.

    Args:
        place: Where a plan has it.
        option: What stands before its path on the command line.
        path: Its path.
        told: The keys that `--set` gives.

    Raises:
        DataError: If no reader, or more than one, takes it for its own.
    """
    if f"{place}.format" in told:
        return {"path": path}
    fits = detect(Path(brought(path)))
    if len(fits) == 1:
        return {"path": path, "format": fits[0]}
    found = f"{option}{path}: {describe(Path(path))}"
    if len(fits) > 1:
        raise DataError(
            f"{found}; several formats fit: add --set {place}.format={fits[0]}, or another of them"
        )
    raise DataError(f"{found}; {_next_step(option, Path(path))}")


def _next_step(option: str, path: Path) -> str:
    """Say what to give instead of a path that holds no set: what is there one level down, or one level up."""
    if not path.exists():
        return "correct the path, or put the files there"
    found = near(path)
    if found is not None:
        where, place, name = found
        return f"{where} '{place.name}' looks like {name}: give {option}{shlex.quote(str(place))}"
    return f"nearfar reads {', '.join(names())}: {advice(path) or 'name the folder that holds such files'}"
