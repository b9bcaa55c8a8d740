"""The k nearest samples of each query over a stream, held on a torch device; `kbest` does the same in numpy."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from indexes.scores import Neighbours

if TYPE_CHECKING:
    from torch import Tensor

_SIGN = np.uint64(1 << 63)


class DeviceKBest:
    """Running k best per query: similarity descending, uid ascending, stream position ascending.

    torch has no unsigned order, so the halves of a uid are held as int64 with the sign bit turned.
    """

    def __init__(self, queries: int, k: int, device: str) -> None:
        import torch

        self.k = k
        self._similarity = torch.full((queries, k), -torch.inf, dtype=torch.float64, device=device)
        self._uids = torch.zeros((queries, k, 2), dtype=torch.int64, device=device)
        self._position = torch.full((queries, k), -1, dtype=torch.int64, device=device)

    def copy(self) -> DeviceKBest:
        """Copy the lists, so that one can be changed without the other."""
        other = DeviceKBest(0, self.k, str(self._similarity.device))
        other._similarity, other._uids = self._similarity.clone(), self._uids.clone()
        other._position = self._position.clone()
        return other

    @property
    def floor(self) -> Tensor:
        """`(q,)` float64 similarity below which a sample cannot enter; -inf while there is room."""
        return self._similarity[:, -1]

    def offer(self, query: Tensor, similarity: Tensor, uids: Tensor, position: Tensor) -> None:
        """Merge new pairs in, `(m,)` each with `(m, 2)` uids by `ordered`; a pair must be offered once."""
        import torch

        touched = torch.unique(query)
        row, rank = torch.nonzero(self._position[touched] >= 0, as_tuple=True)
        held = touched[row]
        query = torch.cat([held, query])
        similarity = torch.cat([self._similarity[held, rank], similarity])
        uids = torch.cat([self._uids[held, rank], uids])
        position = torch.cat([self._position[held, rank], position])
        order = torch.argsort(position, stable=True)
        for key in (uids[:, 1], uids[:, 0], -similarity, query):
            order = order[torch.argsort(key[order], stable=True)]
        query = query[order]
        rank = torch.arange(len(query), device=query.device) - torch.searchsorted(query, query)
        kept = rank < self.k
        order, query, rank = order[kept], query[kept], rank[kept]
        self._similarity[query, rank] = similarity[order]
        self._uids[query, rank] = uids[order]
        self._position[query, rank] = position[order]

    def neighbours(self) -> Neighbours:
        """Copy what is held to host memory: `(q, k)` similarities, uids and positions."""
        position = self._position.cpu().numpy().copy()
        uids = self._uids.cpu().numpy().view(np.uint64) ^ _SIGN
        uids[position < 0] = 0
        return Neighbours(self._similarity.cpu().numpy().copy(), uids, position)


def ordered(uids: np.ndarray[tuple[int, ...], np.dtype[np.uint64]], device: str) -> Tensor:
    """Uids as `DeviceKBest` holds them: `(n, 2)` int64 in the order of the unsigned halves."""
    import torch

    return torch.from_numpy((uids ^ _SIGN).view(np.int64)).to(device)
