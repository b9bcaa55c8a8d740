"""Further situations that are answered with advice: what plans, options and output folders bring about."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from advice_cases import IMAGE, ROOT, TINY, WEIGHTS, World, case
from reader_sets import write_tar
from small_sets import WIDTH, rows_of, unit, write_part


@case
def a_predicate_that_asks_further(w: World) -> Iterator[str]:
    w.rule({"where": "width IN (SELECT 1)"})
    yield "it may hold comparisons, AND, OR, NOT, IN, BETWEEN, LIKE, IS NULL, CASE, CAST, arithmetic and: {}"
    w.rule({"where": "width IN (1, 2) AND width BETWEEN 0 AND CAST(5 AS BIGINT)"})


@case
def a_column_that_sql_calls_its_own(w: World) -> Iterator[str]:
    w.pool_of({"url": ["u", "v"], "when": [1, 2]})
    w.rule({"where": "when > 1"})
    yield "a name that SQL uses itself stands in double quotes"
    w.rule({"where": '"when" > 1'})


@case
def values_of_two_types(w: World) -> Iterator[str]:
    w.pool_of({"url": ["u", "v"], "taken": pa.array([0, 1], pa.timestamp("us"))})
    w.rule({"where": "taken > 3"})
    yield "Compare values of one type, or CAST one of them"
    w.rule({"where": "taken > CAST('2020-01-01' AS TIMESTAMP)"})


@case
def a_replacement_that_is_no_text(w: World) -> Iterator[str]:
    w.rule({"where": "replace(caption, key, url) = 'x'"})
    yield "give replace a text, such as ''"
    w.rule({"where": "replace(caption, key, '') = 'x'"})


@case
def a_text_that_grows_without_end(w: World) -> Iterator[str]:
    w.rule({"where": f"replace(replace(caption, 'a', '{'b' * 300}'), 'b', '{'c' * 300}') = 'x'"})
    yield "replace by shorter text, or fewer times inside one another"
    w.rule({"where": "replace(replace(caption, 'a', 'b'), 'b', 'c') = 'x'"})


@case
def a_manifest_in_place_of_a_plan(w: World) -> Iterator[str]:
    plain, manifests = w.arguments(), ROOT / "data_manifests"
    w.command = ("plan", str(manifests / "pools" / "laion_400m.yaml"))
    yield "name it in one, as the manifest of its pool, reference or a benchmark"
    w.plan["pool"]["manifest"] = str(manifests / "pools" / "laion_400m.yaml")
    w.command = ("plan", *plain[1:])


@case
def another_format(w: World) -> Iterator[str]:
    w.plan["pool"]["format"] = "img2dataset"
    yield "Correct path or format; formats: {}"
    w.plan["pool"]["format"] = w.said.split("looks like ")[1].split(".")[0]


@case
def no_worker(w: World) -> Iterator[str]:
    plain = w.arguments()
    w.command = (*plain, "--workers", "1", "--scheduler", "tcp://127.0.0.1:1")
    yield "give --workers a number from 1 upwards, or --scheduler an address, not both"
    w.command = plain


@case
def an_unknown_device(w: World) -> Iterator[str]:
    plain = w.arguments()
    w.command = (*plain, "--device", "tpu")
    yield "Use one of these"
    w.command = (*plain, "--device", w.said.split("available: ")[1].split(",")[0])


@case
def a_device_that_is_not_there(w: World) -> Iterator[str]:
    plain = w.arguments()
    w.command = (*plain, "--device", "cuda:77")
    yield "Use one of these, or auto"
    w.command = (*plain, "--device", "auto")


@case
def an_override_of_no_key(w: World) -> Iterator[str]:
    plain = w.arguments()
    w.command = (*plain, "--set", "splits..x=1")
    yield "write it like pool.path or splits.a[0].near.keep"
    w.command = (*plain, "--set", "splits.near_out[0].near.threshold=0.8")


@case
def a_measure_of_no_benchmark(w: World) -> Iterator[str]:
    w.plan["measures"] = {"norm_sim": {"to": "two"}}
    yield "Name one of these, or add it under benchmarks"
    w.plan["measures"] = {"norm_sim": {"to": w.said.split("it has: ")[1].split(".")[0]}}


@case
def clusters_without_a_target(w: World) -> Iterator[str]:
    w.plan["measures"] = {"clusters": {"k": 2}}
    w.rule({"image-based": {}})
    yield "Name a benchmark under measures.{}.target"
    w.plan["measures"] = {"clusters": {"k": 2, "target": "one"}}


@case
def clusters_of_clusters_that_become_more(w: World) -> Iterator[str]:
    w.plan["measures"] = {"clusters": {"k": 4, "levels": [2, 3]}}
    yield "give numbers that become fewer, the first below k"
    w.plan["measures"]["clusters"]["levels"] = [3, 2]


EVEN_AND_ODD = [f"p{n:06d},{'odd' if n % 2 else 'even'}" for n in range(12)]


def _labelled(w: World, lines: list[str], header: str = "key,domain", **options: Any) -> Path:
    """Give the plan a measure of domains, by labels."""
    path = w.folder / "labels.csv"
    path.write_text("\n".join([header, *lines]) + "\n")
    w.plan["measures"] = {"domain": {"labels": str(path), "precision": 0.05, **options}}
    return path


@case
def labels_that_are_not_there(w: World) -> Iterator[str]:
    _labelled(w, EVEN_AND_ODD).rename(w.folder / "elsewhere.csv")
    yield "give a table with the columns uid or key, and domain, as Parquet or CSV"
    w.plan["measures"]["domain"]["labels"] = str(w.folder / "elsewhere.csv")


@case
def labels_that_are_no_table(w: World) -> Iterator[str]:
    path = _labelled(w, EVEN_AND_ODD)
    path.write_bytes(b"")
    yield "give Parquet, or CSV with a header"
    _labelled(w, EVEN_AND_ODD)


@case
def labels_with_other_columns(w: World) -> Iterator[str]:
    _labelled(w, EVEN_AND_ODD, header="image,style")
    yield "it needs the columns uid or key, and domain. Rename its columns"
    _labelled(w, EVEN_AND_ODD)


@case
def a_label_without_a_domain(w: World) -> Iterator[str]:
    _labelled(w, [*EVEN_AND_ODD[1:], "p000000,"])
    yield "complete the row, or leave it out"
    _labelled(w, EVEN_AND_ODD[1:])


@case
def a_sample_of_two_domains(w: World) -> Iterator[str]:
    _labelled(w, [*EVEN_AND_ODD, "p000000,odd"])
    yield "leave one of both out"
    _labelled(w, EVEN_AND_ODD)


@case
def labels_of_one_domain(w: World) -> Iterator[str]:
    _labelled(w, EVEN_AND_ODD[::2])
    yield "which tells nothing apart; add labels of another"
    _labelled(w, EVEN_AND_ODD)


@case
def labels_that_changed(w: World) -> Iterator[str]:
    _labelled(w, EVEN_AND_ODD, digest="0" * 64)
    yield "Bring the former file back, or leave {}.digest out"
    del w.plan["measures"]["domain"]["digest"]


@case
def a_group_of_a_domain_that_no_label_says(w: World) -> Iterator[str]:
    _labelled(w, EVEN_AND_ODD, groups={"whole": ["evn"]})
    yield "which no label says; there are: {}. Name one of these"
    _labelled(w, EVEN_AND_ODD, groups={"whole": [w.said.split("there are: ")[1].split(",")[0]]})


@case
def a_domain_in_two_groups(w: World) -> Iterator[str]:
    _labelled(w, EVEN_AND_ODD, groups={"whole": ["even"], "half": ["even"]})
    yield "leave it in one"
    _labelled(w, EVEN_AND_ODD, groups={"whole": ["even"]})


@case
def labels_of_what_is_not_in_the_pool(w: World) -> Iterator[str]:
    _labelled(w, [*EVEN_AND_ODD, "p000099,odd"])
    yield "Correct the labels, or say partial: true to pass over such"
    w.plan["measures"]["domain"]["partial"] = True


@case
def labels_that_are_too_few(w: World) -> Iterator[str]:
    _labelled(w, EVEN_AND_ODD, precision=0.9)
    yield "Add about {} labels of it, or lower precision"
    _labelled(w, EVEN_AND_ODD)


@case
def domains_of_two_encoders(w: World) -> Iterator[str]:
    write_part(w.folder / "two", 0, unit(31, 3), rows_of("q", 0, 3))
    w.plan["benchmarks"]["two"] = {"path": str(w.folder / "two"), "encoder": "other"}
    tiny = {"model": str(TINY), "pretrained": str(WEIGHTS)}
    w.plan["encoders"] = {"first": tiny, "other": dict(tiny)}
    w.plan["benchmarks"]["one"]["encoder"] = "first"
    w.plan["splits"] = {"whole": []}
    _labelled(w, EVEN_AND_ODD, benchmarks=["one", "two"])
    yield "Name benchmarks of one encoder there, and give the others a measure of their own"
    w.plan["measures"]["domain"]["benchmarks"] = ["one"]
    del w.plan["benchmarks"]["two"]


@case
def a_rule_of_a_domain_that_no_label_says(w: World) -> Iterator[str]:
    _labelled(w, EVEN_AND_ODD)
    w.rule({"domain": {"take": ["photo"]}})
    yield "which no label of the measure {} says; there are: {}. Name one of these"
    w.rule({"domain": {"take": [w.said.split("there are: ")[1].split(",")[0]]}})


@case
def classes_of_a_held_out_domain_as_lists(w: World) -> Iterator[str]:
    _labelled(w, EVEN_AND_ODD)
    w.plan["measures"]["classes"] = {"matcher": "laionet"}
    held = {"setup": "high-diversity", "out": "odd", "fraction": 0.5, "by": "classes.found"}
    w.rule({"domain-holdout": held})
    yield "name a column of one class a sample"
    w.rule({"domain-holdout": held | {"by": "classes.single"}})


@case
def sizes_of_another_name(w: World) -> Iterator[str]:
    w.pool_of({"url": ["u", "v"], "caption": ["a b c", "d e f g"], "breadth": [300, 300], "rise": [300, 300]})
    w.rule({"basic": {}})
    yield "Name yours under {}.{}"
    w.rule({"basic": {"width": "breadth", "height": "rise"}})


@case
def an_order_that_semdedup_has(w: World) -> Iterator[str]:
    w.plan["measures"] = {"clusters": {"k": 2}, "duplicates": {"rule": "semdedup", "order": "width"}}
    yield "leave it out, or take rule: clip_ood"
    w.plan["measures"] = {"clusters": {"k": 2}, "duplicates": {"rule": "clip_ood", "order": "width"}}


@case
def a_choice_that_semdedup_alone_has(w: World) -> Iterator[str]:
    w.plan["measures"] = {"clusters": {"k": 2}, "duplicates": {"keep": "hard"}}
    yield "leave it out"
    w.plan["measures"] = {"clusters": {"k": 2}, "duplicates": {}}


@case
def a_level_below_what_duplicates_tells_apart(w: World) -> Iterator[str]:
    w.plan["measures"] = {"clusters": {"k": 2}, "duplicates": {"at_least": 0.9}}
    w.rule({"dedup": {"epsilon": 0.124}})
    yield "Set measures.{}.at_least to {} or lower"
    w.plan["measures"]["duplicates"]["at_least"] = float(w.said.split("at_least to ")[1].split()[0])


@case
def semdedup_without_clusters(w: World) -> Iterator[str]:
    w.plan["measures"] = {"clusters": {"k": 2}, "duplicates": {"rule": "semdedup", "within": "pool"}}
    yield "name the clusters of a measure, such as clusters.cluster"
    w.plan["measures"]["duplicates"]["within"] = w.said.split("such as ")[1].split()[0]


@case
def a_class_list_with_one_name_twice(w: World) -> Iterator[str]:
    names = _classes(w, ["dog", "dog"])
    yield "take one out, or give it a name of its own"
    names.write_text(json.dumps(["dog", "cat"]))


@case
def a_class_list_with_an_empty_name(w: World) -> Iterator[str]:
    names = _classes(w, ["dog", ""])
    yield "take it out"
    names.write_text(json.dumps(["dog"]))


@case
def a_class_list_that_changed(w: World) -> Iterator[str]:
    _classes(w, ["dog"], digest="0" * 64)
    yield "Bring the former file back, or leave {}.digest out"
    del w.plan["measures"]["classes"]["digest"]


@case
def a_name_that_is_no_expression(w: World) -> Iterator[str]:
    _classes(w, ["dog", "c++("], matcher="whole_word_exact")
    yield "Take whole_word, which takes names literally"
    w.plan["measures"]["classes"]["matcher"] = "whole_word"


def _classes(w: World, names: list[str], matcher: str = "substring", **more: str) -> Path:
    w.pool_of({"url": ["u", "v"], "caption": ["a dog", "a cat"]})
    path = w.folder / "names.json"
    path.write_text(json.dumps(names))
    w.plan["measures"] = {"classes": {"matcher": matcher, "names": str(path)} | more}
    w.rule({"class-match": {"single": True}})
    return path


@case
def text_embeddings_that_are_not_there(w: World) -> Iterator[str]:
    w.plan["measures"] = {"clip_score": {}}
    yield "bring them, add encoder: {model: ..., pretrained: ...} to make them"
    (w.folder / "pool" / "text_emb").mkdir()
    for number in range(2):
        np.save(w.folder / "pool" / "text_emb" / f"text_emb_{number}.npy", unit(number, 6))


@case
def two_checkpoints_beside_a_model(w: World) -> Iterator[str]:
    w.images()
    shutil.copytree(TINY, w.folder / "model")
    shutil.copy(WEIGHTS, w.folder / "model" / "second.safetensors")
    w.plan["encoder"] = {"model": str(w.folder / "model")}
    yield "name one under encoder.pretrained"
    w.plan["encoder"]["pretrained"] = str(w.folder / "model" / "second.safetensors")


@case
def the_output_is_the_root(w: World) -> Iterator[str]:
    w.plan["output"] = "/"
    yield "name a folder of its own"
    w.plan["output"] = str(w.folder / "out")


@case
def an_output_inside_another(w: World) -> Iterator[str]:
    assert w.do(*w.arguments()) == 0
    w.plan["output"] = str(w.folder / "out" / "samples" / "mine")
    yield "Name a folder outside of it"
    w.plan["output"] = str(w.folder / "mine")


@case
def embeddings_of_another_model(w: World) -> Iterator[str]:
    w.images()
    assert w.do(*w.arguments()) == 0
    shutil.copy(WEIGHTS, w.folder / "copy.safetensors")
    model = json.loads((TINY / "open_clip_config.json").read_text())
    (w.folder / "other.json").write_text(json.dumps(model | {"other": 1}, indent=3))
    w.plan["encoder"]["model"] = str(w.folder / "other.json")
    yield "Name another output folder (`output`, or --out of an audit), or add --overwrite to remove what is there"
    w.command = (*w.arguments(), "--overwrite")


@case
def a_lock_file_of_something_else(w: World) -> Iterator[str]:
    (w.folder / "out").mkdir()
    (w.folder / "out" / "plan.lock.yaml").write_text("x: 1\n")
    assert w.do(*w.arguments(), "--set", f"output={w.folder / 'elsewhere'}") == 0
    w.command = ("status", str(w.folder / "out"))
    yield "give another output folder"
    w.command = ("status", str(w.folder / "elsewhere"))


@case
def a_lock_file_that_rotted(w: World) -> Iterator[str]:
    assert w.do(*w.arguments()) == 0
    lock = w.folder / "out" / "plan.lock.yaml"
    lock.write_text(lock.read_text().replace("advised", "advized"))
    w.command = ("status", str(w.folder / "out"))
    yield "Run the plan again, which writes it again; what is committed stands"
    assert w.do("run", str(w.folder / "plan.yaml")) == 0


@case
def a_report_of_an_unfinished_run(w: World) -> Iterator[str]:
    _unfinished(w)
    w.command = ("report", str(w.folder / "out"))
    yield "run its plan again, which goes on where it stopped"
    _mended(w)


@case
def an_export_of_an_unfinished_run(w: World) -> Iterator[str]:
    w.images()
    shutil.rmtree(w.folder / "pool")
    image = (w.folder / "one" / "0.png").read_bytes()
    (w.folder / "pool").mkdir()
    write_tar(w.folder / "pool" / "0.tar", [("a.png", image), ("a.txt", b"A")])
    whole = {path: path.read_bytes() for path in (w.folder / "one").iterdir()}
    for path in whole:
        path.write_bytes(IMAGE)
    assert w.do(*w.arguments()) == 2
    w.plan["splits"] = {"near_out": []}
    w.command = ("export", str(w.folder / "out"), "near_out")
    yield "run its plan again, which goes on where it stopped, then export"
    for path, content in whole.items():
        path.write_bytes(content)
    assert w.do("run", str(w.folder / "plan.yaml")) == 0


def _unfinished(w: World) -> None:
    np.save(w.folder / "one" / "img_emb" / "img_emb_0.npy", np.zeros((3, WIDTH), np.float16))
    assert w.do(*w.arguments()) == 2


def _mended(w: World) -> None:
    np.save(w.folder / "one" / "img_emb" / "img_emb_0.npy", unit(21, 3))
    assert w.do("run", str(w.folder / "plan.yaml")) == 0


@case
def a_rotten_output(w: World) -> Iterator[str]:
    """`verify` says which command mends, and it does."""
    assert w.do(*w.arguments()) == 0
    path = w.folder / "out" / "samples" / "pool" / "part-0000.parquet"
    rotten = bytearray(path.read_bytes())
    rotten[len(rotten) // 2] ^= 1
    path.write_bytes(rotten)
    w.plan["splits"]["another"] = [{"where": "width > 3"}]
    yield "`nearfar verify {} --repair` makes it again, and all that came of it"
    assert w.do("verify", str(w.folder / "out"), "--repair") == 0


@case
def two_npz_of_a_name(w: World) -> Iterator[str]:
    w.pool_of({"url": ["u", "v"]})
    np.savez(w.folder / "pool" / "p.npz", b32_img=unit(4, 2))
    shutil.copytree(w.folder / "pool", w.folder / "pool" / "part_0")
    w.plan["pool"]["format"] = "datacomp"
    w.plan["benchmarks"] = {"one": {"path": str(w.folder / "one")}}
    yield "keep one of the two"
    shutil.rmtree(Path(w.quoted()[-1]).parent)


@case
def a_folder_where_a_file_belongs(w: World) -> Iterator[str]:
    (w.folder / "out" / "report" / "audit.json").mkdir(parents=True)
    (w.folder / "out" / "report" / "audit.json" / "x").write_text("x")
    yield "move it away and run again"
    shutil.move(w.quoted()[0], w.folder / "away")


@case
def an_output_folder_that_is_a_link(w: World) -> Iterator[str]:
    (w.folder / "real").mkdir()
    (w.folder / "out").mkdir()
    (w.folder / "out" / "samples").symlink_to(w.folder / "real")
    yield "Name the real folder as the output, or move this one away"
    shutil.move(w.quoted()[0], w.folder / "away")


@case
def groups_that_are_lists(w: World) -> Iterator[str]:
    for number in range(2):
        rows = [row | {"tags": [number]} for row in rows_of("p", 6 * number, 6)]
        write_part(w.folder / "pool", number, unit(10 + number, 6), rows)
        path = w.folder / "pool" / "metadata" / f"metadata_{number}.parquet"
        pq.write_table(pa.Table.from_pylist(rows), path)
    w.plan["measures"] = {"duplicates": {"within": "tags"}}
    yield "name a column of texts or numbers"
    w.plan["measures"] = {"duplicates": {"within": "width"}}


@case
def a_measure_that_looks_at_nothing(w: World) -> Iterator[str]:
    w.plan["measures"] = {"duplicates": {"within": "breadth"}}
    yield "Correct the measure's options"
    w.plan["measures"] = {"duplicates": {"within": "width"}}


def _table_of(w: World, key: str, *lines: str) -> Path:
    """Name a table for the report in the plan."""
    path = w.folder / "table.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    w.plan["audit"] = {key: str(path)}
    return path


@case
def accuracies_without_classes(w: World) -> Iterator[str]:
    _table_of(w, "accuracies", "klass,accuracy", "dog,1")
    yield "and may have model and predictions, then a line for each class. Correct its header"
    _table_of(w, "accuracies", "class,accuracy", "dog,1")


@case
def results_without_a_shift(w: World) -> Iterator[str]:
    _table_of(w, "results", "model,imagenet", "a,0.5")
    yield "means val), then a line for each model. Correct its header"
    _table_of(w, "results", "model,imagenet,imagenet_v2", "a,0.5,0.4")


@case
def an_accuracy_that_is_no_number(w: World) -> Iterator[str]:
    _table_of(w, "accuracies", "class,accuracy", "dog,much")
    yield "write a number, or leave the cell empty"
    _table_of(w, "accuracies", "class,accuracy", "dog,0.5")


@case
def an_accuracy_above_all(w: World) -> Iterator[str]:
    _table_of(w, "accuracies", "class,accuracy", "dog,50", "cat,150")
    yield "Correct the line"
    _table_of(w, "accuracies", "class,accuracy", "dog,50", "cat,15")


@case
def a_column_of_images_that_is_not_there(w: World) -> Iterator[str]:
    w.plan["audit"] = {"image_classes": "seen"}
    yield "Name one, or leave it out"
    w.plan["audit"] = {}


@case
def a_measure_of_deny_lists_without_a_list(w: World) -> Iterator[str]:
    w.plan["measures"] = {"listed": {}}
    yield "names no list; give at least one of: {}"
    (w.folder / "denied.txt").write_text("a.example\n")
    w.plan["measures"] = {"listed": {"host": str(w.folder / "denied.txt")}}


def _tags(w: World, *lines: str, **options: str) -> Path:
    """Ask for the tags of a table."""
    path = w.folder / "tags.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    w.plan["measures"] = {"tags": {"table": str(path)} | options}
    return path


@case
def tags_of_a_table_that_is_not_there(w: World) -> Iterator[str]:
    path = _tags(w, "key,tag", "p000001,dog")
    path.rename(path.with_suffix(".txt"))
    yield "give one with a row for each pair"
    path.with_suffix(".txt").rename(path)


@case
def tags_under_other_names(w: World) -> Iterator[str]:
    _tags(w, "key,label,score", "p000001,dog,0.9")
    yield "may have probability. Name its own by {}.by, .tag and .probability"
    _tags(w, "key,label,score", "p000001,dog,0.9", by="key", tag="label", probability="score")


@case
def tags_that_are_lists(w: World) -> Iterator[str]:
    path = w.folder / "tags.parquet"
    w.plan["measures"] = {"tags": {"table": str(path)}}
    pq.write_table(pa.table({"key": ["p000001"], "tag": [["dog", "cat"]]}), path)
    yield "write a row for each pair"
    pq.write_table(pa.table({"key": ["p000001", "p000001"], "tag": ["dog", "cat"]}), path)


@case
def tags_in_a_broken_table(w: World) -> Iterator[str]:
    path = w.folder / "tags.parquet"
    w.plan["measures"] = {"tags": {"table": str(path)}}
    path.write_bytes(b"PAR1")
    yield "write the table again"
    pq.write_table(pa.table({"key": ["p000001"], "tag": ["dog"]}), path)


@case
def tags_beside_classes_without_a_list(w: World) -> Iterator[str]:
    _tags(w, "key,tag", "p000001,dog", both="classes")
    yield "give {}.names, the list of that measure"
    w.plan["measures"]["tags"]["names"] = "imagenet-1k"


@case
def tags_beside_classes_of_another_list(w: World) -> Iterator[str]:
    (w.folder / "names.json").write_text('["dog", "cat"]')
    _tags(w, "key,tag", "p000001,dog", both="classes", names=str(w.folder / "names.json"))
    yield "write {}.names as they are there"
    w.plan["measures"]["tags"]["names"] = "imagenet-1k"


@case
def a_label_whose_names_are_not_known(w: World) -> Iterator[str]:
    w.plan["measures"] = {"captions": {"label": "width"}}
    yield "give {}.names beside it"
    w.plan["measures"]["captions"]["names"] = "imagenet-1k"
