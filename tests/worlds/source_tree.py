"""The three packages as syntax: their modules, what each imports, and when."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("indexes", "curation", "pipeline")
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for package in PACKAGES
    for path in sorted((ROOT / package).rglob("*.py"))
}
FOLDERS = sorted({path.parent for path in MODULES.values()})
_TYPES_ALONE = "TYPE_CHECKING"


@cache
def tree(module: str) -> ast.Module:
    """Parse a module."""
    return ast.parse(MODULES[module].read_text(encoding="utf-8"))


def names(node: ast.AST) -> Iterator[str]:
    """What an import statement imports: `from a import b` is `a.b` where that is a module of ours, else `a`."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        assert node.level == 0, "imports are written out"
        assert node.module
        for alias in node.names:
            inner = f"{node.module}.{alias.name}"
            yield inner if inner in MODULES else node.module


def imported(module: str) -> set[str]:
    """Top-level names that a module imports, wherever in it, those for types alone too."""
    found = set()
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.ImportFrom) and [alias.name for alias in node.names] == ["UnpicklingError"]:
            continue  # the name of an error that is caught; nothing is unpickled
        found |= {name.partition(".")[0] for name in names(node)}
    return found


def ours(module: str) -> set[str]:
    """Modules of ours that a module loads, at once or when a function is called."""
    return {name for name in _loaded(tree(module)) if name in MODULES and name != module}


def late(module: str) -> set[str]:
    """Modules of ours that a module loads when a function of it is called."""
    functions = (node for node in ast.walk(tree(module)) if isinstance(node, ast.FunctionDef))
    return {name for function in functions for name in _loaded(function) if name in MODULES}


def _loaded(node: ast.AST) -> Iterator[str]:
    """Imports that are carried out; those for types alone are not."""
    if isinstance(node, ast.If) and ast.unparse(node.test) == _TYPES_ALONE:
        return
    yield from names(node)
    for child in ast.iter_child_nodes(node):
        yield from _loaded(child)


def texts(module: str) -> Iterator[ast.Constant]:
    """The string literals of a module, without its docstrings; of an f-string its pieces."""
    said = {id(node.value) for node in ast.walk(tree(module)) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in said:
            yield node


def public_classes(module: str) -> Iterator[str]:
    """Names of a module's own classes that do not begin with an underscore."""
    for node in tree(module).body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield node.name
