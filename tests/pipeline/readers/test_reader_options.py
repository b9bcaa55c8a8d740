"""Options that belong to a format: taken by it, refused by the others, written down by themselves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from reader_sets import BUILDERS, samples

from pipeline import readers
from pipeline.plan.reader_keys import key_problems
from pipeline.sets.source import ReaderOptions, Source

OWN: dict[str, dict[str, Any]] = {
    "clip-retrieval": {"metadata": "metadata"},
    "datacomp": {"embedding": "l14_img", "text_embedding": "l14_img"},
    "image-folder": {"follow_links": True, "crop": 2, "classes": ["dog"], "class_file": "dogs.json"},
    "image-parquet": {},
    "img2dataset": {},
    "laion": {"embeddings": "img_emb"},
}
FORMATS = readers.names()


def given(root: Path, name: str, options: dict[str, Any]) -> Source:
    BUILDERS[name](root, samples((1,)))
    return Source(path=str(root), format=name, **options)


def test_every_format_with_a_builder_is_tried_here() -> None:
    assert set(OWN) == set(BUILDERS)
    assert {name: set(readers.options_of(name).model_fields) for name in OWN} == {
        name: set(options) for name, options in OWN.items()
    }


@pytest.mark.parametrize("name", FORMATS)
def test_options_are_strict_frozen_and_described_and_are_no_key_of_every_set(name: str) -> None:
    kind = readers.options_of(name)
    assert issubclass(kind, ReaderOptions)
    assert not set(kind.model_fields) & set(Source.model_fields)
    assert all(field.description and not field.is_required() for field in kind.model_fields.values())
    assert set(kind.paths) <= set(kind.model_fields)
    for key in kind.model_fields:
        with pytest.raises(ValidationError):
            kind(**{key: 3.5})
    with pytest.raises(ValidationError):
        kind(colour="red")


def problems(name: str, options: dict[str, Any]) -> list[tuple[tuple[Any, ...], str]]:
    return list(key_problems(("pool",), {"path": "p", "format": name, **options}))


@pytest.mark.parametrize("name", OWN)
def test_a_format_takes_its_own_options_and_refuses_all_others(name: str) -> None:
    assert problems(name, OWN[name]) == []
    assert problems(name, {"metadata": None, "colour": None}) == []
    foreign = {key: owner for owner, options in OWN.items() if owner != name for key in options}
    for key, owner in {**foreign, "colour": None}.items():
        ((place, said),) = problems(name, {**OWN[name], key: "b32_img"})
        assert place == ("pool", key)
        assert said.startswith(f"unknown key '{key}'; a set of format {name} has the keys: ")
        assert all(own in said for own in ("path", "duplicates", *OWN[name]))
        assert (f"'{key}' is a key of: {owner}" in said) == (owner is not None)


@pytest.mark.parametrize(("name", "key"), [(name, key) for name, options in OWN.items() for key in options])
def test_a_value_of_another_kind_is_refused_at_its_place(name: str, key: str) -> None:
    for value in (3.5, [], "", "a\0b"):
        ((place, _),) = problems(name, {**OWN[name], key: value})
        assert place == ("pool", key)


@pytest.mark.parametrize("name", OWN)
def test_the_listing_stamp_stands_still_and_notices(tmp_path: Path, name: str) -> None:
    source = given(tmp_path / "set", name, {})
    first = readers.listing_stamp(source)
    assert readers.listing_stamp(source) == first
    moved = Path(tmp_path / "set").rename(tmp_path / "elsewhere")
    there = source.model_copy(update={"path": str(moved)})
    assert readers.listing_stamp(there) == first
    changed = next(path for path in sorted(moved.rglob("*")) if path.is_file())
    changed.write_bytes(changed.read_bytes() + b"\0")
    second = readers.listing_stamp(there)
    (moved / "more.txt").write_bytes(b"")
    assert len({first, second, readers.listing_stamp(there)}) == 3


def test_the_listing_stamp_looks_where_an_option_leads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    source = given(tmp_path / "set", "laion", {"embeddings": "beside"})
    (tmp_path / "beside").mkdir()
    first = readers.listing_stamp(source)
    (tmp_path / "beside" / "0.npy").write_bytes(b"x")
    assert readers.listing_stamp(source) != first


def test_a_change_behind_a_followed_link_changes_the_stamp(tmp_path: Path) -> None:
    (tmp_path / "there" / "deep").mkdir(parents=True)
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "link").symlink_to(tmp_path / "there")
    (tmp_path / "there" / "deep" / "round").symlink_to(tmp_path / "there")
    (tmp_path / "there" / "deep" / "0.png").write_bytes(b"x")
    plain = Source(path=str(tmp_path / "set"), format="image-folder")
    followed = Source(path=str(tmp_path / "set"), format="image-folder", follow_links=True)
    before = [readers.listing_stamp(one) for one in (plain, followed)]
    (tmp_path / "there" / "deep" / "1.png").write_bytes(b"x")
    after = [readers.listing_stamp(one) for one in (plain, followed)]
    assert (after[0] == before[0], after[1] == before[1]) == (True, False)
