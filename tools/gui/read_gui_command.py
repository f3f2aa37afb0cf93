"""Read the command line that the Kohya GUI puts together up to v23: a string, piece by piece."""

from __future__ import annotations

import ast
import copy
import re
from collections.abc import Iterator, Mapping

from tools.gui.read_gui import Gui, Rule, fold

_OPTION = re.compile(r"--(\w+)(?:[= ]\"?\{(\w*)\})?")
Env = Mapping[str, tuple[str, str] | None]  # a local name: the field and what was done to it


def commands(gui: Gui, start: ast.FunctionDef) -> dict[str, Rule]:
    """Return the rules of all options that `start` and what it calls add to the command."""
    env: dict[str, tuple[str, str] | None] = {a.arg: (a.arg, "") for a in start.args.args}
    found: dict[str, Rule] = {}
    for name, rule in _body(gui, start.body, env, []):
        found.setdefault(name, rule)
    return found


def extra_first(gui: Gui) -> bool:
    """Return whether `additional_parameters` come before the options they might override."""
    advanced = gui.functions.get("run_cmd_advanced_training")
    lines = {
        name: node.lineno
        for node in ast.walk(advanced or ast.Module([], []))
        if isinstance(node, ast.AugAssign)
        for name in ("additional_parameters", "--bucket_reso_steps")
        if name in ast.unparse(node)
    }
    return len(lines) == 2 and lines["additional_parameters"] < lines["--bucket_reso_steps"]


def _body(
    gui: Gui, body: list[ast.stmt], env: dict[str, tuple[str, str] | None], tests: list[ast.expr]
) -> Iterator[tuple[str, Rule]]:
    for node in body:
        match node:
            case ast.AugAssign(target=ast.Name(id="run_cmd"), value=value):
                yield from _added(gui, value, env, tests)
            case ast.Assign(targets=[ast.Name(id="run_cmd")], value=ast.JoinedStr() as value):
                yield from _added(gui, value, env, tests)
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Dict() as table):
                for key, value in zip(table.keys, table.values, strict=True):
                    env[f"{name}/{ast.unparse(key or value)[1:-1]}"] = _source(value, env)
            case ast.Assign(targets=[ast.Subscript(ast.Name(id=table), ast.Constant(key))]):
                env[f"{table}/{key}"] = _source(node.value, env)
            case ast.Assign(targets=[ast.Name(id=name)], value=value) if name not in ("run_cmd",):
                source = _source(value, env)
                if source or name not in env:
                    env[name] = source
            case ast.If(test, inner, orelse):
                yield from _if(gui, test, inner, orelse, env, tests)


def _if(
    gui: Gui,
    test: ast.expr,
    inner: list[ast.stmt],
    orelse: list[ast.stmt],
    env: dict[str, tuple[str, str] | None],
    tests: list[ast.expr],
) -> Iterator[tuple[str, Rule]]:
    test = fold(copy.deepcopy(test))
    if isinstance(test, ast.Constant):
        yield from _body(gui, inner if test.value else orelse, env, tests)
        return
    yield from _body(gui, inner, env, [*tests, test])
    # What is not "Original" noise is "Multires"; every other else has options of its own.
    other = "== 'Original'" in ast.unparse(test)
    opposite = [ast.parse("noise_offset_type == 'Multires'", mode="eval").body] if other else []
    yield from _body(gui, orelse, env, [*tests, *opposite])


def _added(
    gui: Gui, value: ast.expr, env: dict[str, tuple[str, str] | None], tests: list[ast.expr]
) -> Iterator[tuple[str, Rule]]:
    if isinstance(value, ast.Call) and isinstance(value.func, ast.Name):
        called = gui.functions.get(value.func.id)
        if called:
            yield from _body(gui, called.body, _passed(called, value, env), tests)
        return
    text, sources = _template(value, env)
    for match in _OPTION.finditer(text):
        name, slot = match.groups()
        source = sources.get(slot or "")
        if name == "log_with":
            yield name, ["use_wandb", "then:wandb"]
        elif source is not None:
            yield name, _rule(source, tests, env)
        elif slot is None and (flag := _flag(tests, env)):
            yield name, flag


