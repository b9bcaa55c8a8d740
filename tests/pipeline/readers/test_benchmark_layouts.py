"""Benchmarks as they are distributed: their folders, class masks, borders, and the names of what is missing."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from PIL import Image, ImageOps
from whole_runs import ROOT, Run

from pipeline.embedding.encoder import Encoder, EncoderSpec, load_encoder
from pipeline.embedding.framing import Framing
from pipeline.embedding.image_batches import embed_stream
from pipeline.plan.manifests import with_expected_counts
from pipeline.readers import image_folder
from pipeline.sets.expected import problems_of
from pipeline.sets.source import Source

TINY = ROOT / "data_manifests" / "encoders" / "tiny"
RENDITIONS = {"samples": 6, "classes": 3, "labels": ["n01443537", "n01484850", "n01494475"]}


VALIDATION = "ILSVRC2012_val_{:08d}.JPEG"
NUMBERED = {"samples": 20, "classes": 2, "numbered": "ILSVRC2012_val_########.JPEG", "per_class": 10}


def picture(seed: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (50, 60, 3), dtype=np.uint8))


def png(image: Image.Image) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "PNG")
    return stream.getvalue()


def problems(folder: Path, keys: list[str], expect: dict[str, Any]) -> list[str]:
    labels = [key.partition("/")[0] if "/" in key else None for key in keys]
    table = pa.table({"key": pa.array(keys, pa.string()), "label": pa.array(labels, pa.string())})
    pq.write_table(table, folder / "rows.parquet")
    with duckdb.connect() as db:
        return list(problems_of(db, [str(folder / "rows.parquet")], expect, len(keys)))


def test_whole_layouts_have_no_problem(tmp_path: Path) -> None:
    positions = [f"{label}/{row}.jpeg" for label in range(12) for row in range(2)]
    assert not problems(
        tmp_path, positions, {"samples": 24, "classes": 12, "labels": "positions", "per_class": 2}
    )
    renditions = [f"{label}/{row}.jpg" for label in RENDITIONS["labels"] for row in range(2)]  # type: ignore[attr-defined]
    assert not problems(tmp_path, renditions, RENDITIONS)
    # Who calls the folders otherwise, all of them, may.
    assert not problems(tmp_path, [f"{label}/{row}" for label in "abc" for row in range(2)], RENDITIONS)
    assert not problems(tmp_path, ["a.jpg"], {"samples": None, "classes": None})
    # ImageNet's validation images as they are published: one folder, no classes.
    assert not problems(tmp_path, [VALIDATION.format(row) for row in range(1, 21)], NUMBERED)


def test_one_folder_of_other_images_is_not_the_validation_set(tmp_path: Path) -> None:
    flat = [VALIDATION.format(row) for row in range(1, 20)]
    assert problems(tmp_path, flat, NUMBERED) == [
        "19 samples, expected 20 (ILSVRC2012_val_00000020.JPEG is missing)"
    ]
    assert problems(tmp_path, [*flat, "cat.jpg"], NUMBERED) == [
        "other images than those expected (ILSVRC2012_val_00000020.JPEG is missing, cat.jpg is none of its images)"
    ]
    more = [*flat, VALIDATION.format(20), "ILSVRC2012_val_00000021.JPEG"]
    assert problems(tmp_path, more, NUMBERED) == [
        "21 samples, expected 20 (ILSVRC2012_val_00000021.JPEG is none of its images)"
    ]


@pytest.mark.parametrize(
    ("expect", "folder"),
    [({"samples": 2, "classes": 313}, "images"), (RENDITIONS | {"samples": 2}, "imagenet-r")],
)
def test_a_path_that_ends_too_early_is_told_the_folder(
    tmp_path: Path, expect: dict[str, Any], folder: str
) -> None:
    (said,) = problems(tmp_path, [f"{folder}/mug/{row}.png" for row in range(2)], expect)
    assert said == (
        f"1 class, expected {expect['classes']} (all its images are in the folder {folder}; name that as its path, if "
        "the classes are in it)"
    )


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    keys = [f"n01443537/{row}" for row in range(4)] + [f"n01484850/{row}" for row in range(2)]
    assert problems(tmp_path, keys, RENDITIONS) == ["2 classes, expected 3 (n01494475 is missing)"]
    positions = [f"{label}/{row}" for label in range(12) for row in range(2) if (label, row) != (10, 1)]
    wanted = {"samples": 24, "classes": 12, "labels": "positions", "per_class": 2}
    assert problems(tmp_path, positions, wanted) == ["23 samples, expected 24 (10 has 1 of 2)"]
    assert problems(tmp_path, positions[2:], wanted) == [
        "11 classes, expected 12 (0 is missing)",
        "21 samples, expected 24 (10 has 1 of 2)",
    ]


def test_what_does_not_belong_there_is_named(tmp_path: Path) -> None:
    keys = [f"{label}/{row}" for label in ("n01443537", "n01484850", "n02007558") for row in range(2)]
    assert problems(tmp_path, keys, RENDITIONS) == [
        "3 classes, expected 3 (n01494475 is missing, n02007558 is none of its classes)"
    ]
    moved = ["0/a", "0/b", "0/c", "1/d"]
    assert problems(tmp_path, moved, {"samples": 4, "classes": 2, "labels": "positions", "per_class": 2}) == [
        "classes of another size than 2 (0 has 3 of 2, 1 has 1 of 2)"
    ]


def test_numbered_images_are_missed_by_their_numbers(tmp_path: Path) -> None:
    keys = [f"n0144000{row % 2}/{VALIDATION.format(row)}" for row in range(1, 21) if row not in (3, 7)]
    assert problems(tmp_path, keys, NUMBERED) == [
        "18 samples, expected 20 (ILSVRC2012_val_00000003.JPEG is missing, ILSVRC2012_val_00000007.JPEG is missing)"
    ]
    assert problems(tmp_path, keys[:3], NUMBERED)[0].endswith(
        "ILSVRC2012_val_00000008.JPEG is missing and 12 more)"
    )


def test_the_classes_of_imagenet_are_known_by_name(tmp_path: Path) -> None:
    found = problems(tmp_path, ["n01440764/a", "n00000001/b"], {"classes": 1000, "labels": "imagenet-1k"})
    assert found[0].startswith("2 classes, expected 1000 (n01443537 is missing, ")
    assert found[0].endswith(" and 994 more, n00000001 is none of its classes)")


@pytest.fixture
def objectnet(tmp_path: Path) -> Path:
    """The archive's folders: two of three classes have classes of ImageNet."""
    root = tmp_path / "objectnet-1.0"
    for number, name in enumerate(("air_freshener", "alarm_clock", "mug")):
        (root / "images" / name).mkdir(parents=True)
        for row in range(2):
            bordered = ImageOps.expand(picture(10 * number + row), 2, fill=(255, 0, 0))
            (root / "images" / name / f"{row}.png").write_bytes(png(bordered))
    (root / "mappings").mkdir()
    told = {"air_freshener": "Air freshener", "alarm_clock": "Alarm clock", "mug": "Mug"}
    (root / "mappings" / "folder_to_objectnet_label.json").write_text(json.dumps(told))
    mapped = {"Alarm clock": "analog clock", "Mug": "coffee mug; cup"}
    (root / "mappings" / "objectnet_to_imagenet_1k.json").write_text(json.dumps(mapped))
    return root


