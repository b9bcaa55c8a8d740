"""What the values of a predicate may be: true or false in the end, the same on every day, and of bounded length."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import pyarrow as pa

from indexes.errors import PlanError

Node = Mapping[str, Any]


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


MOST_GROWTH = 100
"""A predicate may make text of a caption that is this many times as long; its memory is bounded by that."""
TRUTHS = _words(
    "contains ends_with ilike_escape isfinite isinf isnan like_escape list_contains list_has list_has_all "
    "list_has_any not_ilike_escape not_like_escape prefix regexp_full_match regexp_matches starts_with "
    "~~ !~~ ~~* !~~* ~~~ ~ !~ ^@"
)
"""Functions and symbols that are true or false."""
_SAME = frozenset(("greatest", "least", "nullif"))
_DAYS = frozenset(("now", "today", "tomorrow", "yesterday"))
_TIMES = frozenset(("date", "timestamp"))
_ARITHMETIC = frozenset(
    ("+", "-", "*", "/", "//", "%", "@", "abs", "ceil", "floor", "ln", "log2", "round", "sqrt")
)
_FLOATS = ("double", "float", "float4", "float8", "real")


def check_values(
    nodes: Iterable[Node], children: Callable[[Node], list[Node]], kind: Callable[[Node], Any], where: str
) -> None:
    """Refuse what depends on the day of the run, and text that grows too much.

    Args:
        nodes: Every node of the expression, parents before what is in them.
        children: Lists what is in a node.
        kind: Gives the Arrow type of a column's node; None where it is not known.
        where: Place in the plan, for messages.

    Raises:
        PlanError: With what to write instead.
    """
    every = list(nodes)
    if any(_is_time(node, kind) for node in every):
        for node in every:
            _refuse_day(node, where)
    growth: dict[int, float] = {}
    for node in reversed(every):
        growth[id(node)] = _growth(node, [growth[id(child)] for child in children(node)], where)
        if growth[id(node)] > MOST_GROWTH:
            raise PlanError(
                f"{where} may make text that is {growth[id(node)]:.3g} times as long as what is there, more than "
                f"{MOST_GROWTH}; replace by shorter text, or fewer times inside one another"
            )


def check_truth(
    tree: Node, children: Callable[[Node], list[Node]], kind: Callable[[Node], Any], where: str
) -> None:
    """Refuse an expression that is no truth value, where a truth value belongs.

    Raises:
        PlanError: With what a condition looks like.
    """
    pending = [(tree, True)]
    while pending:
        node, truth = pending.pop()
        inside = _truths_inside(node, children, truth)
        if truth and inside is None and not _is_truth(node, kind):
            raise PlanError(
                f"{where} holds {_named(node)} where a condition belongs, which is true or false; write a comparison, "
                "such as width >= 200, or caption IS NOT NULL"
            )
        pending += [(child, False) for child in children(node)] if inside is None else inside


def _truths_inside(
    node: Node, children: Callable[[Node], list[Node]], truth: bool
) -> list[tuple[Node, bool]] | None:
    """List what is in a node that takes truth values, each with whether it must be one; None for another node."""
    of, name = node["class"], str(node.get("function_name", "")).lower()
    if of == "CONJUNCTION" or node["type"] == "OPERATOR_NOT":
        return [(child, True) for child in children(node)]
    if of == "CASE":
        checks = node["case_checks"]
        whens, thens = ([check[side] for check in checks] for side in ("when_expr", "then_expr"))
        return [(when, True) for when in whens] + [(then, truth) for then in (*thens, node["else_expr"])]
    if truth and (node["type"] == "OPERATOR_COALESCE" or (of == "FUNCTION" and name in _SAME)):
        return [(child, True) for child in children(node)]
    return None


def _is_truth(node: Node, kind: Callable[[Node], Any]) -> bool:
    of = node["class"]
    if of in ("COMPARISON", "BETWEEN"):
        return True
    if of == "OPERATOR":
        return node["type"] not in ("OPERATOR_COALESCE", "OPERATOR_NULLIF")
    if of == "FUNCTION":
        return str(node["function_name"]).lower() in TRUTHS
    if of == "CONSTANT":
        return node["literal"]["kind"] in ("BOOLEAN", "NULL_LITERAL")
    if of == "CAST":
        return str(node["type_expr"]["type_name"]).lower() in ("bool", "boolean")
    found = kind(node)
    return found is None or bool(pa.types.is_boolean(found))


def _named(node: Node) -> str:
    if node["class"] == "CONSTANT":
        return f"'{node['literal']['text']}'"
    if node["class"] == "COLUMN_REF":
        return f"the column '{'.'.join(node['column_names'])}'"
    return f"the value of {node.get('function_name') or node['class'].lower()}"


def _casts_to_time(node: Node) -> bool:
    name = str(node["type_expr"]["type_name"]).lower() if node["class"] == "CAST" else ""
    return any(name.startswith(time) for time in _TIMES)


def _is_time(node: Node, kind: Callable[[Node], Any]) -> bool:
    if node["class"] == "COLUMN_REF":
        found = kind(node)
        return found is None or bool(pa.types.is_temporal(found))
    return _casts_to_time(node)


def _refuse_day(node: Node, where: str) -> None:
    """`now` and its like are found out when a run binds them: another day, another split."""
    if _is_text(node) and str(node["literal"]["text"]).strip().lower() in _DAYS:
        day = node["literal"]["text"]
        raise PlanError(
            f"{where} compares with '{day}', which depends on the day of the run; write the date itself, such as "
            "DATE '2024-01-31'"
        )
    child = node["child"] if _casts_to_time(node) else None
    if child is not None and child["class"] not in ("COLUMN_REF", "CONSTANT", "CAST"):
        raise PlanError(
            f"{where} makes a date of text that it puts together; cast a column, or write the date itself, such as "
            "DATE '2024-01-31'"
        )


def _is_text(node: Node) -> bool:
    return bool(node["class"] == "CONSTANT" and node["literal"]["kind"] == "STRING")


def _growth(node: Node, inside: list[float], where: str) -> float:
    """Bound the length of a node's text, in lengths of the longest text that is there."""
    name = str(node.get("function_name", "")).lower()
    if name == "replace" and len(inside) == 3:
        _, old, new = (argument["expression"] for argument in node["arguments"])
        if not _is_text(new):
            raise PlanError(
                f"{where} replaces by text that is not written out; give replace a text, such as ''"
            )
        least = max(len(str(old["literal"]["text"])), 1) if _is_text(old) else 1
        return inside[0] * max(1.0, len(str(new["literal"]["text"])) / least)
    if name in ("concat", "||", "+", "list_value"):
        return max(1.0, sum(inside))
    return max([1.0, *inside])


