"""`nearfar export --cls`: the number of a sample's class as webdataset has it, from a column of the split."""

from __future__ import annotations

import re
import shutil
import tarfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from export_pool import grouped, write_tar
from image_pools import write_images, write_images_plan
from whole_runs import Run

from pipeline.execution.progress import Progress
from pipeline.plan import load_plan
from pipeline.run import RunOptions, execute


def write_numbered(folder: Path) -> Path:
    """A tar of samples whose captions name classes; one has a cls of its own, and one names none."""
    captions = {"a": "a cat", "b": "a dog", "c": "nothing", "d": "the dog"}
    members: list[tuple[str, bytes | None]] = []
    for key, caption in captions.items():
        members += [(f"{key}.jpg", key.encode()), (f"{key}.txt", caption.encode())]
        members += [(f"{key}.cls", b"own")] if key in "cd" else []
    (folder / "pool").mkdir(parents=True)
    write_tar(folder / "pool/00000.tar", members)
    columns = {"url": [f"http://x.test/{key}" for key in captions], "caption": list(captions.values())}
    columns |= {"key": list(captions), "status": ["success"] * len(captions)}
    table = pa.table(columns).append_column("height", pa.array([4, 5, None, 7], pa.int32()))
    pq.write_table(table, folder / "pool/00000.parquet")
    (folder / "names.json").write_text('["cat", "dog"]')
    plan = {
        "name": "numbered",
        "pool": {"path": str(folder / "pool"), "format": "img2dataset"},
        "output": str(folder / "out"),
        "measures": {"classes": {"matcher": "substring", "names": str(folder / "names.json")}},
        "splits": {
            "whole": [{"where": "true"}],
            "classed": [{"where": "classes.single >= 0 OR true"}, {"repeat": {"times": "2"}}],
        },
    }
    path = folder / "plan.yaml"
    path.write_text(yaml.safe_dump(plan))
    return path


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run; its folder."""
    folder = tmp_path_factory.mktemp("cls")
    with Progress(folder / "out", live=False) as progress:
        execute(load_plan(write_numbered(folder), []), RunOptions(), progress)
    return folder


def numbers(folder: Path) -> dict[str, bytes | None]:
    """What each image's sample has as its cls; all copies of one have the same."""
    found: dict[str, bytes | None] = {}
    for _, _, members in grouped(folder):
        assert found.setdefault(members["jpg"].decode(), members.get("cls")) == members.get("cls")
    return found


def test_a_class_that_a_measure_found_is_written(finished: Path, tmp_path: Path, cli: Run) -> None:
    shutil.copytree(finished / "out", tmp_path / "out")
    out = str(tmp_path / "out")
    code, _, errors = cli("export", out, "classed", "--cls", "classes.single")
    assert code == 0, errors
    folder = tmp_path / "out/shards/classed"
    assert numbers(folder) == {"a": b"0", "b": b"1", "c": b"own", "d": b"1"}
    assert len(grouped(folder)) == 8
    with tarfile.open(folder / "00000000.tar") as tar:
        kinds = {member.name.partition(".")[2] for member in tar}
    assert kinds == {"jpg", "txt", "json", "cls"}
    code, said, _ = cli("verify", out)
    assert code == 0, said
    assert cli("export", out, "classed")[0] == 0
    assert numbers(folder) == {"a": None, "b": None, "c": b"own", "d": b"own"}


def test_a_column_of_the_pool_is_written_where_it_has_a_number(
    finished: Path, tmp_path: Path, cli: Run
) -> None:
    shutil.copytree(finished / "out", tmp_path / "out")
    assert cli("export", str(tmp_path / "out"), "whole", "--cls", "height")[0] == 0
    assert numbers(tmp_path / "out/shards/whole") == {"a": b"4", "b": b"5", "c": b"own", "d": b"7"}


def test_a_column_that_has_no_numbers_is_refused_with_those_that_do(
    finished: Path, tmp_path: Path, cli: Run
) -> None:
    shutil.copytree(finished / "out", tmp_path / "out")
    out = str(tmp_path / "out")
    for name in ("caption", "nothing", "classes.found", "classes"):
        code, _, errors = cli("export", out, "classed", "--cls", name)
        assert (code, f"--cls {name}" in errors, "height, classes.single" in errors) == (2, True, True), (
            errors
        )
    code, _, errors = cli("export", out, "whole", "--cls", "classes.single")
    advised = re.search(r'\{where: "(.*?)"\} does of the measure classes, and run the plan again', errors)
    assert code == 2
    assert advised, errors
    plan = yaml.safe_load((finished / "plan.yaml").read_text()) | {"output": out}
    plan["splits"]["whole"].append({"where": advised.group(1)})
    (tmp_path / "plan.yaml").write_text(yaml.safe_dump(plan))
    assert cli("run", str(tmp_path / "plan.yaml"))[0] == 0
    assert cli("export", out, "whole", "--cls", "classes.single")[0] == 0
    assert numbers(tmp_path / "out/shards/whole") == {"a": b"0", "b": b"1", "c": b"own", "d": b"1"}


def test_a_csv_has_no_class(tmp_path: Path, cli: Run) -> None:
    write_images(tmp_path / "pool")
    assert cli("run", str(write_images_plan(tmp_path)))[0] == 0
    code, _, errors = cli("export", str(tmp_path / "out"), "cats", "--csv", "--cls", "height")
    assert (code, "leave --cls out" in errors) == (2, True)
    assert cli("export", str(tmp_path / "out"), "cats", "--csv")[0] == 0
