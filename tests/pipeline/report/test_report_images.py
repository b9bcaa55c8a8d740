"""Images for the report come from the shards of the part that has them, each set listed once."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from reader_sets import Written, img2dataset, samples

import pipeline.readers.img2dataset as reader
from pipeline.passes.pictures import Pictured, fetcher
from pipeline.report.drawing.thumbnails import EDGE, thumbnail
from pipeline.report.request import WantedPicture


@pytest.fixture
def written(tmp_path: Path) -> Written:
    """Five shards, which a run would read as three parts, numbered by their first shard."""
    return img2dataset(tmp_path, samples([3, 2, 4, 1, 2]))


PARTS = ((0, 2), (2, 2), (4, 1))


def test_images_are_found_in_every_shard_of_a_part(written: Written) -> None:
    fetch = fetcher({"pool": Pictured(written.source, PARTS)})
    part_of = [0, 0, 2, 2, 4]
    wanted = {one.key: WantedPicture(part_of[at]) for at, shard in enumerate(written.shards) for one in shard}
    found = fetch({"pool": wanted, "elsewhere": {"x": WantedPicture(0)}})
    assert found == {("pool", one.key): one.image for shard in written.shards for one in shard}
    assert fetch({"pool": {}}) == fetch({}) == {}


def test_only_the_shards_of_the_part_are_read_and_the_set_is_listed_once(
    written: Written, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []
    listed: list[Any] = []
    image, shards = reader.image, reader.shards

    def noted(source: Any, shard: Any, keys: Any) -> dict[str, bytes]:
        read.append(shard.number)
        return image(source, shard, keys)

    monkeypatch.setattr(reader, "image", noted)
    monkeypatch.setattr(reader, "shards", lambda source: listed.append(source) or shards(source))
    fetch = fetcher({"pool": Pictured(written.source, PARTS)})
    assert listed == [], "a set whose images nobody asks for is not listed"
    third, fourth = written.shards[2], written.shards[3]
    assert len(fetch({"pool": {third[0].key: WantedPicture(2), third[3].key: WantedPicture(2)}})) == 2
    assert read == [2], "the part's other shard was not needed"
    assert len(fetch({"pool": {fourth[0].key: WantedPicture(2)}})) == 1
    assert read == [2, 2, 3]
    assert len(listed) == 1


def test_what_is_not_there_is_left_out(written: Written) -> None:
    fetch = fetcher({"pool": Pictured(written.source, PARTS)})
    key = written.shards[0][0].key
    assert fetch({"pool": {"missing": WantedPicture(0), key: WantedPicture(4)}}) == {}
    assert fetch({"pool": {key: WantedPicture(7)}}) == {}


def test_a_picture_of_noise_is_a_thumbnail_too() -> None:
    """Its JPEG takes more bytes than it has pixels, for which Pillow's own buffer is too small."""
    pixels = np.random.default_rng(0).integers(0, 2, (EDGE, EDGE, 3), dtype=np.uint8) * 255
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    found = thumbnail(stream.getvalue())
    assert found.address.startswith("data:image/jpeg;base64,")
    assert len(found.address) > EDGE * EDGE
