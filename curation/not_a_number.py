"""NaN that an expression computes is NULL, as NaN that is stored is: DuckDB orders it above every number.

Logarithms and roots of negative numbers, 0 / 0, inf - inf and a text that says NaN give it. It goes through all further
arithmetic, so that it is enough to look at what arithmetic as a whole comes to.
"""

from __future__ import annotations

import copy
from typing import Any

Node = dict[str, Any]
ARITHMETIC = frozenset(
    ("+", "-", "*", "/", "//", "%", "@", "abs", "ceil", "floor", "ln", "log2", "round", "sqrt")
)
_FLOATS = ("double", "float", "float4", "float8", "real")
_TIMES = ("date", "timestamp")


def nan_as_null(tree: Node, wrapper: Node) -> Node:
    """Put `nullif(…, 'nan'::FLOAT)` around what may come to NaN in an expression; a second time changes nothing.

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
    found: Node = whole[0]
    return found


def _places(node: Any) -> list[Any]:
    if isinstance(node, dict):
        return list(node)
    return list(range(len(node))) if isinstance(node, list) else []


def _computes(node: Node) -> bool:
    if node["class"] == "CAST":
        return str(node["type_expr"].get("type_name", "")).lower() in _FLOATS
    return node["class"] == "FUNCTION" and str(node["function_name"]).lower() in ARITHMETIC


def _is_wrapper(node: Node) -> bool:
    arguments = node.get("arguments") or []
    named = str(node.get("function_name", "")).lower() == "nullif"
    return named and len(arguments) == 2 and _is_nan(arguments[1]["expression"])


def _is_nan(node: Node) -> bool:
    literal = node["child"].get("literal", {}) if node["class"] == "CAST" else {}
    return str(literal.get("text", "")).lower() == "nan"


def _holds_time(node: Any) -> bool:
    pending = [node]
    while pending:
        one = pending.pop()
        if isinstance(one, dict) and str(one.get("type_name", "")).lower().startswith(_TIMES):
            return True
        pending += [one[place] for place in _places(one)]
    return False