def test_objectnets_own_mapping_says_which_classes_are_taken(objectnet: Path) -> None:
    mapping = str(objectnet / "mappings" / "objectnet_to_imagenet_1k.json")
    source = Source(path=str(objectnet / "images"), class_file=mapping)  # type: ignore[call-arg]
    (shard,) = image_folder.shards(source)
    assert image_folder.rows(source, shard).table.column("label").to_pylist() == [
        *("alarm_clock", "alarm_clock", "mug", "mug")
    ]
    assert shard.notes == ("images of classes that the plan does not name are left out: 2",)
    listed = Source(path=str(objectnet / "images"), classes=("mug",))  # type: ignore[call-arg]
    assert image_folder.shards(listed)[0].rows == 2


def test_the_border_is_cut_off_before_all_else(objectnet: Path) -> None:
    encoder = load_encoder(EncoderSpec(str(TINY)), "cpu")
    content = (objectnet / "images" / "mug" / "1.png").read_bytes()

    def vector(by: Encoder, image: bytes) -> bytes:
        (found,) = embed_stream(by, [("one", image)])
        assert found.vector is not None
        return found.vector.tobytes()

    assert vector(encoder.cropped(2), content) == vector(encoder, png(picture(21)))
    assert vector(encoder.cropped(2), content) != vector(encoder, content)
    assert encoder.cropped(2).fingerprint == encoder.fingerprint


