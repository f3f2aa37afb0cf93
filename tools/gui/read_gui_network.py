"""Read which network each `LoRA_type` of the Kohya GUI stands for, and the arguments it gets."""

from __future__ import annotations

import ast
import copy
import re
from collections.abc import Iterator
from typing import Any

from tools.gui.read_gui import Gui, fold

_MODULE = re.compile(r"--network_module=([\w.]+)")
_PAIR = re.compile(r"(\w+)=\"?(?:\{(\w+)\}|([^\s\"]+))\"?")
# Made by a function of its own from v26.0.0 on; only what is not the default is sent.
BY_HAND = {
    "Kohya LoHa": ["conv_dim", "conv_alpha", "use_tucker", "rank_dropout", "module_dropout"],
    "Kohya LoKr": [
        "conv_dim",
        "conv_alpha",
        "use_tucker",
        "factor",
        "rank_dropout",
        "module_dropout",
    ],
}


def networks(gui: Gui) -> dict[str, dict[str, Any]]:
    """Return of each type its `module`, the `args` always sent, those `set` sends if not empty.

    An argument is a name and the field it comes from, or "=" and its fixed value.
    """
    found: dict[str, dict[str, Any]] = {}
    for node in ast.walk(gui.tabs["lora"]["train_model"]):
        if isinstance(node, ast.If):
            for name in _types(node.test):
                for part, told in _told(node.body).items():
                    found.setdefault(name, {}).setdefault(part, told)
    known = {name: network for name, network in found.items() if "module" in network}
    for name, fields in BY_HAND.items():
        if name in known:
            known[name]["set"] = fields
    return known


def _types(test: ast.expr) -> Iterator[str]:
    for node in ast.walk(test):
        if isinstance(node, ast.Compare) and ast.unparse(node.left) == "LoRA_type":
            for item in ast.walk(node.comparators[0]):
                if isinstance(item, ast.Constant) and isinstance(node.ops[0], ast.Eq | ast.In):
                    yield str(item.value)


def _told(body: list[ast.stmt]) -> dict[str, Any]:
    """Return what one branch says; a condition inside of it on the type says it for that one."""
    module, args, optional = None, [], None
    for node in body:
        match node:
            case ast.Assign([ast.Name("network_module")], value):
                module = ast.literal_eval(fold(copy.deepcopy(value)))
            case ast.Assign([ast.Name("kohya_lora_var_list")], value):
                optional = ast.literal_eval(value)
            case ast.Assign([ast.Name("network_args")], value) | ast.AugAssign(value=value):
                text = _text(value)
                module = (_MODULE.search(text) or [None, module])[1]
                if "network_module" not in text:
                    args += [[k, f or f"={v}"] for k, f, v in _PAIR.findall(text)]
    told = {"module": module, "args": args, "set": optional}
    return {part: value for part, value in told.items() if value}


def _text(node: ast.expr) -> str:
    if isinstance(node, ast.JoinedStr):
        return "".join(
            f"{{{ast.unparse(part.value)}}}"
            if isinstance(part, ast.FormattedValue)
            else str(part.value)  # type: ignore[attr-defined]
            for part in node.values
        )
    return str(node.value) if isinstance(node, ast.Constant) else ""
