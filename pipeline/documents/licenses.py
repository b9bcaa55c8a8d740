"""What a user may say of a license: it goes into a dataset card, for the hub and for programs."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, WithJsonSchema

from indexes.errors import BadInputError

PATTERN = r"[A-Za-z0-9][A-Za-z0-9.+-]{0,63}|https?://[A-Za-z0-9._~:/?#@!$&()*+,;=%-]{1,500}"


def license_problem(said: str) -> str | None:
    """Say why a text names no license, or None where it does; an empty one says nothing."""
    if not said or re.fullmatch(PATTERN, said):
        return None
    return f"got {said[:80]!r}, which names no license; give an identifier, such as cc-by-4.0, or a link to its text"


def checked_license(said: str) -> str:
    """Give what was said.

    Raises:
        BadInputError: If it names no license.
    """
    problem = license_problem(said)
    if problem:
        raise BadInputError(f"--license: {problem}")
    return said


def _valid(said: str) -> str:
    problem = license_problem(said)
    if problem:
        raise ValueError(problem)
    return said


LicenseText = Annotated[
    str, AfterValidator(_valid), WithJsonSchema({"type": "string", "pattern": f"^({PATTERN})?$"})
]
