"""What every file under curation/measures keeps to; a new measure is picked up by itself."""

from __future__ import annotations

import pyarrow as pa
import pytest

from curation import measures
from indexes.errors import UnknownNameError

EVERY_MEASURE = pytest.mark.parametrize("name", measures.names())


def test_similarity_is_there() -> None:
    assert "similarity" in measures.names()
    assert list(measures.load("similarity").columns(["b", "a"])) == ["b", "a"]


@EVERY_MEASURE
def test_a_measure_says_what_it_needs(name: str) -> None:
    assert set(measures.load(name).NEEDS) <= measures.INPUTS


@EVERY_MEASURE
def test_columns_have_arrow_types_and_a_meaning(name: str) -> None:
    columns = measures.load(name).columns(["photo", "sketch"])
    assert columns
    assert "uid" not in columns
    for fields in columns.values():
        for field, what in fields.items():
            assert field.isidentifier()
            pa.field(field, pa.type_for_alias(what.type))
            assert len(what.meaning) > 10


def test_an_unknown_measure_is_answered() -> None:
    with pytest.raises(UnknownNameError, match=r"unknown measure 'similarty'; available: .*similarity"):
        measures.load("similarty")
