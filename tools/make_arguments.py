"""Write facts/arguments.json: which arguments optimizers, schedules and network modules take.

python -m tools.make_arguments FOLDER...

Each folder holds sources: the site-packages of a trainer environment, packages unpacked by `pip
install --target`, or sd-scripts itself. A name that any of them takes is kept; one that is needed
is needed by all of them. Nothing is imported.
"""

from __future__ import annotations

import ast
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kohya_presets.sdscripts import arguments
from kohya_presets.sdscripts.optimizers import SCHEDULES

OPTIMIZERS = {  # by the package that names them: its files
    "torch.optim": "torch/optim/*.py",
    "bitsandbytes.optim": "bitsandbytes/optim/*.py",
    "transformers.optimization": "transformers/optimization.py",
    "lion_pytorch": "lion_pytorch/lion_pytorch.py",
    "prodigyopt": "prodigyopt/prodigy.py",
    "dadaptation": "dadaptation/*.py",
    "dadaptation.experimental": "dadaptation/experimental/*.py",
    "schedulefree": "schedulefree/*.py",
}
TORCH_SCHEDULES = "torch/optim/lr_scheduler.py"
SCHEDULE_FUNCTIONS = ("diffusers/optimization.py", "transformers/optimization.py")
NETWORKS = {"networks.": "networks/*.py", "lycoris.": "lycoris/kohya*"}
Takes = dict[str, dict[str, list[str]]]


def main() -> None:
    """Write the facts of all folders together."""
    folders = [Path(name) for name in sys.argv[1:]]
    if not folders:
        sys.exit(__doc__)
    text = json.dumps(together(folders), indent=1, sort_keys=True) + "\n"
    arguments.FACTS.write_text(text, encoding="utf-8", newline="\n")


def together(folders: list[Path]) -> dict[str, Any]:
    """Return the facts of all folders."""
    found: dict[str, Any] = {"generator": "tools/make_arguments.py", "read": {}}
    found |= {part: {} for part in ("optimizers", "schedules", "torch_schedules", "networks")}
    for folder in folders:
        for name, version in versions(folder):
            found["read"][name] = sorted({*found["read"].get(name, ()), version})
        add(found["optimizers"], optimizers(folder))
        add(found["schedules"], schedules(folder))
        add(found["torch_schedules"], torch_schedules(folder))
        add(found["networks"], networks(folder))
    return found


def add(known: Takes, more: Takes) -> None:
    """Add the facts of one folder: more is taken, less is needed."""
    for name, facts in more.items():
        if name not in known:
            known[name] = facts
            continue
        old = known[name]
        old["takes"] = sorted({*old["takes"], *facts["takes"]})
        if "needs" in old:
            old["needs"] = sorted({*old["needs"]} & {*facts["needs"]})


def versions(folder: Path) -> Iterator[tuple[str, str]]:
    """Yield the packages read here, and their versions."""
    files = (*OPTIMIZERS.values(), *SCHEDULE_FUNCTIONS, NETWORKS["lycoris."])
    packages = {pattern.split("/")[0] for pattern in files}
    for info in folder.glob("*.dist-info"):
        name, _, version = info.name.removesuffix(".dist-info").partition("-")
        name = "lycoris" if name == "lycoris_lora" else name
        if name in packages:
            yield name, version.split("+")[0]


def optimizers(folder: Path) -> Takes:
    """Return what each optimizer takes besides the parameters and the rate, by package.Class."""
    return {
        f"{package}.{name}": {"takes": sorted(set(takes) - {"lr"})}
        for package, pattern in OPTIMIZERS.items()
        for name, (takes, _) in _classes(folder, pattern, "params")
    }


def torch_schedules(folder: Path) -> Takes:
    """Return what each class of torch.optim.lr_scheduler takes and needs besides the optimizer."""
    return {
        name: {"takes": sorted(takes), "needs": sorted(needs)}
        for name, (takes, needs) in _classes(folder, TORCH_SCHEDULES, "optimizer")
    }


