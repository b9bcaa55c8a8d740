"""What a `where` may say: an allow-list over the tree that DuckDB's own parser makes of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pyarrow as pa

from curation.predicate_values import check_truth, check_values
from indexes.errors import PlanError

Node = Mapping[str, Any]


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


COMPARISONS = _words(
    "COMPARE_EQUAL COMPARE_NOTEQUAL COMPARE_LESSTHAN COMPARE_GREATERTHAN COMPARE_LESSTHANOREQUALTO "
    "COMPARE_GREATERTHANOREQUALTO COMPARE_DISTINCT_FROM COMPARE_NOT_DISTINCT_FROM"
)
OPERATORS = _words(
    "COMPARE_IN COMPARE_NOT_IN OPERATOR_NOT OPERATOR_IS_NULL OPERATOR_IS_NOT_NULL OPERATOR_COALESCE "
    "OPERATOR_NULLIF"
)
FUNCTIONS = _words(
    "abs ceil concat contains ends_with floor greatest ilike_escape isfinite isinf isnan least length "
    "len like_escape list_contains list_has list_has_all list_has_any list_value ln log2 lower ltrim "
    "not_ilike_escape not_like_escape nullif prefix regexp_full_match regexp_matches replace round rtrim sqrt "
    "starts_with strlen substring suffix trim upper"
)
SYMBOLS = _words("+ - * / // % || ~~ !~~ ~~* !~~* ~~~ ~ !~ @ ^@")
TYPES = _words(
    "bigint bool boolean char date decimal double float float4 float8 hugeint int int1 int2 int4 int8 "
    "integer numeric real signed smallint string text timestamp tinyint ubigint uinteger usmallint "
    "utinyint varchar"
)


def check_predicate(
    tree: Node, columns: Mapping[str, Any] | None, where: str, condition: bool = False
) -> None:
    """Refuse all that is not a plain expression over known columns.

    Args:
        tree: The expression's node, as DuckDB's `json_serialize_sql` writes it.
        columns: Arrow types of the columns that may be named; None leaves names unchecked.
        where: Place in the plan, for messages.
        condition: Whether it must be true or false in the end.

    Raises:
        PlanError: On a subquery, an unlisted function or kind of expression, an unknown column, a list compared
            as one value, and as `check_values` and `check_truth` say.
    """
    nodes = list(_walk(tree, where))

    def inside(node: Node) -> list[Node]:
        return CHILDREN[str(node["class"])](node, where)

    def kind(node: Node) -> Any:
        return None if columns is None else path_type(tuple(map(str, node["column_names"])), columns)

    for node in nodes if columns is not None else ():
        if node["class"] == "COLUMN_REF":
            _check_column(node, columns or {}, where)
        for side in _compared(node):
            _refuse_list(side, columns or {}, where)
    check_values(nodes, inside, kind, where)
    if condition:
        check_truth(tree, inside, kind, where)


def named_paths(tree: Node) -> tuple[tuple[str, ...], ...]:
    """List the columns that an expression names, each once, in steps: `("photo", "margin")`."""
    found: dict[tuple[str, ...], None] = {}
    pending: list[tuple[Any, frozenset[str]]] = [(tree, frozenset())]
    while pending:
        node, bound = pending.pop()
        if isinstance(node, Mapping):
            if node.get("class") == "LAMBDA":
                # What a lambda calls its arguments is no column inside it.
                pending.append((node["expr"], bound | {path[0] for path in named_paths(node["lhs"])}))
                continue
            if node.get("class") == "COLUMN_REF" and node["column_names"][0] not in bound:
                found[tuple(str(name) for name in node["column_names"])] = None
            pending.extend((value, bound) for value in node.values())
        elif isinstance(node, list):
            pending.extend((value, bound) for value in node)
    return tuple(sorted(found))


def path_type(path: tuple[str, ...], columns: Mapping[str, Any]) -> Any | None:
    """Return the type of a column or of a field in it, matched without regard to case; None if it is not there."""
    kinds = {name.lower(): kind for name, kind in columns.items()}
    kind = kinds.get(path[0].lower())
    for step in path[1:]:
        if kind is None or not pa.types.is_struct(kind):
            return None
        inner = {kind.field(i).name.lower(): kind.field(i).type for i in range(kind.num_fields)}
        kind = inner.get(step.lower())
    return kind


def _walk(tree: Node, where: str) -> Iterator[Node]:
    """Yield every node, refusing what is not on the lists; a deep tree needs no deep stack."""
    pending = [tree]
    while pending:
        node = pending.pop()
        yield node
        kind = str(node.get("class"))
        step = CHILDREN.get(kind)
        if step is None:
            raise PlanError(
                f"{where} holds a {_spoken(kind)}, which a predicate may not; it may hold comparisons, AND, "
                f"OR, NOT, IN, BETWEEN, LIKE, IS NULL, CASE, CAST, arithmetic and: {_listed(FUNCTIONS)}"
            )
        pending.extend(step(node, where))


def _listed(names: frozenset[str]) -> str:
    return ", ".join(sorted(names))


def _spoken(kind: str) -> str:
    return kind.lower().replace("_", " ")


def _check_column(node: Node, columns: Mapping[str, Any], where: str) -> None:
    """A struct is named by one of its fields, never as a whole."""
    path = tuple(str(name) for name in node["column_names"])
    kind = path_type(path, columns)
    if kind is not None and not pa.types.is_struct(kind):
        return
    has = ", ".join(sorted(name for column, kind in columns.items() for name in _leaves(column, kind)))
    raise PlanError(
        f"{where} names the column '{'.'.join(path)}', which is not there; it may name: {has or 'none'}"
    )


def _leaves(name: str, kind: Any) -> Iterator[str]:
    if not pa.types.is_struct(kind):
        yield name
        return
    for place in range(kind.num_fields):
        field = kind.field(place)
        yield from _leaves(f"{name}.{field.name}", field.type)


def _compared(node: Node) -> list[Node]:
    """List what a node compares as one value."""
    if node["class"] == "COMPARISON":
        return [node["left"], node["right"]]
    if node["class"] == "BETWEEN":
        return [node["input"], node["lower"], node["upper"]]
    if node["class"] == "OPERATOR" and node["type"] in ("COMPARE_IN", "COMPARE_NOT_IN"):
        return list(node["children"])
    if node["class"] == "FUNCTION" and str(node["function_name"]).lower() in SYMBOLS:
        return [argument["expression"] for argument in node["arguments"]]
    return []


def _refuse_list(node: Node, columns: Mapping[str, Any], where: str) -> None:
    if node["class"] != "COLUMN_REF":
        return
    path = tuple(str(name) for name in node["column_names"])
    kind = path_type(path, columns)
    if kind is not None and _is_list(kind):
        name = ".".join(path)
        raise PlanError(
            f"{where} compares the column '{name}', which holds lists of {kind.value_type}, as one value; ask for "
            f"len({name}), list_contains({name}, value), list_has_any({name}, [a, b]), list_has_all or IS NULL"
        )


def _is_list(kind: Any) -> bool:
    types = pa.types
    return bool(types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind))


def _typed(allowed: frozenset[str]) -> Callable[[Node, str], None]:
    def check(node: Node, where: str) -> None:
        if node["type"] not in allowed:
            raise PlanError(
                f"{where} holds the operator {_spoken(str(node['type']))}, which a predicate may not"
            )

    return check


def _of_comparison(node: Node, where: str) -> list[Node]:
    _typed(COMPARISONS)(node, where)
    return [node["left"], node["right"]]


def _of_operator(node: Node, where: str) -> list[Node]:
    _typed(OPERATORS)(node, where)
    return list(node["children"])


def _of_between(node: Node, where: str) -> list[Node]:
    return [node["input"], node["lower"], node["upper"]]


def _of_case(node: Node, where: str) -> list[Node]:
    checks = [check[side] for check in node["case_checks"] for side in ("when_expr", "then_expr")]
    return [*checks, node["else_expr"]]


def _of_leaf(node: Node, where: str) -> list[Node]:
    return []


def _of_cast(node: Node, where: str) -> list[Node]:
    """A type may have numbers as its arguments, as DECIMAL(8, 3) has."""
    kind = node["type_expr"]
    name = str(kind["type_name"]).lower()
    plain = all(child.get("class") == "CONSTANT" for child in kind["children"])
    if name not in TYPES or not plain or kind["schema"] or kind["catalog"]:
        raise PlanError(f"{where} casts to {name}; it may cast to: {_listed(TYPES)}")
    return [node["child"]]


def _of_function(node: Node, where: str) -> list[Node]:
    name = str(node["function_name"]).lower()
    allowed = SYMBOLS if node["is_operator"] and name not in FUNCTIONS else FUNCTIONS
    unusual = (
        node["schema"] or node["catalog"] or node["distinct"] or node["filter"] or node["order_bys"]["orders"]
    )
    if name not in allowed or unusual or any(argument["name"] for argument in node["arguments"]):
        raise PlanError(
            f"{where} calls the function {name}, which a predicate may not; it may call: {_listed(FUNCTIONS)}"
        )
    return [argument["expression"] for argument in node["arguments"]]


CHILDREN: dict[str, Callable[[Node, str], list[Node]]] = {
    "BETWEEN": _of_between,
    "CASE": _of_case,
    "CAST": _of_cast,
    "COLUMN_REF": _of_leaf,
    "COMPARISON": _of_comparison,
    "CONJUNCTION": lambda node, where: list(node["children"]),
    "CONSTANT": _of_leaf,
    "FUNCTION": _of_function,
    "OPERATOR": _of_operator,
}
