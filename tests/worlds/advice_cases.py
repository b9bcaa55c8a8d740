"""Situations that are answered with advice, and what a person does who takes it literally.

A case is a generator: up to its `yield` it makes the situation, in which the command fails with the advice; what it
yields is what the advice must say; after it the advice is carried out, and the command then succeeds.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from reader_sets import write_tar
from small_sets import WIDTH, rows_of, unit, write_part

ROOT = Path(__file__).resolve().parents[2]
TINY = ROOT / "data_manifests" / "encoders" / "tiny"
WEIGHTS = TINY / "open_clip_model.safetensors"
IMAGE = b"\xff\xd8\xff"


@dataclass
class World:
    """A pool of two parts of six, a benchmark of three, and a plan over them.

    `said` is what the command answered; `do` runs another one, and gives its exit code; `setenv` sets a variable.
    """

    folder: Path
    plan: dict[str, Any] = field(default_factory=dict)
    command: tuple[str, ...] = ()
    said: str = ""
    do: Callable[..., int] = field(default=lambda *_: 1)
    setenv: Callable[[str, str], None] = field(default=lambda *_: None)

    @staticmethod
    def new(folder: Path) -> World:
        for number in range(2):
            write_part(folder / "pool", number, unit(10 + number, 6), rows_of("p", 6 * number, 6))
        write_part(folder / "one", 0, unit(21, 3), rows_of("q", 0, 3))
        plan = {
            "name": "advised",
            "pool": {"path": str(folder / "pool")},
            "benchmarks": {"one": {"path": str(folder / "one")}},
            "splits": {"near_out": [{"near": {"to": "all", "threshold": 0.9}}]},
            "output": str(folder / "out"),
        }
        return World(folder, plan)

    def arguments(self) -> tuple[str, ...]:
        """Write the plan, and give the command: a run of it, unless the case has another."""
        path = self.folder / "plan.yaml"
        path.write_text(yaml.safe_dump(self.plan, sort_keys=False, allow_unicode=True))
        return self.command or ("run", str(path))

    def quoted(self) -> list[str]:
        """What the answer has in single quotes."""
        return re.findall(r"'([^']*)'", self.said)

    def rule(self, *rules: dict[str, Any]) -> None:
        self.plan["splits"] = {"chosen": list(rules)}

    def pool_of(self, columns: dict[str, Any]) -> Path:
        """Make the pool a single table of metadata, which needs no benchmark."""
        shutil.rmtree(self.folder / "pool")
        (self.folder / "pool").mkdir()
        path = self.folder / "pool" / "p.parquet"
        pq.write_table(pa.table(columns), path)
        self.plan.pop("benchmarks", None)
        self.plan["splits"] = {"whole": []}
        return path

    def images(self) -> None:
        """Make pool and benchmark folders of images, embedded by the tiny encoder."""
        from malformed_images import plain

        for name in ("pool", "one"):
            shutil.rmtree(self.folder / name)
            (self.folder / name).mkdir()
            for number in range(2):
                image = plain(np.random.default_rng(number))
                (self.folder / name / f"{number}.png").write_bytes(image)
        self.plan["encoder"] = {"model": str(TINY), "pretrained": str(WEIGHTS)}

    def tars(self, count: int = 2, sidecars: bool = False) -> None:
        """Make the pool tars, and the plan one that reads their metadata."""
        self.pool_of({"x": [1]}).unlink()
        for number in range(count):
            entries = [(f"{number}.jpg", IMAGE), (f"{number}.txt", b"a caption")]
            write_tar(self.folder / "pool" / f"{number}.tar", entries)
            if sidecars:
                columns = {"key": [str(number)], "caption": ["a caption"]}
                pq.write_table(pa.table(columns), self.folder / "pool" / f"{number}.parquet")
        self.images_of_tars()

    def images_of_tars(self) -> None:
        """Tars hold images, so a plan over them names an encoder."""
        self.plan["encoder"] = {"model": str(TINY), "pretrained": str(WEIGHTS)}


Case = Callable[[World], Iterator[str]]
CASES: dict[str, Case] = {}


def case(make: Case) -> Case:
    """Take it up, by its name."""
    CASES[make.__name__] = make
    return make


@case
def truncated_parquet(w: World) -> Iterator[str]:
    path = w.folder / "pool" / "metadata" / "metadata_1.parquet"
    whole = path.read_bytes()
    path.write_bytes(whole[:-9])
    yield "Fetch or make this file again"
    Path(w.quoted()[0]).write_bytes(whole)


@case
def truncated_vectors(w: World) -> Iterator[str]:
    path = w.folder / "pool" / "img_emb" / "img_emb_1.npy"
    whole = path.read_bytes()
    path.write_bytes(whole[:-9])
    yield "Fetch or write it again"
    Path(w.quoted()[0]).write_bytes(whole)


@case
def rows_differ(w: World) -> Iterator[str]:
    np.save(w.folder / "pool" / "img_emb" / "img_emb_1.npy", unit(11, 5))
    yield "Fetch or write both again"
    vectors, metadata = w.quoted()[:2]
    np.save(vectors, unit(11, 6))
    pq.write_table(pa.Table.from_pylist(rows_of("p", 6, 6)), metadata)


@case
def a_file_without_its_partner(w: World) -> Iterator[str]:
    np.save(w.folder / "pool" / "img_emb" / "img_emb_7.npy", unit(1, 2))
    yield "Fetch the missing files, or take these away"
    (Path(w.quoted()[0]) / w.quoted()[2]).unlink()


@case
def another_width(w: World) -> Iterator[str]:
    write_part(w.folder / "pool", 2, unit(9, 3, 2 * WIDTH), rows_of("x", 0, 3))
    yield "Take out what does not belong to it"
    wrong = Path(w.quoted()[0])
    wrong.unlink()
    (w.folder / "pool" / "metadata" / "metadata_2.parquet").unlink()


@case
def two_encoders(w: World) -> Iterator[str]:
    write_part(w.folder / "one", 0, unit(9, 3, 2 * WIDTH), rows_of("x", 0, 3))
    yield "embed both with one"
    write_part(w.folder / "one", 0, unit(9, 3), rows_of("x", 0, 3))


@case
def an_unknown_benchmark(w: World) -> Iterator[str]:
    w.rule({"near": {"to": ["onee"], "threshold": 0.9}})
    yield "Name one of these under {}"
    w.rule({"near": {"to": [w.said.split("it has: ")[1].split(".")[0]], "threshold": 0.9}})


@case
def no_benchmark(w: World) -> Iterator[str]:
    benchmarks = w.plan.pop("benchmarks")
    yield "Add one under benchmarks"
    w.plan["benchmarks"] = benchmarks


@case
def no_reference(w: World) -> Iterator[str]:
    w.rule({"near": {"to": "all"}})
    yield "Add a reference, or give a threshold between -1 and 1, keep, or fraction"
    w.rule({"near": {"to": "all", "fraction": 0.5}})


@case
def a_benchmark_twice(w: World) -> Iterator[str]:
    w.rule({"near": {"to": ["one", "one"], "threshold": 0.9}})
    yield "name each one once"
    w.rule({"near": {"to": ["one"], "threshold": 0.9}})


@case
def no_condition(w: World) -> Iterator[str]:
    w.rule({"where": "width"})
    yield "write a comparison, such as width >= 200, or caption IS NOT NULL"
    w.rule({"where": w.said.split("such as ")[1].split(",")[0]})


@case
def the_day_of_the_run(w: World) -> Iterator[str]:
    w.rule({"where": "CAST('today' AS DATE) > DATE '2020-01-01'"})
    yield "write the date itself, such as DATE '2024-01-31'"
    w.rule({"where": f"{w.said.split('such as ')[1].splitlines()[0].strip()} > DATE '2020-01-01'"})


@case
def a_list_as_one_value(w: World) -> Iterator[str]:
    w.pool_of({"url": ["u", "v"], "tags": [["a"], ["b", "c"]]})
    w.rule({"where": "tags = 'a'"})
    yield "ask for len({}), list_contains({}, value), list_has_any({}, [a, b]), list_has_all or IS NULL"
    w.rule({"where": w.said.split("value; ")[1].split(", ")[0].removeprefix("ask for ") + " = 1"})


@case
def too_many_clusters(w: World) -> Iterator[str]:
    w.plan["measures"] = {"clusters": {"k": 500}}
    yield "Lower k"
    w.plan["measures"] = {"clusters": {"k": 2}}


@case
def another_count(w: World) -> Iterator[str]:
    w.plan["pool"]["expect"] = {"samples": 99}
    yield "complete the set, or correct `expect` in the plan"
    w.plan["pool"]["expect"] = {"samples": int(w.said.split(" has ")[-1].split()[0])}


@case
def no_usable_vector(w: World) -> Iterator[str]:
    np.save(w.folder / "one" / "img_emb" / "img_emb_0.npy", np.zeros((3, WIDTH), np.float16))
    yield "check its files"
    np.save(w.folder / "one" / "img_emb" / "img_emb_0.npy", unit(21, 3))


@case
def uids_that_are_none(w: World) -> Iterator[str]:
    path = w.pool_of({"url": ["u", "v"], "uid": ["1", "2"]})
    yield "Correct them, or rename the column: uids are then derived"
    pq.write_table(pa.table({"url": ["u", "v"], "own_uid": ["1", "2"]}), path)


@case
def captions_that_are_numbers(w: World) -> Iterator[str]:
    path = w.pool_of({"url": ["u", "v"], "caption": [1.5, 2.5]})
    yield "Rename the column, or convert it"
    pq.write_table(pa.table({"url": ["u", "v"], "score": [1.5, 2.5]}), path)


@case
def a_metadata_folder_of_another_name(w: World) -> Iterator[str]:
    (w.folder / "pool" / "metadata").rename(w.folder / "pool" / "laion-metadata")
    yield "Name the right one under {}"
    w.plan["pool"]["metadata"] = "laion-metadata"


@case
def neither_vectors_nor_images(w: World) -> Iterator[str]:
    benchmarks = w.plan["benchmarks"]
    w.pool_of({"url": ["u", "v"], "caption": ["a", "b"]})
    w.plan["benchmarks"] = benchmarks
    yield "name a folder of .npy files under embeddings, or remove the benchmarks from the plan"
    del w.plan["benchmarks"]


@case
def vectors_beside_metadata(w: World) -> Iterator[str]:
    benchmarks = w.plan["benchmarks"]
    w.pool_of({"url": ["u", "v"], "caption": ["a", "b"]})
    w.plan["benchmarks"] = benchmarks
    yield "name a folder of .npy files under embeddings, or remove the benchmarks from the plan"
    (w.folder / "vectors").mkdir()
    np.save(w.folder / "vectors" / "0.npy", unit(3, 2))
    w.plan["pool"]["embeddings"] = str(w.folder / "vectors")


@case
def images_without_an_encoder(w: World) -> Iterator[str]:
    w.images()
    encoder = w.plan.pop("encoder")
    yield "add encoder: {model: ViT-B-16-plus-240, pretrained: laion400m_e32}"
    w.plan["encoder"] = encoder


@case
def an_encoder_without_weights(w: World) -> Iterator[str]:
    w.images()
    w.plan["encoder"]["pretrained"] = str(w.folder / "nothing.safetensors")
    yield "give the path of a file, best in safetensors"
    w.plan["encoder"]["pretrained"] = str(WEIGHTS)


@case
def a_model_that_is_nowhere(w: World) -> Iterator[str]:
    w.images()
    w.plan["encoder"]["model"] = str(w.folder / "models" / "tiny")
    yield "give an open_clip model name, a folder that has {}, or a JSON file"
    w.plan["encoder"]["model"] = str(TINY)


@case
def the_output_is_the_pool(w: World) -> Iterator[str]:
    w.plan["output"] = str(w.folder / "pool")
    yield "name a folder of its own (`output`, or --out of an audit)"
    w.plan["output"] = str(w.folder / "out")


@case
def the_pool_lies_in_the_output(w: World) -> Iterator[str]:
    shutil.move(w.folder / "pool", w.folder / "out" / "samples" / "mine")
    w.plan["pool"]["path"] = str(w.folder / "out" / "samples" / "mine")
    yield "name another output folder"
    w.plan["output"] = str(w.folder / "elsewhere")


@case
def a_file_in_the_way(w: World) -> Iterator[str]:
    (w.folder / "out").write_text("x")
    yield "Name another output"
    w.plan["output"] = str(w.folder / "elsewhere")


@case
def a_lock_that_is_a_link(w: World) -> Iterator[str]:
    (w.folder / "out").mkdir()
    (w.folder / "out" / ".lock").symlink_to(w.folder / "plan.yaml")
    yield "remove it and run again"
    Path(w.quoted()[0]).unlink()


@case
def no_run_to_verify(w: World) -> Iterator[str]:
    (w.folder / "empty").mkdir()
    w.command = ("status", str(w.folder / "empty"))
    yield "name the `output` folder of a plan"
    w.command = ()


@case
def an_override_without_a_value(w: World) -> Iterator[str]:
    plain = w.arguments()
    w.command = (*plain, "--set", "pool.path")
    yield "write it like --set pool.path=my_pool"
    w.command = (*plain, "--set", f"pool.path={w.folder / 'pool'}")


@case
def losses_without_a_gate(w: World) -> Iterator[str]:
    w.command = audit(w, "--allow-lost", "0.1")
    yield "give --fail-above too"
    w.command = (*w.command, "--fail-above", "1")


@case
def weights_without_a_model(w: World) -> Iterator[str]:
    w.command = audit(w, "--pretrained", str(WEIGHTS))
    yield "give --model too, such as --model ViT-B-32, or leave both out where every set brings embeddings"
    w.command = audit(w)


@case
def a_benchmark_without_a_name(w: World) -> Iterator[str]:
    w.command = ("audit", "--pool", str(w.folder / "pool"), "--benchmark", str(w.folder / "one"))
    w.command += ("--out", str(w.folder / "aud"))
    yield "write --benchmark sketch=/data/sketch"
    w.command = audit(w)


@case
def two_benchmarks_of_a_name(w: World) -> Iterator[str]:
    w.command = audit(w, "--benchmark", f"one={w.folder / 'one'}")
    yield "give each benchmark a name of its own"
    w.command = audit(w, "--benchmark", f"two={w.folder / 'one'}")


def audit(w: World, *more: str) -> tuple[str, ...]:
    named = ("--pool", str(w.folder / "pool"), "--benchmark", f"one={w.folder / 'one'}")
    return ("audit", *named, "--out", str(w.folder / "aud"), *more)


@case
def a_tar_without_its_sidecar(w: World) -> Iterator[str]:
    w.tars(sidecars=True)
    (w.folder / "pool" / "1.parquet").unlink()
    yield "fetch the missing files, or take these away"
    (w.folder / "pool" / "1.tar").unlink()


@case
def a_sidecar_without_keys(w: World) -> Iterator[str]:
    w.tars(count=1, sidecars=True)
    pq.write_table(pa.table({"caption": ["x"]}), w.folder / "pool" / "0.parquet")
    yield "Add it, or take the file away: a tar needs no other file"
    Path(w.quoted()[0]).unlink()


@case
def a_truncated_tar(w: World) -> Iterator[str]:
    w.tars()
    path = w.folder / "pool" / "1.tar"
    whole = path.read_bytes()
    path.write_bytes(whole[:1024])
    yield "Fetch or write the shard again"
    Path(w.quoted()[0]).write_bytes(whole)


@case
def joined_tars(w: World) -> Iterator[str]:
    w.tars()
    first, second = (w.folder / "pool" / f"{number}.tar" for number in range(2))
    joined = first.read_bytes() + second.read_bytes()
    kept = second.read_bytes()
    first.write_bytes(joined)
    second.unlink()
    yield "Split it, or write it again"
    at = len(joined) - len(kept)
    first.write_bytes(joined[:at])
    second.write_bytes(joined[at:])


@case
def scattered_keys(w: World) -> Iterator[str]:
    w.tars(count=1)
    members = [("a.jpg", IMAGE), ("b.jpg", IMAGE), ("a.txt", b"A"), ("b.txt", b"B")]
    write_tar(w.folder / "pool" / "0.tar", members)
    yield "Write the shard again with each sample's files side by side"
    write_tar(w.folder / "pool" / "0.tar", sorted(members))


@case
def a_broken_table_of_captions(w: World) -> Iterator[str]:
    w.images()
    (w.folder / "pool" / "metadata.jsonl").write_text('{"file_name": "0.png"\n')
    yield "Write it again, or take it away"
    Path(w.quoted()[0]).unlink()


@case
def an_array_that_is_not_there(w: World) -> Iterator[str]:
    w.pool_of({"url": ["u", "v"]})
    np.savez(w.folder / "pool" / "p.npz", l14_img=unit(4, 2))
    w.plan["benchmarks"] = {"one": {"path": str(w.folder / "one")}}
    yield "Name one of these of '{}' under embedding"
    w.plan["pool"]["embedding"] = w.said.split("available: ")[1].split(".")[0]


@case
def too_few_of_a_class(w: World) -> Iterator[str]:
    w.pool_of({"url": ["u", "v"], "kind": ["a", "b"]})
    rule = {"by": "kind", "per_class": 5}
    w.rule({"class-balance": rule | {"strict": True}})
    yield "Ask for fewer, or let it take what there is"
    w.rule({"class-balance": rule | {"per_class": 1, "strict": True}})


@case
def a_count_without_bounds(w: World) -> Iterator[str]:
    w.pool_of({"url": ["u", "v"], "n": [1, 10**9]})
    w.rule({"repeat": {"times": "n"}})
    yield "Write least(…, n) around it"
    w.rule({"repeat": {"times": "least(n, 5)"}})
