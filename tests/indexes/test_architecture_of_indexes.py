"""What holds for indexes/: no files, no import circle, heavy libraries only where they are used, rooms that fit."""

from __future__ import annotations

import ast
import copy
import re
import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
INDEXES = ROOT / "indexes"
FILES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted(INDEXES.rglob("*.py"))
}
TREES = {name: ast.parse(path.read_text(encoding="utf-8")) for name, path in FILES.items()}
every_file = pytest.mark.parametrize("name", FILES)

STORAGE = {"pathlib", "io", "shutil", "tempfile", "glob", "fileinput", "mmap", "fsspec", "pyarrow", "duckdb"}
OPENING = {"open", "write_index", "read_index", "serialize_index", "deserialize_index", "fromfile", "tofile"}
OPENING |= {"memmap", "open_memmap", "save", "savez", "load_npz", "read_text", "write_text", "read_bytes"}
OPENING |= {"write_bytes", "listdir", "scandir", "mkdir", "makedirs", "unlink", "rename", "replace_file"}


def imports(tree: ast.Module) -> Iterator[str]:
    """Modules that a file imports, wherever in it, those for types alone left out."""
    typing_only = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are written out"
            assert node.module
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


class _Late(ast.NodeTransformer):
    """Takes the bodies of functions out: what they import, they import when they are called."""

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.FunctionDef:
        return ast.FunctionDef(node.name, node.args, [ast.Pass()], [], None)


def at_import(tree: ast.Module) -> set[str]:
    """Modules that are loaded as soon as the file is imported."""
    return set(imports(_Late().visit(copy.deepcopy(tree))))


@every_file
def test_no_file_is_read_or_written_here(name: str) -> None:
    assert not {module.partition(".")[0] for module in imports(TREES[name])} & STORAGE
    for node in ast.walk(TREES[name]):
        if isinstance(node, ast.Call):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else ast.unparse(node.func)
            assert called not in OPENING, f"line {node.lineno} calls {called}"


def test_imports_run_in_no_circle_not_even_late_ones() -> None:
    graph = {
        name: {module for module in imports(tree) if module in FILES and module != name}
        for name, tree in TREES.items()
    }
    order = list(TopologicalSorter(graph).static_order())
    assert set(order) == set(FILES)
    assert graph["indexes.device.triton_tile"] == {"indexes.device.query_columns"}
    assert "indexes.device.triton_tile" in graph["indexes.device.group_maxima"]


def test_triton_is_imported_in_one_file_and_that_file_only_late() -> None:
    users = {name for name, tree in TREES.items() if any(m.startswith("triton") for m in imports(tree))}
    assert users == {"indexes.device.triton_tile"}
    for name, tree in TREES.items():
        assert "indexes.device.triton_tile" not in at_import(tree), name


@every_file
def test_torch_and_faiss_are_loaded_by_those_who_use_them(name: str) -> None:
    loaded = {module.partition(".")[0] for module in at_import(TREES[name])}
    assert name == "indexes.device.triton_tile" or not loaded & {"torch", "faiss", "triton"}


def test_a_scan_on_the_cpu_loads_neither_torch_nor_triton_nor_faiss() -> None:
    code = (
        "import sys, numpy as np\n"
        "from indexes.search import ScanOptions, open_scanner\n"
        "from indexes.queries import Queries\n"
        "one = np.eye(3, 16, dtype=np.float16)\n"
        "queries = Queries(one, ('a',), np.array([0, 3]), None)\n"
        "open_scanner(queries, 'exact', ScanOptions(device='cpu')).scan(one)\n"
        "print([m for m in ('torch', 'faiss', 'triton') if m in sys.modules])\n"
        "open_scanner(queries, 'torch', ScanOptions(device='cpu')).scan(one)\n"
        "print([m for m in ('faiss', 'indexes.device.triton_tile') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:2] == ["[]", "[]"]


def test_the_two_packages_of_faiss_are_never_asked_for_together() -> None:
    """They overwrite each other's files: each is an extra, none is needed by all, and `dev` takes one."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    assert not [line for line in project["dependencies"] if line.startswith("faiss")]
    asking = {name for name, lines in extras.items() if any(line.startswith("faiss") for line in lines)}
    assert asking == {"cpu", "gpu"}
    assert [line.partition(">")[0] for line in extras["cpu"]] == ["faiss-cpu"]
    assert [line.partition(">")[0] for line in extras["gpu"]] == ["faiss-gpu"]
    taken = {name for line in extras["dev"] for name in re.findall(r"nearfar\[(.*)\]", line)}
    assert {"cpu"} == {name for names in taken for name in names.split(",")} & asking


def test_no_folder_is_two_rooms() -> None:
    sizes = Counter(path.parent for path in FILES.values() if path.name != "__init__.py")
    assert max(sizes.values()) <= 15


def test_no_module_name_and_no_public_class_name_twice() -> None:
    modules = Counter(name.rpartition(".")[2] for name in FILES)
    assert {name for name, count in modules.items() if count > 1} == set()
    plugins = "indexes.backends."
    classes = Counter(
        node.name
        for name, tree in TREES.items()
        for node in tree.body
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
        # What each backend's file calls its options is what marks them as such, as `open_scanner` marks its function.
        if not (name.startswith(plugins) and node.name == "Options")
    )
    assert {name for name, count in classes.items() if count > 1} == set()


@every_file
def test_public_functions_of_arrays_say_their_shapes(name: str) -> None:
    """In the docstring of the function, or of its class."""
    silent = []
    for owner in [TREES[name], *(node for node in TREES[name].body if isinstance(node, ast.ClassDef))]:
        described = (ast.get_docstring(owner) or "") if isinstance(owner, ast.ClassDef) else ""
        for node in owner.body:
            if not isinstance(node, ast.FunctionDef) or node.name.startswith("_"):
                continue
            text = ast.get_docstring(node) or ""
            parts = [*(part.annotation for part in node.args.args), node.returns]
            kinds = " ".join(ast.unparse(part) for part in parts if part)
            arrays = any(word in kinds for word in ("NDArray", "ndarray", "Tensor", "Floats", "Positions"))
            if not text or (arrays and "`(" not in text + described and "see `indexes" not in text):
                silent.append(f"{node.name} (line {node.lineno})")
    assert not silent


@every_file
def test_what_raises_says_so(name: str) -> None:
    """Every public function that raises one of our errors itself lists it."""
    for node in ast.walk(TREES[name]):
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
            raised = {
                call.exc.func.id
                for call in ast.walk(node)
                if isinstance(call, ast.Raise)
                and isinstance(call.exc, ast.Call)
                and isinstance(call.exc.func, ast.Name)
                and call.exc.func.id.endswith("Error")
            }
            text = ast.get_docstring(node) or ""
            assert not raised or all(error in text for error in raised), f"{node.name} raises {raised}"