def test_an_image_that_is_all_border_has_a_reason() -> None:
    encoder = load_encoder(EncoderSpec(str(TINY)), "cpu").cropped(2)
    (found,) = embed_stream(encoder, [("small", png(Image.new("RGB", (4, 30))))])
    assert found.reason == "a side would have no pixel left"
    with pytest.raises(ValueError, match="nothing is left"):
        Framing(8, 8, crop=2).frame(Image.new("RGB", (30, 4)))


def test_a_manifest_brings_what_goes_with_the_set_as_it_is_published() -> None:
    published = with_expected_counts(Source(path="x", manifest="objectnet"), "benchmarks.objectnet")
    assert published.options == {"crop": 2}
    own = with_expected_counts(Source(path="x", manifest="objectnet", crop=0), "benchmarks.objectnet")  # type: ignore[call-arg]
    assert own.options == {"crop": 0}
    vectors = with_expected_counts(Source(path="x", format="clip-retrieval", manifest="objectnet"), "a")
    assert vectors.options == {}
    for name, labels in (("imagenet_v2", "positions"), ("imagenet_sketch", "imagenet-1k")):
        expect = with_expected_counts(Source(path="x", manifest=name), "a").expect
        assert expect is not None
        assert expect.labels == labels
    renditions = with_expected_counts(Source(path="x", manifest="imagenet_r"), "a").expect
    assert renditions is not None
    assert renditions.labels is not None
    assert len(renditions.labels) == 200


def test_a_mask_that_does_not_fit_is_corrected_as_the_message_says(objectnet: Path, cli: Run) -> None:
    images, mapping = objectnet / "images", objectnet / "mappings" / "objectnet_to_imagenet_1k.json"
    benchmark: dict[str, Any] = {"path": str(images), "format": "image-folder", "crop": 2}
    plan = {
        "name": "masked",
        "pool": {"path": str(images / "mug"), "format": "image-folder"},
        "encoder": {"model": str(TINY)},
        "benchmarks": {"objectnet": benchmark},
        "splits": {"whole": []},
        "output": str(objectnet / "out"),
    }

    def run(**keys: Any) -> tuple[int, str]:
        written = plan | {"benchmarks": {"objectnet": benchmark | keys}}
        (objectnet / "plan.yaml").write_text(yaml.safe_dump(written))
        code, _, errors = cli("run", str(objectnet / "plan.yaml"))
        return code, " ".join(errors.split())

    code, said = run(classes=["mug", "vase"])
    assert code == 2
    assert "has no images in the class folders vase, which the plan names" in said
    (objectnet / "broken.json").write_text("{")
    code, said = run(class_file=str(objectnet / "broken.json"))
    assert code == 2
    assert "cannot be read as a list of class folders" in said
    code, said = run(class_file=str(mapping), expect={"samples": 4, "classes": 2, "per_class": 3})
    assert code == 2
    assert "classes of another size than 3 (alarm_clock has 2 of 3, mug has 2 of 3); complete the set" in said
    assert not list((objectnet / "out").glob("commits/*/*")), "it is said before anything is read"
    code, said = run(class_file=str(mapping), expect={"samples": 4, "classes": 2, "per_class": 2})
    assert code == 0, said
