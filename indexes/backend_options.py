"""Options of one backend: a frozen dataclass `Options` in its file, filled from a plan's `engine.options`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from types import ModuleType, NoneType
from typing import Any, get_args, get_type_hints

from indexes.errors import BadInputError, UnknownNameError

_WORDS = {int: "a whole number", float: "a number", bool: "true or false", str: "a text", NoneType: "null"}


@dataclass(frozen=True, slots=True)
class NoOptions:
    """What a backend has whose file declares no `Options`."""


def options_class(module: ModuleType) -> type[Any]:
    """Look up the options that a backend's file declares: its dataclass `Options`, or `NoOptions`."""
    found: type[Any] = getattr(module, "Options", NoOptions)
    return found


def read_options(kind: type[Any], given: Mapping[str, object] | None, backend: str) -> Any:
    """Fill a backend's options from a plan; what is not given keeps its default.

    Args:
        kind: The backend's dataclass. A field's type is one of int, float, bool and str, or one of these or None;
            ranges are its own `__post_init__`'s to check, by a `BadInputError`.
        given: Option by name; None stands for no option.
        backend: The backend's name, for messages.

    Returns:
        An instance of `kind`.

    Raises:
        UnknownNameError: If an option does not exist; the message lists those that do.
        BadInputError: If `given` is no mapping, or a value has another type or lies outside its range.
    """
    if given is not None and not isinstance(given, Mapping):
        raise BadInputError(
            f"options of index backend '{backend}' are {given!r}; write a mapping of: {_takes(kind)}"
        )
    types, values = get_type_hints(kind), dict(given or {})
    for name, value in values.items():
        if name not in types:
            advice = "Correct its name or leave it out" if types else f"Leave out the options of '{backend}'"
            raise UnknownNameError(f"option of index backend '{backend}':", str(name), sorted(types), advice)
        values[name] = _typed(value, types[name], f"option '{name}' of index backend '{backend}'")
    try:
        return kind(**values)
    except BadInputError as error:
        raise BadInputError(f"index backend '{backend}': {error}") from None


def check_range(name: str, value: float | None, least: float, most: float | None = None) -> None:
    """Check an option's value; None, which stands for a default of its own, is always inside.

    Raises:
        BadInputError: If the value is below `least` or above `most`.
    """
    if value is not None and not (least <= value and (most is None or value <= most)):
        allowed = f"at least {least:g}" if most is None else f"from {least:g} to {most:g}"
        raise BadInputError(f"option '{name}' is {value}; it can be {allowed}")


def _typed(value: object, declared: Any, what: str) -> object:
    """Check a value against a field's type; a whole number is a number, but true is not 1."""
    allowed = get_args(declared) or (declared,)
    if float in allowed and type(value) is int:
        return float(value)
    if type(value) not in allowed:
        words = " or ".join(_WORDS[kind] for kind in allowed)
        raise BadInputError(f"{what} is {value!r}; it takes {words}")
    return value


def _takes(kind: type[Any]) -> str:
    return ", ".join(sorted(field.name for field in fields(kind))) or "no option at all"