def schedules(folder: Path) -> Takes:
    """Return what the function of each named schedule takes and needs besides the optimizer."""
    found: Takes = {}
    for file in SCHEDULE_FUNCTIONS:
        if not (folder / file).is_file():
            continue
        body = _parsed(folder / file).body
        functions = {node.name: node for node in body if isinstance(node, ast.FunctionDef)}
        for name, function in _table(body):
            if name in SCHEDULES:
                takes, needs = _arguments(functions[function], 1)
                add(found, {name: {"takes": sorted(takes), "needs": sorted(needs)}})
    return found


def networks(folder: Path) -> Takes:
    """Return the names that each network module looks for in network_args."""
    found: Takes = {}
    for start, pattern in NETWORKS.items():
        for path in folder.glob(pattern):
            file = path / "__init__.py" if path.is_dir() else path
            tree = _parsed(file)
            if "create_network" in {getattr(node, "name", None) for node in tree.body}:
                names = _looked_for(tree)
                for other in _imported(tree, file.parent if start == "networks." else None):
                    names |= _looked_for(_parsed(other))
                found[start + path.stem] = {"takes": sorted(names)}
    return found


def _classes(
    folder: Path, pattern: str, first: str
) -> Iterator[tuple[str, tuple[list[str], list[str]]]]:
    """Yield each class whose constructor begins with `first`, unless it takes any name."""
    for file in sorted(folder.glob(pattern)):
        for node in _parsed(file).body:
            for made in node.body if isinstance(node, ast.ClassDef) else ():
                if not isinstance(made, ast.FunctionDef) or made.name != "__init__":
                    continue
                given = [argument.arg for argument in made.args.args]
                if given[1:2] == [first] and made.args.kwarg is None:
                    yield node.name, _arguments(made, 2)


def _arguments(function: ast.FunctionDef, skipped: int) -> tuple[list[str], list[str]]:
    """Return the names that a function takes after the first ones, and those without a default."""
    plain, only = function.args.args, function.args.kwonlyargs
    needed = plain[skipped : max(skipped, len(plain) - len(function.args.defaults))]
    needed += [a for a, d in zip(only, function.args.kw_defaults, strict=True) if d is None]
    return [a.arg for a in (*plain[skipped:], *only)], [a.arg for a in needed]


def _table(body: list[ast.stmt]) -> Iterator[tuple[str, str]]:
    """Yield each schedule's name and function from TYPE_TO_SCHEDULER_FUNCTION.

    transformers keeps the names elsewhere: there they are the members' in lower case, as in
    diffusers.
    """
    for node in body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Dict):
            if getattr(node.targets[0], "id", None) != "TYPE_TO_SCHEDULER_FUNCTION":
                continue
            for key, value in zip(node.value.keys, node.value.values, strict=True):
                if isinstance(key, ast.Attribute) and isinstance(value, ast.Name):
                    yield key.attr.lower(), value.id


def _looked_for(tree: ast.Module) -> set[str]:
    """Return the strings that are looked up in a dict called `kwargs` or the like."""
    found = set()
    for node in ast.walk(tree):
        where, key = None, None
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args:
            where, key = node.func.value, node.args[0]
        elif isinstance(node, ast.Subscript):
            where, key = node.value, node.slice
        elif isinstance(node, ast.Compare) and isinstance(node.ops[0], ast.In):
            where, key = node.comparators[0], node.left
        is_kwargs = isinstance(where, ast.Name) and where.id.endswith("kwargs")
        if is_kwargs and isinstance(key, ast.Constant) and isinstance(key.value, str):
            found.add(key.value)
    return found


def _imported(tree: ast.Module, folder: Path | None) -> Iterator[Path]:
    """Yield the files of the same folder that a module imports: they may look too."""
    for node in ast.walk(tree) if folder else ():
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] != "library":
            file = folder / f"{(node.module or '').split('.')[-1]}.py"  # type: ignore[operator]
            if file.is_file():
                yield file


def _parsed(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
