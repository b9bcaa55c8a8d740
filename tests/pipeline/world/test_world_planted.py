"""The quickstart's encoder finds the planted near-duplicates of the quickstart's world: how many, how surely."""

from __future__ import annotations

import tarfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

from pipeline.embedding.encoder import Encoder, EncoderSpec, load_encoder
from pipeline.embedding.image_batches import embed_stream
from pipeline.world.plants import KINDS
from pipeline.world.render import render_world
from pipeline.world.scene import STYLES

BAR = 0.95  # at this similarity and above, a pool sample counts as an alarm
TINY = Path(__file__).parents[3] / "data_manifests" / "encoders" / "tiny"


@dataclass(frozen=True)
class Embeddings:
    keys: list[str]
    vectors: NDArray[np.float64]


@dataclass(frozen=True)
class Found:
    """What a float64 brute force says about one benchmark."""

    planted: int
    nearest: Counter[str]  # plants, by kind, whose nearest query is theirs, above its reference threshold
    leading: int  # plants that are their query's nearest pool sample
    alarms: int  # pool samples at least as similar to a query as `bar`
    true_alarms: int  # … that are plants
    dropped: NDArray[np.bool_]

    @property
    def recall(self) -> float:
        return sum(self.nearest.values()) / self.planted

    @property
    def precision(self) -> float:
        return self.true_alarms / max(1, self.alarms)


def pool_images(world: Path) -> Iterator[tuple[str, bytes]]:
    for path in sorted((world / "pool").glob("*.tar")):
        with tarfile.open(path) as tar:
            for member in tar:
                content = tar.extractfile(member)
                if member.name.endswith(".jpg") and content is not None:
                    yield member.name.removesuffix(".jpg"), content.read()


def folder_images(folder: Path) -> Iterator[tuple[str, bytes]]:
    for path in sorted(folder.rglob("*.jpg"), key=lambda path: path.relative_to(folder).as_posix()):
        yield path.relative_to(folder).as_posix(), path.read_bytes()


def embedded(encoder: Encoder, images: Iterator[tuple[str, bytes]]) -> Embeddings:
    found = list(embed_stream(encoder, images, threads=2))
    vectors = [one.vector for one in found if one.vector is not None]
    assert len(vectors) == len(found)
    return Embeddings([one.key for one in found], np.stack(vectors).astype(np.float64))


def search(world: Path, style: str, bar: float, sets: dict[str, Embeddings]) -> Found:
    pool, queries = sets["pool"], sets[style]
    similarity = pool.vectors @ queries.vectors.T
    threshold = (sets["reference"].vectors @ queries.vectors.T).max(axis=0)
    truth = [row for row in pq.read_table(world / "truth.parquet").to_pylist() if row["benchmark"] == style]
    places = [
        (pool.keys.index(row["key"]), queries.keys.index(row["query_key"]), row["kind"]) for row in truth
    ]
    above = similarity.max(axis=1) >= bar
    return Found(
        planted=len(truth),
        nearest=Counter(
            kind for row, query, kind in places
            if similarity[row].argmax() == query and similarity[row, query] > threshold[query]
        ),
        leading=sum(similarity[:, query].argmax() == row for row, query, _ in places),
        alarms=int(above.sum()),
        true_alarms=sum(bool(above[row]) for row, _, _ in places),
        dropped=(similarity > threshold).any(axis=1),
    )  # fmt: skip


def all_sets(world: Path) -> dict[str, Embeddings]:
    encoder = load_encoder(EncoderSpec(str(TINY)), "cpu")
    sets = {style: embedded(encoder, folder_images(world / "benchmarks" / style)) for style in STYLES}
    sets["reference"] = embedded(encoder, folder_images(world / "reference"))
    sets["pool"] = embedded(encoder, pool_images(world))
    return sets


def test_planted_copies_are_found_in_a_small_world(small_world: Path) -> None:
    sets = all_sets(small_world)
    found = [search(small_world, style, BAR, sets) for style in STYLES]
    assert sum(sum(one.nearest.values()) for one in found) >= 14  # of 15


@pytest.mark.slow
@pytest.mark.parametrize("samples", [600, pytest.param(2000, marks=pytest.mark.soak)])
def test_planted_copies_are_found_in_the_quickstarts_world(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], samples: int
) -> None:
    render_world(tmp_path / "world", seed=0, samples=samples)
    sets = all_sets(tmp_path / "world")
    dropped = np.zeros(samples, dtype=bool)
    for style in STYLES:
        found = search(tmp_path / "world", style, BAR, sets)
        dropped |= found.dropped
        with capsys.disabled():
            print(
                f"\n{style}: {sum(found.nearest.values())} of {found.planted} planted copies found (recall "
                f"{found.recall:.2f}); of {found.alarms} pool samples at {BAR} or more, {found.true_alarms} are "
                f"planted (precision {found.precision:.2f}); near-pruning drops {found.dropped.mean():.1%}"
            )
        assert found.recall >= 0.95
        assert found.precision >= 0.9
        assert found.leading >= 0.9 * found.planted
        assert found.nearest["exact"] == -(-found.planted // len(KINDS))  # kinds take turns, this one first
    assert 0.1 < dropped.mean() < 0.7
