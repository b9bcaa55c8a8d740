"""What holds for the whole tree: imports go one way, files stay small, the documents match the code."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("indexes", "curation", "pipeline")
FILES = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]
IDS = [str(path.relative_to(ROOT)) for path in FILES]


def imported(path: Path) -> set[str]:
    """Top-level names that a file imports, wherever in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            if [alias.name for alias in node.names] == ["UnpicklingError"]:
                continue  # the name of an error that is caught; nothing is unpickled
            names.add(node.module.partition(".")[0])
    return names


@pytest.mark.parametrize("path", FILES, ids=IDS)
def test_imports_go_one_way(path: Path) -> None:
    own = path.relative_to(ROOT).parts[0]
    above = PACKAGES[PACKAGES.index(own) + 1 :]
    assert not imported(path) & set(above)


def test_dask_is_imported_in_one_file() -> None:
    users = {str(path.relative_to(ROOT)) for path in FILES if imported(path) & {"dask", "distributed"}}
    assert users == {"pipeline/execution/executors.py"}


@pytest.mark.parametrize("path", FILES, ids=IDS)
def test_no_pickle_and_no_eval(path: Path) -> None:
    assert not imported(path) & {"pickle", "shelve", "marshal", "dill", "joblib", "cloudpickle"}
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id not in ("eval", "exec", "__import__")


@pytest.mark.parametrize("path", FILES, ids=IDS)
def test_files_are_one_idea(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 250
    assert path.stem not in ("utils", "helpers", "common", "misc")


@pytest.mark.parametrize("path", FILES, ids=IDS)
def test_functions_are_short(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef):
            body = node.body[1:] if ast.get_docstring(node) else node.body
            lines = (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0
            assert lines <= 45, f"{node.name} has {lines} lines"


def test_the_readme_lists_every_file() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for path in FILES:
        if path.name != "__init__.py" or path.parent.name in PACKAGES:
            assert path.name in text, f"README's tree lacks {path.relative_to(ROOT)}"


def test_every_command_is_in_the_readme() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    source = (ROOT / "pipeline" / "cli.py").read_text(encoding="utf-8")
    commands = re.findall(r"@app\.command\((?:name=\"(\w+)\")?\)\ndef (\w+)", source)
    assert len(commands) >= 8
    for named, function in commands:
        assert f"`nearfar {named or function}" in text


def test_the_readme_rule_is_a_rule(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The example of the README is executed as it stands."""
    import curation.rules as rules
    from curation.selection import Drop, Scope

    text = (ROOT / "README.md").read_text(encoding="utf-8")
    section = text[text.index("## Add a rule in one file") :]
    code = re.search(r"```python\n(.*?)```", section, re.DOTALL)
    assert code is not None
    (tmp_path / "edge.py").write_text(code.group(1), encoding="utf-8")
    monkeypatch.setattr(rules, "__path__", [*rules.__path__, str(tmp_path)])
    assert "edge" in rules.names()
    selection = rules.parse("edge", {"within": 0.02}).selection(Scope(benchmarks=("sketch",), reference=True))
    assert isinstance(selection, Drop)
    assert "margin" in selection.predicate
    assert "-0.02" in selection.predicate


def test_constraints_name_no_host_and_cover_the_dependencies() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pinned = {line.partition("==")[0].lower().replace("_", "-") for line in lines}
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.+!]+", line) for line in lines)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for requirement in project["dependencies"]:
        name = re.match(r"[A-Za-z0-9_-]+", requirement)
        assert name is not None
        assert name.group().lower().replace("_", "-") in pinned


def test_every_module_can_be_imported_first() -> None:
    """No import circle: each module is imported in an interpreter that has imported nothing of ours."""
    names = [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in FILES]
    ours = [name.removesuffix(".__init__") for name in names if not name.endswith("__main__")]
    script = (
        "import importlib, sys\n"
        "for name in sys.argv[1:]:\n"
        "    for loaded in [m for m in sys.modules if m.partition('.')[0] in ('indexes', 'curation', 'pipeline')]:\n"
        "        del sys.modules[loaded]\n"
        "    importlib.import_module(name)\n"
    )
    light = [name for name in ours if not name.startswith("indexes.")]
    done = subprocess.run([sys.executable, "-c", script, *light], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
