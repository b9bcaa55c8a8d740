"""README and CONTRIBUTING say what is there: commands, plans that run, tables, paths, walks."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest
import whole_runs
from readme_examples import README, ROOT, example_files, plans, queries
from source_tree import FOLDERS

from curation import measures, rules
from indexes import backends, registry
from pipeline import layout, readers
from pipeline.plan import load_plan
from pipeline.report import sections
from pipeline.sets.samples import OWN_NAMES

CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
DOCUMENTS = {name: (ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "CONTRIBUTING.md")}
OPTIONS = {"similarity": {"benchmark": "any"}, "clusters": {"k": 2}, "norm_sim": {"to": "any"}}
OPTIONS |= {"listed": {"url": str(ROOT / "LICENSE")}}  # any text will do
OPTIONS |= {"norm_sim_d": {"iterations": 1, "keep": 1}}
OPTIONS |= {"domain": {"labels": str(ROOT / "tests/worlds/domain_labels.csv")}}
OPTIONS |= {"tags": {"table": "tags.csv"}}
WALK_LINES = 75


def table(section: str, heading: str) -> list[list[str]]:
    """Rows of the table whose header begins so, in a section of README."""
    text = README[README.index(f"## {section}") :]
    text = text[text.index(f"| {heading} |") :].partition("\n\n")[0]
    return [[cell.strip() for cell in row.split("|")[1:-1]] for row in text.splitlines()[2:]]


def code(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def test_every_command_is_in_the_readme() -> None:
    source = (ROOT / "pipeline" / "command_line" / "application.py").read_text(encoding="utf-8")
    commands = re.findall(r"@app\.command\((?:name=\"(\w+)\")?\)\ndef (\w+)", source)
    listed = {re.sub(r"^nearfar (\w+).*", r"\1", code(row[0])[0]) for row in table("Commands", "command")}
    elsewhere = re.findall(r"^app\.command\(\)\((\w+)\)", source, re.MULTILINE)
    assert len(commands) + len(elsewhere) >= 10
    assert listed == {named or function for named, function in commands} | set(elsewhere)


def test_every_rule_has_its_row() -> None:
    rows = table("What a plan may ask for", "rule")
    assert {code(row[0])[0].partition(":")[0] for row in rows} == set(rules.names())


def test_every_measure_has_its_row_with_its_columns() -> None:
    rows = {row[0].strip("`").partition(":")[0]: row for row in table("What a plan may ask for", "measure")}
    assert {name.replace("_", "-") for name in rows} == set(measures.names())
    for name, row in rows.items():
        columns = [column.name for column in measures.parse(name, OPTIONS.get(name, {})).columns()]
        assert code(row[1]) == columns


def test_every_section_of_the_report_has_its_row() -> None:
    rows = table("What is in an output folder", "section")
    assert [code(row[0])[0] for row in rows] == list(sections.names())
    for row in rows:
        kinds = {need.partition(".")[0] for need in sections.needs(code(row[0])[0])}
        assert kinds <= set(code(row[1]))


@pytest.mark.parametrize("name", [*readers.names(), *registry.names(backends)])
def test_every_format_and_backend_is_named(name: str) -> None:
    assert re.search(rf"`(engine: {{backend: )?{name}[`}}]", README)


@pytest.mark.parametrize("text", plans())
def test_plans_of_the_readme_are_plans(text: str, tmp_path: Path) -> None:
    (tmp_path / "plan.yaml").write_text(text, encoding="utf-8")
    assert load_plan(tmp_path / "plan.yaml").splits


def test_the_first_plan_says_what_is_not_on_disk_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cli: whole_runs.Run
) -> None:
    """Copied into a clone in which nothing has been rendered: the world's three sets, and no other complaint."""
    (tmp_path / "data_manifests").symlink_to(ROOT / "data_manifests")
    (tmp_path / "first.yaml").write_text(plans()[0])
    monkeypatch.chdir(tmp_path)
    code, out, errors = cli("plan", "first.yaml")
    sets = {
        "pool": "runs/world/pool",
        "reference": "runs/world/reference",
        "benchmarks.sketch": "runs/world/benchmarks/sketch",
    }
    said = [
        f"- {place}.path: '{path}' does not exist. Correct it in the plan, or give --set {place}.path=PATH"
        for place, path in sets.items()
    ]
    first = "nearfar: 3 sets of the plan are not there as the plan says:"
    assert (code, out, errors.splitlines()) == (2, "", [first, *said])
    assert not (tmp_path / "runs").exists()


@dataclass(frozen=True)
class First:
    """README's first plan, run as it stands beside a small world; then again with one more measure."""

    folder: Path
    out: Path
    before: dict[str, int]


@pytest.fixture(scope="module")
def first(small_world: Path, tmp_path_factory: pytest.TempPathFactory) -> First:
    folder = tmp_path_factory.mktemp("first")
    (folder / "runs").mkdir()
    (folder / "runs/world").symlink_to(small_world)
    shutil.copytree(ROOT / "data_manifests", folder / "data_manifests")
    (folder / "first.yaml").write_text(plans()[0], encoding="utf-8")
    done = whole_runs.finish_cold(["run", "first.yaml"], folder, PYTHONPATH=str(ROOT))
    assert done.returncode == 0, done.stderr
    out = folder / "runs/first"
    before = {
        str(path.relative_to(out)): path.stat().st_mtime_ns for path in out.rglob("*.*") if path.is_file()
    }
    more = whole_runs.finish(
        ["run", "first.yaml", "--set", "measures.captions={}"], folder, PYTHONPATH=str(ROOT)
    )
    assert more.returncode == 0, more.stderr
    return First(folder, out, before)