def nan_as_null(tree: dict[str, Any], wrapper: dict[str, Any]) -> dict[str, Any]:
    """Put `nullif(…, 'nan'::FLOAT)` around what may come to NaN in an expression; a second time changes nothing.

    DuckDB orders NaN above every number. Logarithms and roots of negative numbers, 0 / 0, inf - inf and a text that
    says NaN give it. It goes through all further arithmetic, so that what arithmetic as a whole comes to is looked at.
    What holds a date is left alone: days are no numbers that could be NaN.

    Args:
        tree: The expression's node, as DuckDB's `json_serialize_sql` writes it; it is changed.
        wrapper: The node of `nullif(0, 'nan'::FLOAT)`.
    """
    whole: list[Any] = [tree]
    # Long sums are deep trees, deeper than Python calls may be. The last says whether what is around sees to NaN.
    pending: list[tuple[Any, Any, bool]] = [(whole, 0, False)]
    while pending:
        holder, place, inside = pending.pop()
        node = holder[place]
        if isinstance(node, dict) and "class" in node:
            computes = _computes(node)
            if computes and not inside and not _holds_time(node):
                holder[place] = copy.deepcopy(wrapper)
                holder[place]["arguments"][0]["expression"] = node
            inside = (computes and node["class"] == "FUNCTION") or _is_wrapper(node)
        pending += [(node, key, inside) for key in _places(node)]
    found: dict[str, Any] = whole[0]
    return found


def _places(node: Any) -> list[Any]:
    if isinstance(node, dict):
        return list(node)
    return list(range(len(node))) if isinstance(node, list) else []


def _computes(node: dict[str, Any]) -> bool:
    if node["class"] == "CAST":
        return str(node["type_expr"].get("type_name", "")).lower() in _FLOATS
    return node["class"] == "FUNCTION" and str(node["function_name"]).lower() in _ARITHMETIC


def _is_wrapper(node: dict[str, Any]) -> bool:
    arguments = node.get("arguments") or []
    named = str(node.get("function_name", "")).lower() == "nullif"
    return named and len(arguments) == 2 and _is_nan(arguments[1]["expression"])


def _is_nan(node: dict[str, Any]) -> bool:
    literal = node["child"].get("literal", {}) if node["class"] == "CAST" else {}
    return str(literal.get("text", "")).lower() == "nan"


def _holds_time(node: Any) -> bool:
    pending = [node]
    while pending:
        one = pending.pop()
        if isinstance(one, dict) and str(one.get("type_name", "")).lower().startswith(tuple(_TIMES)):
            return True
        pending += [one[place] for place in _places(one)]
    return False
