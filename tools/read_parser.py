"""Read the options of an argparse parser from source text, without running a line of it.

Interprets `setup_parser` of sd-scripts as far as such functions go: calls that add an option, calls
that hand the parser to another function of the tree, `if` on a constant argument. Whatever else
appears is an error: facts with holes in them would be worse than none.
"""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

TYPES = ("str", "int", "float", "bool", "str2bool", "int_or_float", "Path")
_MAKE_NO_OPTION = ("ArgumentParser", "add_argument_group", "add_mutually_exclusive_group")


class Unreadable(Exception):
    """The source has a form this reader does not know."""


class Declared(NamedTuple):
    """One option as the source declares it; `type` is what it is called there, None: not given."""

    name: str
    type: str | None = None
    choices: tuple[Any, ...] = ()
    default: Any = None
    nargs: str | int | None = None
    action: str | None = None
    required: bool = False


@dataclass(frozen=True)
class Parsed:
    """One file of the tree, parsed."""

    file: Path
    tree: ast.Module

    def function(self, name: str) -> ast.FunctionDef | None:
        """Return the top-level function `name`."""
        for node in self.tree.body:
            if isinstance(node, ast.FunctionDef) and node.name == name:
                return node
        return None

    def constant(self, name: str) -> ast.expr | None:
        """Return the last top-level value given to `name`."""
        value = None
        for node in self.tree.body:
            targets = node.targets if isinstance(node, ast.Assign) else ()
            if any(isinstance(t, ast.Name) and t.id == name for t in targets):
                value = node.value  # type: ignore[attr-defined]
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                value = node.value if node.target.id == name else value
        return value

    def imports(self) -> Iterator[tuple[str, str, str | None]]:
        """Yield (local name, module, name in it or None) of every import at the top level."""
        for node in self.tree.body:
            if isinstance(node, ast.ImportFrom) and node.module and not node.level:
                yield from ((a.asname or a.name, node.module, a.name) for a in node.names)
            elif isinstance(node, ast.Import):
                yield from ((a.asname or a.name, a.name, None) for a in node.names)


class Tree:
    """A folder of sources, whose modules are found as its scripts would import them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._modules: dict[str, Parsed | None] = {}

    def module(self, dotted: str) -> Parsed | None:
        """Return the module of that name, or None when it is not part of the tree."""
        if dotted not in self._modules:
            file = self.folder / f"{dotted.replace('.', '/')}.py"
            self._modules[dotted] = self.file(file) if file.is_file() else None
        return self._modules[dotted]

    def file(self, file: Path) -> Parsed:
        """Return a file, parsed; some of upstream's start with a byte order mark."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # upstream's escapes are not ours to mend
            return Parsed(file, ast.parse(file.read_text(encoding="utf-8-sig")))

    def resolve(self, module: Parsed, name: str) -> tuple[Parsed, str] | None:
        """Return where `name`, used in `module`, is defined in this tree."""
        if module.function(name) or module.constant(name) is not None:
            return module, name
        for local, source, inner in module.imports():
            found = self.module(source)
            if local == name and found and inner:
                return self.resolve(found, inner)
            if inner == "*" and found and (there := self.resolve(found, name)):
                return there
        return None

    def submodule(self, module: Parsed, alias: str) -> Parsed | None:
        """Return the module that `alias` stands for in `module`."""
        for local, source, inner in module.imports():
            if local == alias:
                return self.module(f"{source}.{inner}" if inner else source)
        return None


def options(folder: Path, script: str) -> list[Declared]:
    """Return the options of `folder`/`script`, in the order they are declared.

    Raises:
        Unreadable: a statement that takes part is of no known form.
    """
    tree = Tree(folder)
    module = tree.file(folder / script)
    return list(_function(tree, module, "setup_parser", {}))


def _function(
    tree: Tree, module: Parsed, name: str, bound: Mapping[str, Any]
) -> Iterator[Declared]:
    node = module.function(name)
    if node is None:
        raise Unreadable(f"{module.file}: no function {name}")
    yield from _body(tree, module, node.body, dict(bound))


