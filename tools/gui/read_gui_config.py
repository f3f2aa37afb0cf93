"""Read the table of options that the Kohya GUI writes from v24 on: `config_toml_data`."""

from __future__ import annotations

import ast
import copy
from typing import Any

from tools.gui.read_gui import BY_HAND, Rule, fold, parameters
from tools.read_parser import Unreadable

TABLE = "config_toml_data"


def config(start: ast.FunctionDef) -> dict[str, Rule] | None:
    """Return the rules of the table in `start`; None where there is no such table."""
    table = next((n.value for n in ast.walk(start) if _is_table(n)), None)  # type: ignore[attr-defined]
    if table is None:
        return None
    locals_ = _locals(start)
    found = {}
    for key, value in zip(table.keys, table.values, strict=True):
        name = ast.literal_eval(key)
        if name not in BY_HAND and (rule := _rule(fold(copy.deepcopy(value)), locals_)):
            found[name] = rule
    # Set once more behind the filter, so that 0 gets through.
    found["max_data_loader_n_workers"] = ["max_data_loader_n_workers", "int,always"]
    return found


def drops(start: ast.FunctionDef) -> str:
    """Return what never gets into the file: "zero" also means false, "false" leaves 0 in."""
    for node in ast.walk(start):
        filtered = isinstance(node, ast.Assign) and isinstance(node.value, ast.DictComp)
        if filtered and TABLE in ast.unparse(node):
            return "zero" if "False, None]" in ast.unparse(node) else "false"
    return "nothing"


def whole_numbers(load: ast.FunctionDef) -> list[str]:
    """Return the fields that `load` turns into whole numbers, whatever they were."""
    found: list[str] = []
    for node in ast.walk(load):
        if isinstance(node, ast.For) and isinstance(node.iter, ast.List):
            makes = [ast.unparse(n.value) for n in ast.walk(node) if isinstance(n, ast.Assign)]
            if "int(value)" in makes and "float(value)" not in makes:
                found += ast.literal_eval(node.iter)
    return sorted(found)


def _is_table(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Assign)
        and isinstance(node.value, ast.Dict)
        and ast.unparse(node.targets[0]) == TABLE
    )


def _locals(start: ast.FunctionDef) -> dict[str, ast.expr]:
    """Return the one value of each name that is no parameter."""
    found: dict[str, ast.expr] = {}
    for node in ast.walk(start):
        name = ast.unparse(node.targets[0]) if isinstance(node, ast.Assign) else ""
        if isinstance(node, ast.Assign) and name not in parameters(start):
            found[name] = node.value
    return found


def _rule(node: ast.expr, locals_: dict[str, ast.expr]) -> Rule | None:
    """Return the rule that an expression, already folded, stands for; None for a constant None.

    Raises:
        Unreadable: it has no known form.
    """
    match node:
        case ast.Constant(value=None | False):
            return None
        case ast.Constant(value=True):
            return [None, "true"]
        case ast.Name(id=name) if name in locals_:
            return _rule(fold(copy.deepcopy(locals_[name])), locals_)
        case ast.Name(id=name):
            return [name, "as"]
        case ast.Call(func=ast.Name(id="int" | "float" as kind), args=[inner]):
            return _with(_rule(inner, locals_), kind)
        case ast.Call(func=ast.Attribute(attr="split")):
            (name,) = {n.id for n in ast.walk(node) if isinstance(n, ast.Name)} - {"str"}
            return [name, "words"]
        case ast.IfExp():
            return _conditional(node, locals_)
    raise Unreadable(f"{ast.unparse(node)[:80]}")


def _conditional(node: ast.IfExp, locals_: dict[str, ast.expr]) -> Rule | None:
    match node:
        case ast.IfExp(ast.Name(id=name), ast.Constant(True), ast.Constant(None)):
            return [name, "as"]
        case ast.IfExp(
            ast.Compare(ast.Name(id=name), [ast.Eq()], [ast.Constant(value)]),
            ast.Constant(True),
            ast.Constant(None),
        ):
            return [name, f"is:{value}"]
        case ast.IfExp(body=ast.Constant(None)):
            return _rule(node.orelse, locals_)  # left out only where other rates replace it
        case ast.IfExp(orelse=ast.Constant(None)):
            rule = _rule(node.body, locals_)
            for test in node.test.values if isinstance(node.test, ast.BoolOp) else [node.test]:
                rule = _tested(rule, test)
            return rule
        case (
            ast.IfExp(orelse=ast.Name(id=other))
            | ast.IfExp(orelse=ast.Call(func=ast.Name(id="int"), args=[ast.Name(id=other)]))
        ):
            # A value, and another field's where it is empty.
            return _with(_rule(node.body, locals_), f"else:{other}")
        case ast.IfExp(body=ast.Constant(0)) | ast.IfExp(orelse=ast.Constant()):
            return _rule(node.body, locals_)  # a number, or 0.0 where there is none
    raise Unreadable(f"{ast.unparse(node)[:80]}")


def _tested(rule: Rule | None, test: ast.expr) -> Rule | None:
    match test:
        case ast.Compare(ast.Name(id=name), [ast.Eq()], [ast.Constant(value)]):
            return rule and [*rule, f"{name}={value}"]
        case ast.Compare(ops=[ast.NotEq()], comparators=[ast.Constant("") | ast.List()]):
            return rule  # what is empty is left out in any case
        case ast.Compare(ops=[ast.NotEq() | ast.Gt()], comparators=[ast.Constant(0)]):
            return _with(rule, "set")
        case ast.Name(id=name):
            return rule and [*rule, f"{name}=True"]
        case ast.Constant():
            return rule  # `if not 0`: a slip of upstream's, always true
    raise Unreadable(f"{ast.unparse(test)[:80]}")


def _with(rule: Rule | None, form: str) -> Rule | None:
    if rule is None:
        return None
    forms: Any = rule[1]
    return [rule[0], form if forms == "as" else f"{forms},{form}", *rule[2:]]