def _passed(
    called: ast.FunctionDef, call: ast.Call, env: dict[str, tuple[str, str] | None]
) -> dict[str, tuple[str, str] | None]:
    """Return what the names in a called function stand for: by position, by name, by `**`."""
    found = {a.arg: _source(v, env) for a, v in zip(called.args.args, call.args, strict=False)}
    for keyword in call.keywords:
        if keyword.arg:
            found[keyword.arg] = _source(keyword.value, env)
        else:
            table = f"{ast.unparse(keyword.value)}/"
            found |= {k.removeprefix(table): v for k, v in env.items() if k.startswith(table)}
    return found


def _source(node: ast.expr, env: Env) -> tuple[str, str] | None:
    """Return the field that an expression comes from, and whether as a whole number."""
    node = fold(copy.deepcopy(node))
    match node:
        case ast.Name(id=name):
            return env.get(name)
        case ast.Call(ast.Attribute(ast.Name("kwargs"), "get"), [ast.Constant(name), *_]):
            return env.get(str(name))
        case ast.Subscript(ast.Name("kwargs"), ast.Constant(name)):
            return env.get(str(name))
        case ast.Call(ast.Name("int" | "float" as kind), [inner]):
            found = _source(inner, env)
            return (found[0], "int") if found and kind == "int" else found
    return None


def _template(value: ast.expr, env: Env) -> tuple[str, dict[str, tuple[str, str] | None]]:
    parts = value.values if isinstance(value, ast.JoinedStr) else [value]
    text, sources = "", {}
    for number, part in enumerate(parts):
        if isinstance(part, ast.FormattedValue):
            text += f"{{v{number}}}"
            sources[f"v{number}"] = _source(part.value, env)
        elif isinstance(part, ast.Constant):
            text += str(part.value)
    return text, sources


def _rule(source: tuple[str, str], tests: list[ast.expr], env: Env) -> Rule:
    field, form = source
    forms = [form] if form else []
    guard: list[str] = []
    for test in _parts(tests):
        match test:
            case ast.Compare(left, [op], [ast.Constant(limit)]):
                there = _source(left, env)
                if there and there[0] == field:
                    forms += _limit(op, limit)
                elif there and isinstance(op, ast.Eq) and there[0] != "LoRA_type":
                    guard.append(f"{there[0]}={limit}")
            case _:
                there = _source(test, env)
                if there and there[0] == field:
                    forms.append("set")
                elif there:
                    guard.append(f"{there[0]}=True")
    return [field, ",".join(dict.fromkeys(forms)) or "as", *guard[:1]]


def _limit(op: ast.cmpop, limit: object) -> list[str]:
    if isinstance(limit, str):
        return [f"not:{limit}"] if limit and isinstance(op, ast.NotEq) else []
    if isinstance(op, ast.NotEq) and limit == 0:
        return ["set"]
    names = {ast.Gt: "above", ast.GtE: "from", ast.Lt: "below", ast.NotEq: "not"}
    return [f"{names[type(op)]}:{limit:g}"] if type(op) in names else []  # type: ignore[str-format]


def _flag(tests: list[ast.expr], env: Env) -> Rule | None:
    """Return the rule of a bare option: the innermost test decides."""
    if not tests:
        return [None, "true"]
    for test in _parts(tests[-1:]):
        if isinstance(test, ast.Compare) and isinstance(test.ops[0], ast.Eq):
            there = _source(test.left, env)
            limit = ast.literal_eval(test.comparators[0])
            return [there[0], f"is:{limit}"] if there else None
    match tests[-1]:
        case ast.BoolOp():
            return [None, "true"]  # enable_bucket, where it is given at all
    there = _source(tests[-1], env)
    return [there[0], "flag"] if there else None


def _parts(tests: list[ast.expr]) -> Iterator[ast.expr]:
    for test in tests:
        if isinstance(test, ast.BoolOp) and isinstance(test.op, ast.And):
            yield from _parts(test.values)
        elif isinstance(test, ast.UnaryOp) and isinstance(test.operand, ast.Compare):
            compare = test.operand
            yield ast.Compare(compare.left, [ast.NotEq()], compare.comparators)
        else:
            yield test
