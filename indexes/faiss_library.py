"""FAISS comes from one of two packages that must not be installed together; this says so where there is none."""

from __future__ import annotations

from typing import Any

from indexes.errors import BadInputError


def load_faiss() -> Any:
    """Import FAISS.

    Returns:
        The module `faiss`, from `faiss-cpu` (nearfar's extra `cpu`) or `faiss-gpu` (extra `gpu`).

    Raises:
        BadInputError: If neither can be imported.
    """
    try:
        import faiss
    except ImportError as error:
        raise BadInputError(
            f"FAISS cannot be loaded ({error}); install nearfar with its extra 'cpu' (faiss-cpu), or with 'gpu' "
            "(faiss-gpu) on a machine with CUDA 12 or newer. Never both: they overwrite each other's files"
        ) from error
    return faiss
