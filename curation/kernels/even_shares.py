"""Even shares over a tree of clusters: hierarchical balanced sampling (Vo et al. 2024, ssl-data-curation)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import TypeAlias

Path: TypeAlias = tuple[str, ...]
"""A leaf's place in the tree: the names of the groups that it lies in, outermost first."""


def best_cut(sizes: Sequence[int], target: int) -> int:
    """Return the largest c for which the sum of min(c, size) is at most `target`; never above the largest size."""
    low, high = 0, max(sizes, default=0)
    while low < high:
        middle = (low + high + 1) // 2
        if sum(min(middle, size) for size in sizes) <= target:
            low = middle
        else:
            high = middle - 1
    return low


def child_targets(sizes: Sequence[int], target: int, turns: Sequence[int]) -> list[int]:
    """Share `target` among children: each gives c, as `best_cut` has it, or all it has; larger ones give one more.

    Args:
        sizes: What each child has; times the repeats that are allowed, where samples may be repeated.
        target: How many in all.
        turns: Positions of children, each once; who comes first gives one more first, until the target is met.

    Returns:
        How many each child gives: they sum to `target`, or to all there is.
    """
    cut = best_cut(sizes, target)
    given = [min(cut, size) for size in sizes]
    larger = [place for place in turns if sizes[place] > cut]
    for place in larger[: target - sum(given)]:
        given[place] += 1
    return given


def leaf_targets(sizes: Mapping[Path, int], target: int, seed: int) -> dict[Path, int]:
    """Share `target` down a tree, node by node.

    Which of the larger children give one more goes by hash of (their path, seed), so that it depends on nothing else.

    Args:
        sizes: What each leaf has; all paths are equally long.
        target: How many in all.
        seed: Of the hash.

    Returns:
        How many each leaf gives: they sum to `target`, or to all there is.
    """
    return dict(_shared((), sizes, target, seed))


def _shared(prefix: Path, sizes: Mapping[Path, int], target: int, seed: int) -> list[tuple[Path, int]]:
    depth = len(prefix)
    children: dict[str, dict[Path, int]] = {}
    for path, size in sizes.items():
        children.setdefault(path[depth], {})[path] = size
    names = sorted(children)
    turns = sorted(range(len(names)), key=lambda place: _hashed((*prefix, names[place]), seed))
    given = child_targets([sum(children[name].values()) for name in names], target, turns)
    found: list[tuple[Path, int]] = []
    for name, count in zip(names, given, strict=True):
        path, held = (*prefix, name), children[name]
        found += [(path, count)] if path in held else _shared(path, held, count, seed)
    return found


def _hashed(path: Path, seed: int) -> bytes:
    return hashlib.sha256("\0".join((*path, str(seed))).encode("utf-8", "surrogatepass")).digest()
