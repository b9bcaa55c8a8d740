"""Units name the committed files that they read: no other is opened, and each is hashed before."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from flat_atlas import draw_flat_atlas, flat
from measured_world import write_measured_plan
from opened_files import Opened
from test_rotten_bytes import flip

from indexes.errors import OutputError
from pipeline import run as running
from pipeline.atlases.drawing_up import atlas_waves, atlases_of
from pipeline.commit import find, forget
from pipeline.execution import performing
from pipeline.execution.context import RunContext
from pipeline.execution.progress import Progress
from pipeline.execution.work import task_of, together
from pipeline.passes.packed_queries import packed
from pipeline.plan import load_plan
from pipeline.projection import umap_layout
from pipeline.projection.atlas_request import AtlasRequest
from pipeline.run import RunOptions, execute, open_run, waves
from pipeline.shipping import export, export_waves
from pipeline.stages import performing_names
from pipeline.webdataset.export_request import ExportRequest
from pipeline.webdataset.exports_there import exports_of

Group = list[running.Work]  # type: ignore[type-arg]
"""Units that are done together."""


@pytest.fixture(scope="module", autouse=True)
def _laid_out_flat() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(umap_layout, "places", flat)
        yield


@pytest.fixture(scope="module")
def finished(small_world: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[RunContext, list[Group]]:
    """A finished run of every stage, and an export; the units as a further run plans them."""
    folder = tmp_path_factory.mktemp("named")
    plan = load_plan(write_measured_plan(folder, small_world), [])
    with Progress(folder / "out") as progress:
        execute(plan, RunOptions(), progress)
        export(folder / "out", ExportRequest("unique", 50), RunOptions(), progress)
    draw_flat_atlas(folder / "out", AtlasRequest("unique", most=30))
    run = open_run(plan, RunOptions())
    groups = []
    for _, wave in waves(run):
        groups += _noted(run, wave)
    for request in exports_of(run.out):
        for wave in export_waves(run, request):
            groups += _noted(run, wave)
    for wanted in atlases_of(run.out):
        for wave in atlas_waves(run, wanted):
            groups += _noted(run, wave)
    return run, groups


def _noted(run: RunContext, wave: Group) -> list[Group]:
    for work in wave:
        record = find(run.out, work.unit())
        assert record is not None, work.label
        run.finish(record)
    return together(wave)


def perform(group: Group) -> None:
    """Do units again, as a process does that has done nothing yet."""
    packed.cache_clear()
    for work in group:
        if find(Path(work.place.out), work.unit()) is not None:
            forget(Path(work.place.out), work.unit())
    performing.perform(**task_of(group, {}).arguments)


def test_a_unit_opens_what_it_names_and_nothing_else(
    finished: tuple[RunContext, list[Group]], monkeypatch: pytest.MonkeyPatch
) -> None:
    run, groups = finished
    before_runs = {"cut", "fetch", "hosts"}  # what `nearfar ingest` does, in a folder of its own
    assert {work.stage for group in groups for work in group} == set(performing_names()) - before_runs
    monkeypatch.setattr(performing, "check_sound", lambda *_: None)  # it opens what is named
    opened = Opened(run.out)
    for group in groups:
        before = {work.name: run.record(work.stage, work.name) for work in group}
        opened.take()
        perform(group)
        found = {path for path in opened.take() if not path.startswith(("attempts/", "commits/", "./"))}
        named = {one.path for work in group for one in work.committed}
        assert found == named, group[0].label
        for work in group:
            assert find(run.out, work.unit()) == before[work.name]
    opened.close()


def test_a_unit_refuses_each_file_that_is_not_what_was_committed(
    finished: tuple[RunContext, list[Group]], monkeypatch: pytest.MonkeyPatch
) -> None:
    run, groups = finished
    done: list[str] = []
    monkeypatch.setattr(performing, "_perform", lambda todo, _: done.append(todo[0].label))
    refused = 0
    for group in groups:
        for path in {one.path: run.out / one.path for work in group for one in work.committed}.values():
            held = flip(path, refused)
            with pytest.raises(OutputError, match=r"is not what was committed.*--repair") as error:
                perform(group)
            assert str(path) in str(error.value)
            path.write_bytes(held)
            refused += 1
    assert refused > 300
    assert not done
    for group in groups:
        perform(group)
    assert len(done) == len(groups)


def test_what_rots_between_two_stages_of_one_run_is_found(
    small_world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = load_plan(write_measured_plan(tmp_path, small_world, splits={}, measures={}, audit={}), [])
    out, doing = tmp_path / "out", running.do_wave

    def rotting(run: RunContext, options: RunOptions, progress: Progress, wave: Group, by: str) -> bool:
        if wave and wave[0].stage == "calibrate":
            flip(out / "samples/reference/part-0000.parquet", 5)
        return doing(run, options, progress, wave, by)

    monkeypatch.setattr(running, "do_wave", rotting)
    with (
        Progress(out) as progress,
        pytest.raises(OutputError, match=r"samples/reference/part-0000.parquet' is not"),
    ):
        execute(plan, RunOptions(), progress)
    assert not (out / "commits" / "calibrate").exists()
