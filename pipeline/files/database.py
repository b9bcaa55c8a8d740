"""DuckDB, locked down: no network, no extension, no file but those of the output folder, within a memory limit."""

from __future__ import annotations

import json
import shlex
import shutil
import tempfile
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import duckdb

from curation.predicate_values import nan_as_null
from indexes.errors import OutputError, PlanError, RunFailedError
from pipeline.files.storage import output_errors

MAX_PREDICATE = 10_000
"""Characters of a `where`; more is not written by a person, and deep nesting is slow to parse."""
_PARSING = threading.Lock()


@dataclass(frozen=True, slots=True)
class Predicate:
    """A predicate as DuckDB's parser read it: the tree that is checked, and the same written back."""

    tree: dict[str, Any]
    sql: str


@contextmanager
def connect(
    out: Path, memory_limit: str = "1GB", threads: int | None = None, spill: Path | None = None
) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open a database in memory that can read and write below `out` and nowhere else.

    Give file lists as `read_parquet($files)` with `files(paths)` bound; never write a path into SQL.

    Args:
        out: The output folder.
        memory_limit: As DuckDB writes it; what does not fit is spilled.
        threads: All cores if None.
        spill: Folder for what does not fit; by default a new one under `<out>/attempts`, removed at the end.

    Raises:
        RunFailedError: If the memory limit is too small for the work.
        OutputError: If the disk is full.
    """
    attempts = out / "attempts"
    try:
        with output_errors(out):
            if spill is None:
                attempts.mkdir(mode=0o700, parents=True, exist_ok=True)
            folder = Path(tempfile.mkdtemp(prefix="spill-", dir=spill or attempts))
            try:
                with _locked(out, folder, memory_limit, threads) as connection:
                    yield connection
            finally:
                shutil.rmtree(folder, ignore_errors=True)
    except duckdb.OutOfMemoryException as error:
        raise RunFailedError(
            f"the database needs more than {memory_limit} of memory, or more disk than '{out}' has left: "
            f"{_first_line(error)}. Allow it more memory, or free disk space, and run again to resume"
        ) from error
    except duckdb.Error as error:
        raise RunFailedError(
            f"the database failed in '{out}': {_first_line(error)}. "
            f"`nearfar verify {shlex.quote(str(out))} --repair` makes again what is damaged, and what came of it"
        ) from error


def _locked(out: Path, spill: Path, memory_limit: str, threads: int | None) -> duckdb.DuckDBPyConnection:
    settings: dict[str, Any] = {
        "memory_limit": memory_limit,
        "temp_directory": str(spill.absolute()),
        "autoload_known_extensions": False,
        "autoinstall_known_extensions": False,
        "allow_community_extensions": False,
        "python_enable_replacements": False,
        "preserve_insertion_order": False,
        "arrow_lossless_conversion": True,  # a UUID stays 16 bytes
    }
    if threads is not None:
        settings["threads"] = threads
    connection = duckdb.connect(":memory:", config=settings)
    connection.execute("SET enable_progress_bar = false")
    # Parquet's minimum and maximum pass over NaN, so what is concluded from them is wrong for such rows.
    connection.execute("SET disabled_optimizers = 'statistics_propagation'")
    root = f"{out.absolute()}/"
    # The check compares prefixes of what is asked for, and that is a pattern (see `files`).
    connection.execute("SET allowed_directories = ?", [sorted({root, _literal(root)})])
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")
    return connection


def files(paths: Iterable[str | Path]) -> list[str]:
    """Name files for `read_parquet`, which takes every path as a pattern: `*`, `?` and `[` stand for themselves."""
    return [_literal(str(Path(path).absolute())) for path in paths]


def _literal(path: str) -> str:
    if not any(mark in path for mark in "*?["):
        return path  # not read as a pattern, and a backslash is only itself outside one
    if "\\" in path:
        raise OutputError(
            f"'{path}' holds a backslash beside '*', '?' or '[', which DuckDB cannot tell from a pattern. "
            "Name another output folder"
        )
    return "".join(f"[{mark}]" if mark in "*?[" else mark for mark in path)


def sealed() -> duckdb.DuckDBPyConnection:
    """Open a database in memory that reaches no file, network, extension or Python name: to parse and bind with."""
    settings: dict[str, Any] = {
        "threads": 1,
        "python_enable_replacements": False,
        "autoload_known_extensions": False,
    }
    connection = duckdb.connect(":memory:", config=settings)
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")
    return connection


@cache
def _parser() -> duckdb.DuckDBPyConnection:
    return sealed()


@lru_cache(maxsize=256)  # a run reads each of its predicates some ten times
def parse_predicate(text: str) -> Predicate:
    """Read a predicate with DuckDB's own parser, which binds and runs nothing; NaN that it computes becomes NULL.

    The same answer is given to all who ask; it is read and never changed.

    Raises:
        PlanError: If `text` is not one SQL expression.
    """
    shown = text if len(text) <= 80 else f"{text[:80]}..."
    if len(text) > MAX_PREDICATE or "\x00" in text:
        raise PlanError(f"the predicate {shown!r} is longer than {MAX_PREDICATE} characters, or holds a NUL")
    try:
        with _PARSING:
            # The line break ends a comment; the parentheses keep a second clause or statement out.
            query = "SELECT json_serialize_sql(?)"
            answer = _parser().execute(query, [f"SELECT ({text}\n)"]).fetchall()[0][0]
            parsed = json.loads(answer)
            if parsed["error"]:
                raise PlanError(_refusal(shown, parsed["error_message"]))
            tree = _only_expression(json.loads(answer), shown)
            parsed["statements"][0]["node"]["select_list"] = [
                nan_as_null(_only_expression(parsed, shown), _wrapper())
            ]
            written = (
                _parser().execute("SELECT json_deserialize_sql(?)", [json.dumps(parsed)]).fetchall()[0][0]
            )
    except duckdb.Error as error:
        raise PlanError(_refusal(shown, _first_line(error))) from error
    except RecursionError as error:
        raise PlanError(_refusal(shown, "it holds too many terms inside one another")) from error
    return Predicate(tree, str(written).removeprefix("SELECT "))


@cache
def _wrapper() -> dict[str, Any]:
    answer = _parser().execute("SELECT json_serialize_sql($$SELECT nullif(0, 'nan'::FLOAT)$$)").fetchall()
    node: dict[str, Any] = json.loads(answer[0][0])["statements"][0]["node"]["select_list"][0]
    return node


def _only_expression(parsed: dict[str, Any], shown: str) -> dict[str, Any]:
    """Return the one expression; `a) FROM t WHERE (b` fits between parentheses too, and is refused here."""
    nodes = [statement["node"] for statement in parsed["statements"]]
    plain = (
        len(nodes) == 1 and nodes[0]["type"] == "SELECT_NODE" and nodes[0]["from_table"]["type"] == "EMPTY"
    )
    clauses = ("modifiers", "where_clause", "group_expressions", "group_sets", "having", "sample", "qualify")
    if not plain or any(nodes[0][clause] for clause in clauses) or nodes[0]["cte_map"]["map"]:
        raise PlanError(_refusal(shown, "it holds more than an expression"))
    expressions: list[dict[str, Any]] = nodes[0]["select_list"]
    if len(expressions) != 1 or expressions[0]["alias"]:
        raise PlanError(_refusal(shown, "it holds more than one expression, or names it"))
    return expressions[0]


def _refusal(shown: str, why: str) -> str:
    return (
        f"{shown!r} is not one SQL expression: {why}. Write a condition such as width >= 200 AND height >= 200; "
        'a name that SQL uses itself stands in double quotes, as "when"'
    )


def _first_line(error: BaseException) -> str:
    return str(error).splitlines()[0]
