"""OpenAI's eighty templates for ImageNet, as they come with open_clip."""

from __future__ import annotations

import ast
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

from indexes.errors import PlanError

SLOT = "{class}"
_FILE, _NAME = "zero_shot_metadata.py", "OPENAI_IMAGENET_TEMPLATES"


@lru_cache(maxsize=1)
def openai_templates() -> tuple[str, ...]:
    """Read OpenAI's eighty templates for ImageNet, which come with open_clip, as texts with `SLOT`.

    Raises:
        PlanError: If open_clip is not installed, or has them no more.
    """
    # The file is read and not imported: that would load torch.
    package = find_spec("open_clip")
    path = Path(package.origin).parent / _FILE if package and package.origin else Path(_FILE)
    try:
        body = ast.parse(path.read_text(encoding="utf-8")).body
    except OSError as error:
        raise PlanError(
            f"OpenAI's templates come with open_clip_torch ({error.strerror}): pip install it"
        ) from None
    for node in body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == _NAME:
            return tuple(_template(each) for each in getattr(node.value, "elts", ()))
    raise PlanError(f"'{path}' has no {_NAME}: pip install open_clip_torch as constraints.txt has it")


def _template(node: ast.expr) -> str:
    """Write `lambda c: f'a photo of a {c}.'` as a text."""
    body = node.body if isinstance(node, ast.Lambda) else None
    pieces = body.values if isinstance(body, ast.JoinedStr) else []
    return "".join(str(piece.value) if isinstance(piece, ast.Constant) else SLOT for piece in pieces)
