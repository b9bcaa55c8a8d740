"""What holds for the whole tree: imports go one way, rooms fit, names mean one thing, files stay small."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections import defaultdict
from graphlib import TopologicalSorter

import pytest
from source_tree import FOLDERS, MODULES, PACKAGES, ROOT, imported, late, ours, public_classes, texts, tree

from pipeline import layout

EVERY_MODULE = pytest.mark.parametrize("module", MODULES)
MOST_MODULES = 15

# Each imports only what stands before it.
ROOMS = (
    "layout",
    "files",
    "stores",
    "commit",
    "sets",
    "readers",
    "embedding",
    "documents",
    "plan",
    "measuring",
    "further",
    "execution",
    "fetching",
    "splits",
    "report",
    "passes",
    "webdataset",
    "dataset_cards",
    "projection",
    "stages",
    "output",
    "purging",
    "incoming",
    "run",
    "estimate",
    "afterwards",
    "shipping",
    "atlases",
    "verifying",
    "verify",
    "repair",
    "auditing",
    "ending",
    "commands",
    "doctor",
    "command_line",
    "cli",
    "world",
)
UPWARD = {
    # A named place to fail is put into the lowest rooms, and imports nothing of theirs.
    ("pipeline.files.storage", "pipeline.execution.failpoints"),
    ("pipeline.commit.attempts", "pipeline.execution.failpoints"),
    ("pipeline.commit.publish", "pipeline.execution.failpoints"),
    ("pipeline.commit.run_lock", "pipeline.execution.failpoints"),
    ("pipeline.commit.on_stores", "pipeline.execution.failpoints"),
    ("pipeline.stores.far_bringing", "pipeline.execution.failpoints"),
    # Shards are grouped into parts, and their footers say which columns a set will have.
    ("pipeline.sets.parts", "pipeline.readers"),
    ("pipeline.sets.own_columns", "pipeline.readers"),
    ("pipeline.sets.own_columns", "pipeline.readers._held"),
    ("pipeline.sets.own_columns", "pipeline.readers._pieces"),
    # What a report was made from: asks these stages what they call their units, and which encoder made what.
    ("pipeline.passes.provenance", "pipeline.stages.calibrate"),
    ("pipeline.passes.provenance", "pipeline.stages.catalog"),
}
LATE = {
    "pipeline.cli": "Ctrl-C is heard while the rest is loaded",
    "pipeline.command_line.application": "the help is shown without loading what the commands need",
    "pipeline.command_line.atlas_command": "the help is shown without loading what the command needs",
    "pipeline.command_line.export_command": "the help is shown without loading what the command needs",
    "pipeline.command_line.ingest_command": "the help is shown without loading what the command needs",
    "pipeline.command_line.leaving": "the help is shown without loading what the commands need",
    "pipeline.command_line.purge_command": "the help is shown without loading what the command needs",
    "pipeline.command_line.option_types": "the help is shown without loading what opens an output",
    "pipeline.command_line.verify_command": "the help is shown without loading what the command needs",
    "pipeline.run": "what fetches and purges is loaded by a run, and not by what goes on from a finished one",
    "pipeline.embedding.encoder": "torch takes seconds to load, and only those who embed need it",
    "pipeline.embedding.fast_jpeg": "Pillow is loaded by those who decode, and not with every plan",
    "pipeline.execution.costs": "torch takes seconds to load, and only a plan with an encoder needs it",
    "pipeline.execution.progress": "rich is loaded where there is a terminal",
    "indexes.backends.exact": "numba takes half a second to load and torch four; one of them is used",
    "indexes.device.exact_products": "Triton is there only beside a GPU",
    "indexes.device.group_maxima": "Triton is there only beside a GPU",
    "indexes.greedy.earlier": "numba is loaded by those who compare",
    "indexes.greedy.farthest": "numba is loaded by those who compare",
    "indexes.clustering.kmeans": "numba is loaded by those who train",
    "indexes.clustering.centroid_search": "numba is loaded by those who compare",
}
PAIRS = {
    "clip_score": "a measure and the rule that reads it",
    "density": "a measure and the rule that reads it",
    "norm_sim": "a measure and the rule that reads it",
    "norm_sim_d": "a measure and the rule that reads it",
    "neg_clip_loss": "a measure and the rule that reads it",
    "leaky_splits": "a measure and the rule that reads it",
    "domain": "a measure and the rule that reads it",
    "cap": "a selection and the rule that gives it",
    "repeat": "a selection and the rule that gives it",
    "text_based": "a matcher and the rule that reads what it finds",
    "measure": "what a measure is, and the stage that computes them",
    "report": "the room, and the stage that makes the report",
    "classes": "the room of matchers, and the measure that uses one",
    "captions": "the measure, and the alt texts of the rendered world",
}
PLUGIN_CLASSES = {"Identity", "Settings", "Options"}
"""What every stage, reader or backend calls its own; the name is how they are found."""


SHARED_NAMES = {
    "Finding",
    "Group",
    "Mark",
    "Part",
    "Queries",
    "Rows",
    "Sample",
    "Search",
    "Source",
    "Stage",
}
"""Names that two rooms use for things of their own: none may be added, and one that is free is taken out."""


def room(module: str) -> str:
    """The room of a module of `pipeline`: its folder, or the module itself where it is in none."""
    return module.split(".")[1] if "." in module else module


@EVERY_MODULE
def test_imports_go_one_way(module: str) -> None:
    own = module.partition(".")[0]
    assert not imported(module) & set(PACKAGES[PACKAGES.index(own) + 1 :])


def test_rooms_of_the_pipeline_import_one_way() -> None:
    inside = {module for module in MODULES if module.startswith("pipeline.")}
    assert {room(module) for module in inside} == set(ROOMS)
    upward = {
        (module, other)
        for module in inside
        for other in ours(module) & inside
        if ROOMS.index(room(other)) > ROOMS.index(room(module))
    }
    assert upward == UPWARD
    assert not ours("pipeline.execution.failpoints") - {"indexes.errors"}


def test_imports_run_in_no_circle_not_even_late_ones() -> None:
    order = list(TopologicalSorter({module: ours(module) for module in MODULES}).static_order())
    assert set(order) == set(MODULES)


def test_late_imports_have_a_reason() -> None:
    assert {module for module in MODULES if late(module)} == set(LATE)


@pytest.mark.soak
def test_every_module_can_be_imported_first() -> None:
    """It follows from imports that run in no circle; here each is imported where nothing of ours has been."""
    names = [name for name in MODULES if not name.endswith("__main__") and not name.startswith("indexes.")]
    script = (
        "import importlib, sys\n"
        "for name in sys.argv[1:]:\n"
        "    for loaded in [m for m in sys.modules if m.partition('.')[0] in ('indexes', 'curation', 'pipeline')]:\n"
        "        del sys.modules[loaded]\n"
        "    importlib.import_module(name)\n"
    )
    done = subprocess.run([sys.executable, "-c", script, *names], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_dask_is_imported_in_one_file() -> None:
    users = {module for module in MODULES if imported(module) & {"dask", "distributed"}}
    assert users == {"pipeline.execution.executors"}


@EVERY_MODULE
def test_no_pickle_and_no_eval(module: str) -> None:
    assert not imported(module) & {"pickle", "shelve", "marshal", "dill", "joblib", "cloudpickle"}
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id not in ("eval", "exec", "__import__")


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: str(folder.relative_to(ROOT)))
def test_no_folder_is_two_rooms(folder) -> None:
    modules = [path for path in MODULES.values() if path.parent == folder and path.name != "__init__.py"]
    assert len(modules) <= MOST_MODULES


def test_a_module_name_means_one_thing() -> None:
    owners = defaultdict(list)
    for module in MODULES:
        owners[module.rpartition(".")[2]].append(module)
    assert {name for name, modules in owners.items() if len(modules) > 1} == set(PAIRS)


def test_a_class_name_means_one_thing() -> None:
    owners = defaultdict(list)
    for module in MODULES:
        for name in public_classes(module):
            owners[name].append(module)
    twice = {name: modules for name, modules in owners.items() if len(modules) > 1}
    assert {name for name in twice if name not in PLUGIN_CLASSES} == SHARED_NAMES
    for name in PLUGIN_CLASSES:
        for module in owners[name]:
            found = f"{module} has a class {name}"
            assert re.match(
                r"pipeline\.(stages|readers)\.|pipeline\.passes\.measure_unit$|indexes\.backends\.", module
            ), found


def test_only_the_layout_spells_an_output_path() -> None:
    folders = "|".join(layout.FOLDERS)
    spelled = [
        f"{module}:{text.lineno} {text.value!r}"
        for module in MODULES
        if module.startswith("pipeline.") and module != "pipeline.layout"
        for text in texts(module)
        if re.match(rf"/?({folders})/", text.value)
    ]
    assert not spelled, "\n".join(spelled)


@EVERY_MODULE
def test_files_are_one_idea(module: str) -> None:
    assert len(MODULES[module].read_text(encoding="utf-8").splitlines()) <= 250
    assert module.rpartition(".")[2] not in ("utils", "helpers", "common", "misc")


@EVERY_MODULE
def test_functions_are_short(module: str) -> None:
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.FunctionDef):
            body = node.body[1:] if ast.get_docstring(node) else node.body
            lines = (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0
            assert lines <= 45, f"{node.name} has {lines} lines"


def test_constraints_name_no_host_and_cover_the_dependencies() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pinned = {line.partition("==")[0].lower().replace("_", "-") for line in lines}
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.+!]+", line) for line in lines)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for requirement in project["dependencies"]:
        name = re.match(r"[A-Za-z0-9_-]+", requirement)
        assert name is not None
        assert name.group().lower().replace("_", "-") in pinned