def test_the_first_plan_gives_what_the_readme_says(first: First) -> None:
    assert len(list((first.out / "splits/sketch_pruned").glob("*.parquet")))
    assert (first.out / "report/report.html").is_file()
    for query in queries():
        shown = duckdb.sql(query.replace("'runs/", f"'{first.folder}/runs/")).fetchall()
        assert len(shown) == 5
        assert [row[2] for row in shown] == sorted((row[2] for row in shown), reverse=True)


def test_what_stands_stays(first: First) -> None:
    """The second run had one measure more, and touched nothing but its own and the report."""
    stands = ("samples/", "embeddings/", "indexes/", "measures/similarity/", "neighbours/", "splits/")
    for relative, written in first.before.items():
        if relative.startswith(stands):
            assert (first.out / relative).stat().st_mtime_ns == written, relative
    assert list((first.out / "measures/captions").glob("*.parquet"))


def patterns(cell: str) -> list[re.Pattern[str]]:
    """The paths of a row; one without a slash lies beside the first."""
    paths = code(cell)
    base = paths[0].rpartition("/")[0]
    whole = [path if "/" in path or path == paths[0] else f"{base}/{path}" for path in paths]
    plain = [re.sub(r"<\w+>", "<>", path) for path in whole]
    return [
        re.compile(
            re.escape(path).replace("<>", "[^/]+").replace(r"\*", "[^/]*")
            + (".*" if path.endswith("/") else "")
        )
        for path in plain
    ]


def test_every_file_and_column_of_an_output_is_in_the_readme(first: First) -> None:
    listed = table("What is in an output folder", "path")
    rows = [(patterns(row[0]), row[2]) for row in listed]
    rest = {
        name.strip("/")
        for name in code(README[README.index("The rest is nearfar's own") :].partition("\n\n")[0])
    }
    pool = pq.read_schema(next((first.out / "samples/pool").iterdir())).names
    measured = {column for row in table("What a plan may ask for", "measure") for column in code(row[1])}
    for path in sorted(path for path in first.out.rglob("*") if path.is_file()):
        relative = str(path.relative_to(first.out))
        if relative.partition("/")[0] in rest:
            continue
        found = [cell for row, cell in rows if any(pattern.fullmatch(relative) for pattern in row)]
        assert found, f"README does not say what {relative} is"
        if path.suffix == ".parquet":
            said = set(code(" ".join(found)))
            said |= measured if relative.startswith("measures/") else set()
            said |= {*pool, "sketch"} - set(OWN_NAMES) if "the pool's own columns" in found[0] else set()
            assert set(pq.read_schema(path).names) <= said, relative
    shown = {code(row[0])[0].partition("/")[0] for row in listed}
    assert set(layout.FOLDERS) | set(layout.FILES) <= shown | rest


@pytest.mark.parametrize("document", DOCUMENTS)
def test_files_that_a_document_names_are_there(document: str) -> None:
    tops = "indexes|curation|pipeline|tests|benchmarks|notebooks|data_manifests|\\.ci"
    named = re.findall(rf"`((?:{tops})/[\w./]*)`", DOCUMENTS[document])
    assert named
    missing = [path for path in named if not (ROOT / path).exists() and path not in example_files()]
    assert not missing


def test_modules_that_the_design_note_names_are_there() -> None:
    text = (ROOT / "indexes" / "DESIGN_NOTE.md").read_text(encoding="utf-8")
    for name in set(re.findall(r"`([\w/]+\.py)`", text)):
        assert (ROOT / name).exists() or list((ROOT / "indexes").rglob(name)), name


def test_every_folder_is_in_the_tour_once() -> None:
    block = CONTRIBUTING[CONTRIBUTING.index("## The folders") :].split("```")[1]
    listed = [line.split()[0] for line in block.strip().splitlines()]
    assert sorted(listed) == [f"{folder.relative_to(ROOT)}/" for folder in FOLDERS]
    assert all(len(line.split()) > 3 for line in block.strip().splitlines())


def steps(heading: str) -> list[tuple[str, str]]:
    text = CONTRIBUTING[CONTRIBUTING.index(f"### {heading}") :].partition("\n##")[0]
    return re.findall(r"^\d+\. `([\w/.]+)`, `([\w.]+)`:", text, re.MULTILINE)


def lines_of(path: str, name: str) -> int:
    """Lines of a function or method."""
    body = ast.parse((ROOT / path).read_text(encoding="utf-8")).body
    for part in name.split("."):
        node = next(n for n in body if isinstance(n, ast.ClassDef | ast.FunctionDef) and n.name == part)
        body = node.body
    return (node.end_lineno or 0) - node.lineno + 1


def test_the_walks_lead_where_they_say() -> None:
    near, vector = steps("The near rule"), steps("One vector")
    assert len(near) == 6
    assert len(vector) == 14
    assert all(lines_of(path, name) > 1 for path, name in [*near, *vector])
    assert sum(lines_of(path, name) for path, name in near) <= WALK_LINES


def test_the_command_of_the_walk_prints_what_it_says() -> None:
    command, printed = re.search(r'python -c "(.*?)"\n```\n\nwhich prints `(.*?)`', CONTRIBUTING).groups()  # type: ignore[union-attr]
    done = subprocess.run([sys.executable, "-c", command], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.strip() == printed, done.stderr