def _body(
    tree: Tree, module: Parsed, body: list[ast.stmt], bound: dict[str, Any]
) -> Iterator[Declared]:
    for statement in body:
        match statement:
            case ast.Expr(value=ast.Call() as call):
                yield from _call(tree, module, call, bound)
            case ast.Assign(value=ast.Call() as call) if _adds_parser(call):
                yield from _call(tree, module, call, bound)
            case ast.If():
                chosen = statement.body if _value(statement.test, bound) else statement.orelse
                yield from _body(tree, module, chosen, bound)
            case ast.FunctionDef() | ast.Expr(value=ast.Constant()):
                continue
            case ast.Assign() | ast.Return() if _adds_nothing(statement):
                continue
            case _:
                raise Unreadable(f"{module.file}:{statement.lineno}: {ast.unparse(statement)[:80]}")


def _adds_parser(call: ast.Call) -> bool:
    return "setup_parser" in ast.unparse(call.func)


def _adds_nothing(statement: ast.stmt) -> bool:
    calls = [node.func for node in ast.walk(statement) if isinstance(node, ast.Call)]
    return all(ast.unparse(called).split(".")[-1] in _MAKE_NO_OPTION for called in calls)


def _call(tree: Tree, module: Parsed, call: ast.Call, bound: dict[str, Any]) -> Iterator[Declared]:
    match call.func:
        case ast.Attribute(attr="add_argument"):
            if option := _option(call):
                yield option
        case ast.Attribute(value=ast.Name(id=alias), attr=name):
            there = tree.submodule(module, alias)
            found = tree.resolve(there, name) if there else None
            yield from _into(tree, module, call, found)
        case ast.Name(id=name):
            yield from _into(tree, module, call, tree.resolve(module, name))
        case _:
            raise Unreadable(f"{module.file}:{call.lineno}: {ast.unparse(call)[:80]}")


def _into(
    tree: Tree, module: Parsed, call: ast.Call, found: tuple[Parsed, str] | None
) -> Iterator[Declared]:
    if found is None:
        raise Unreadable(f"{module.file}:{call.lineno}: {ast.unparse(call)[:80]} not in the tree")
    there, name = found
    node = there.function(name)
    if node is None:
        raise Unreadable(f"{there.file}: {name} is no function")
    names = [argument.arg for argument in node.args.args]
    given = dict(zip(names[-len(node.args.defaults) :], node.args.defaults, strict=False))
    given |= dict(zip(names, call.args, strict=False))
    given |= {keyword.arg: keyword.value for keyword in call.keywords if keyword.arg}
    bound = {k: v.value for k, v in given.items() if isinstance(v, ast.Constant)}
    yield from _function(tree, there, name, bound)


def _option(call: ast.Call) -> Declared | None:
    flags = [_literal(argument) for argument in call.args]
    words = {keyword.arg: keyword.value for keyword in call.keywords}
    if None in words:
        raise Unreadable(f"line {call.lineno}: add_argument(**...)")
    long = next((flag for flag in flags if flag.startswith("--")), None)
    if long is None:
        raise Unreadable(f"line {call.lineno}: no --name in {flags}")
    action = _literal(words.get("action"))
    if action not in (None, "store_true", "store_false"):
        raise Unreadable(f"line {call.lineno}: action {action}")
    return Declared(
        name=_literal(words.get("dest")) or long[2:].replace("-", "_"),
        type=_type(words),
        choices=tuple(_literal(words.get("choices")) or ()),
        default=_literal(words.get("default")),
        nargs=_literal(words.get("nargs")),
        action=action,
        required=bool(_literal(words.get("required"))),
    )


def _type(words: Mapping[str | None, ast.expr]) -> str | None:
    if "type" not in words:
        return None
    name = ast.unparse(words["type"]).removeprefix("pathlib.")
    if name not in TYPES:
        raise Unreadable(f"type {name}")
    return name


def _literal(node: ast.expr | None) -> Any:
    if node is None:
        return None
    try:
        return ast.literal_eval(node)
    except ValueError:
        raise Unreadable(f"line {node.lineno}: {ast.unparse(node)}") from None


def _value(node: ast.expr, bound: Mapping[str, Any]) -> Any:
    if isinstance(node, ast.Name) and node.id in bound:
        return bound[node.id]
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        return not _value(node.operand, bound)
    raise Unreadable(f"line {node.lineno}: if {ast.unparse(node)}")
