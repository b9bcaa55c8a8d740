"""Every message of the code that tells a person to do something, as a template: `{}` stands for what is filled in."""

from __future__ import annotations

import ast
import re
from functools import cache

from source_tree import MODULES

ERRORS = frozenset(
    {
        *("NearfarError", "BadInputError", "PlanError", "DataError", "ShapeError", "OutputError"),
        *("RunFailedError", "UnknownNameError"),
    }
)
_VERBS = (
    "add|allow|ask|bring|build|cast|change|check|choose|complete|compare|convert|copy|correct|declare|embed|export|"
    "fetch|free|give|install|keep one|leave|let|lower|make|mend|mount|move|name|npm|pair|pass|pip|put|raise|remove|"
    "rename|repair|replace|run|say|set|shorten|split it|start|stop|take|train|unpack|unset|use|wait|write"
)
_TOLD = re.compile(rf"(?:^|[.;:,`] |\n- |\bor |\band )(?:then |best )?({_VERBS})\b", re.IGNORECASE)


def advice(template: str) -> str | None:
    """Cut a message down to what it tells a person to do; None where it tells nothing."""
    found = _TOLD.search(template)
    return None if found is None else template[found.start(1) :]


@cache
def messages() -> tuple[tuple[str, str], ...]:
    """Give module and template of each error that is made anywhere."""
    # Every process of a suite asks for these as it collects: only what names an error is parsed, and no tree kept.
    written = {module: path.read_text(encoding="utf-8") for module, path in MODULES.items()}
    return tuple(
        (module, " ".join(_template(argument) for argument in node.args))
        for module, text in written.items()
        if any(f"{error}(" in text for error in ERRORS)
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Call) and _name(node.func) in ERRORS
    )


def _name(called: ast.expr) -> str:
    return getattr(called, "id", getattr(called, "attr", ""))


def _template(node: ast.AST) -> str:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(part.value if isinstance(part, ast.Constant) else "{}" for part in node.values)
    if isinstance(node, ast.BinOp):
        return _template(node.left) + _template(node.right)
    return "{}"
