"""Anchors: find a statement of a Python file by what it says, not where or how it is written.

An anchor is a statement. `_` in it stands for any expression; `...` as the only argument of a call
stands for any arguments, and as the only statement of a body for any body.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

ANY = "_"
# Whether a string has a `u` in front; comments on types; decorators, where the anchor has none.
_UNSAID = ("kind", "type_comment", "decorator_list")


def parse(anchor: str) -> ast.stmt:
    """Return the statement that `anchor` says.

    Raises:
        SyntaxError: it is not Python, or more than one statement.
    """
    body = ast.parse(anchor).body
    if len(body) != 1:
        raise SyntaxError(f"expected one statement, found {len(body)}")
    return body[0]


def find(tree: ast.Module, anchor: ast.stmt, function: str | None) -> list[ast.stmt]:
    """Return the statements of every function of that name (None: of the file) that match."""
    return [s for s in _statements(tree, function) if matches(s, anchor)]


def matches(node: object, wanted: object) -> bool:
    """Return whether `node` says what `wanted` says, where both are nodes, lists or constants."""
    if isinstance(wanted, ast.Name) and wanted.id == ANY:
        return isinstance(node, ast.expr)
    if isinstance(wanted, ast.Call) and isinstance(node, ast.Call) and _is_any(wanted.args):
        return matches(node.func, wanted.func)
    if isinstance(wanted, list):
        if not isinstance(node, list):
            return False
        if len(wanted) == 1 and isinstance(wanted[0], ast.Expr) and _is_any([wanted[0].value]):
            return True
        return len(node) == len(wanted) and all(map(matches, node, wanted))
    if isinstance(wanted, ast.AST):
        return type(node) is type(wanted) and all(
            matches(getattr(node, field, None), getattr(wanted, field, None))
            for field in wanted._fields
            if field not in _UNSAID or (field == "decorator_list" and getattr(wanted, field))
        )
    return type(node) is type(wanted) and node == wanted


def lines_of(statement: ast.stmt) -> tuple[int, int]:
    """Return the first line (from 0) of a statement, decorators with it, and the one after it."""
    above = [d.lineno for d in getattr(statement, "decorator_list", [])]
    return min([statement.lineno, *above]) - 1, statement.end_lineno or statement.lineno


def shares_a_line(statement: ast.stmt, lines: list[str]) -> bool:
    """Return whether something else than a comment stands on the statement's lines."""
    first, end = lines_of(statement)
    if first == statement.lineno - 1 and lines[first].encode()[: statement.col_offset].strip():
        return True
    after = lines[end - 1].encode()[statement.end_col_offset :].strip()
    return bool(after) and not after.startswith(b"#")


def _is_any(nodes: list[ast.expr]) -> bool:
    return len(nodes) == 1 and isinstance(nodes[0], ast.Constant) and nodes[0].value is ...


def _statements(tree: ast.Module, function: str | None) -> Iterator[ast.stmt]:
    scopes: list[ast.AST] = [tree]
    if function is not None:
        kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
        scopes = [n for n in ast.walk(tree) if isinstance(n, kinds) and n.name == function]
    seen: set[ast.AST] = set()
    for scope in scopes:
        for node in ast.walk(scope):
            if isinstance(node, ast.stmt) and node is not scope and node not in seen:
                seen.add(node)
                yield node
