"""Read what one version of the Kohya GUI saves and sends, from source text, without running it.

Two tabs, `finetune` and `lora`. Of each: its fields (the parameters of `save_configuration`) with
their widgets, and for each option of sd-scripts the field it comes from and what is done to it.
All of it as for one model: tests on the check boxes of models are answered here. For SDXL, unless
`rules` is asked for another.
"""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tools.read_parser import Unreadable

TABS = ("finetune", "lora")
NOT_FIELDS = frozenset({"self", "file_path", "save_as", "save_as_bool", "headless"})
KINDS = {
    "Checkbox": "bool",
    "Number": "number",
    "Slider": "number",
    "Textbox": "text",
    "Dropdown": "choice",
    "Radio": "choice",
}
FLAGS = {
    **dict.fromkeys(("sdxl_checkbox", "sdxl"), True),
    **dict.fromkeys(
        (
            "flux1_checkbox",
            "sd3_checkbox",
            "hunyuan_image_checkbox",
            "anima_checkbox",
            "lumina_checkbox",
            "is_chroma",
            "generate_caption_database",
            "generate_image_buckets",
        ),
        False,
    ),
}
# What is answered otherwise for other models, whose LoRAs sd-scripts has a script for.
MODELS = {
    "SD": dict.fromkeys(("sdxl_checkbox", "sdxl"), False),
    "FLUX": {**dict.fromkeys(("sdxl_checkbox", "sdxl"), False), "flux1_checkbox": True},
}
# Options that need more than their own field: `kohya_presets.gui.emitted` has them by hand.
BY_HAND = {
    "in_json": "made of a folder and a file's name",
    "lr_warmup_steps": "a share of steps that only the running GUI counts",
    "max_train_steps": "counted from the images where it is not given",
    "network_args": "made of some twenty fields, by the kind of network",
    "network_module": "by the kind of network",
    "network_train_text_encoder_only": "follows from two rates",
    "network_train_unet_only": "follows from two rates",
    "stop_text_encoder_training": "a share of steps that only the running GUI counts",
    "sample_prompts": "the GUI writes the text to a file",
    "text_encoder_lr": "a number or a list, by version",
    "unet_lr": "sent or not, by the other rates",
}

# Names of `train_model` that `save_configuration` has others for.
SAVED_AS = {
    "generate_caption_database": "create_caption",
    "generate_image_buckets": "create_buckets",
}

Rule = list[Any]  # field or None, what is done to its value, and a condition on another field


class Gui:
    """The sources of one version, parsed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.classes: dict[str, ast.ClassDef] = {}
        self.constants: dict[str, ast.expr] = {}
        self.functions: dict[str, ast.FunctionDef] = {}
        self.tabs: dict[str, dict[str, ast.FunctionDef]] = {}
        files = [*folder.glob("*_gui.py"), *folder.glob("kohya_gui/*.py")]
        for file in sorted([*files, *folder.glob("library/*_gui.py"), *_classes(folder)]):
            self._add(file)

    def _add(self, file: Path) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # upstream's escapes are not ours to mend
            tree = ast.parse(file.read_text(encoding="utf-8-sig"))
        own = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
        tab = file.stem.removesuffix("_gui")
        if tab in TABS and "save_configuration" in own:
            self.tabs[tab] = own
        if file.stem in ("common_gui", "class_sample_images"):
            self.functions |= own
        self.classes |= {n.name: n for n in tree.body if isinstance(n, ast.ClassDef)}
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef) and node.name == "__init__":
                names = [a.arg for a in node.args.args][-len(node.args.defaults) :]
                self.constants |= dict(zip(names, node.args.defaults, strict=False))
        for node in tree.body:
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                self.constants[node.targets[0].id] = node.value


def _classes(folder: Path) -> Iterator[Path]:
    return folder.glob("library/class_*.py")


def fields(gui: Gui, tab: str) -> dict[str, dict[str, Any]]:
    """Return the fields of a tab's saved file by name: kind, default, choices where readable."""
    functions = gui.tabs[tab]
    names = [a.arg for a in functions["save_configuration"].args.args]
    names = [name for name in names if name not in NOT_FIELDS]
    built = functions[f"{tab}_tab"]
    widgets = _widgets(built, names)
    return {name: _widget(gui, built, widgets.get(name)) for name in names}


def saved_elsewhere(gui: Gui, tab: str) -> list[str]:
    """Return names that only the file saved at the start of a training has."""
    functions = gui.tabs[tab]
    known = {a.arg for a in functions["save_configuration"].args.args}
    started = [a.arg for a in functions["train_model"].args.args]
    return [n for n in started if n not in known and n not in (*NOT_FIELDS, "print_only")]


def _widgets(built: ast.FunctionDef, names: list[str]) -> dict[str, ast.expr]:
    """Return the expression of each field's widget."""
    for node in ast.walk(built):
        if not isinstance(node, ast.Assign) or not isinstance(node.value, ast.List):
            continue
        target = ast.unparse(node.targets[0])
        if target == "FIELD_REGISTRY":
            pairs = [item.elts for item in node.value.elts if isinstance(item, ast.Tuple)]
            found = {ast.literal_eval(name): widget for name, widget in pairs}
            return found | {other: found[name] for name, other in SAVED_AS.items() if name in found}
        if target == "settings_list":
            if len(node.value.elts) != len(names):
                raise Unreadable(f"{len(node.value.elts)} widgets for {len(names)} fields")
            return dict(zip(names, node.value.elts, strict=True))
    raise Unreadable("no list of widgets")


def _widget(gui: Gui, built: ast.FunctionDef, node: ast.expr | None) -> dict[str, Any]:
    made = list(_made(gui, built, node)) if node is not None else []
    if not made:
        return {"kind": "text"}
    kind = KINDS[_gradio(made[0]) or ""]
    words = {k.arg: k.value for call in reversed(made) for k in call.keywords if k.arg}
    found: dict[str, Any] = {"kind": kind}
    default = _default(words.get("value"))
    if default is not None:
        found["default"] = default
    choices = [_choices(gui, built, node) for call in made for node in _listed(call)]
    if kind == "choice" and choices and all(choices):
        found["choices"] = list(dict.fromkeys(c for some in choices for c in some or ()))
    if kind == "choice" and "allow_custom_value" in words:
        found["free"] = True
    return found


def _made(gui: Gui, scope: ast.AST, node: ast.expr) -> Iterator[ast.Call]:
    """Yield the calls of gradio that make a widget: two, where a condition chooses."""
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        for call in _assigned(scope, node.value.id):
            name = (
                call.func.id
                if isinstance(call, ast.Call) and isinstance(call.func, ast.Name)
                else ""
            )
            if name in gui.classes:
                yield from _in_class(gui, gui.classes[name], node.attr)
                return
    for value in _assigned(scope, ast.unparse(node)):
        if _gradio(value) in KINDS:
            yield value  # type: ignore[misc]
        elif isinstance(value, ast.Attribute | ast.Name) and value is not node:
            yield from _made(gui, scope, value)


def _in_class(gui: Gui, there: ast.ClassDef, name: str) -> Iterator[ast.Call]:
    for value in _assigned(there, f"self.{name}"):
        if _gradio(value) in KINDS:
            yield value  # type: ignore[misc]


def _assigned(scope: ast.AST, target: str) -> Iterator[ast.expr]:
    for node in ast.walk(scope):
        if isinstance(node, ast.Assign) and any(ast.unparse(t) == target for t in node.targets):
            yield node.value


def _gradio(node: ast.expr) -> str | None:
    match node:
        case ast.Call(func=ast.Attribute(value=ast.Name(id="gr"), attr=name)):
            return name
    return None


def _default(node: ast.expr | None) -> Any:
    if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("config.get"):
        node = node.args[1] if len(node.args) > 1 else None
    try:
        return None if node is None else ast.literal_eval(node)
    except ValueError:
        return None


def _listed(call: ast.Call) -> Iterator[ast.expr]:
    """Yield what gives a widget its choices: a keyword, or the first argument."""
    yield from [k.value for k in call.keywords if k.arg == "choices"] or call.args[:1]


def _choices(gui: Gui, built: ast.FunctionDef, node: ast.expr) -> list[Any] | None:
    if isinstance(node, ast.Name):
        # Given where the tab makes the group of widgets; or a default of that group; or a constant.
        calls = [n for n in ast.walk(built) if isinstance(n, ast.Call)]
        given = [k.value for call in calls for k in call.keywords if k.arg == node.id]
        node = (given or [gui.constants.get(node.id, node)])[0]
    try:
        return [c[1] if isinstance(c, tuple) else c for c in ast.literal_eval(node)]
    except ValueError:
        return None


def fold(node: ast.expr) -> ast.expr:
    """Return an expression with the check boxes of models answered, as far as that decides it."""
    return _Fold().visit(node)  # type: ignore[no-any-return]


class _Fold(ast.NodeTransformer):
    def visit_Name(self, node: ast.Name) -> ast.expr:
        return ast.Constant(FLAGS[node.id]) if node.id in FLAGS else node

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.expr:
        operand = self.visit(node.operand)
        if isinstance(node.op, ast.Not) and isinstance(operand, ast.Constant):
            return ast.Constant(not operand.value)
        return ast.UnaryOp(node.op, operand)

    def visit_BoolOp(self, node: ast.BoolOp) -> ast.expr:
        decides = isinstance(node.op, ast.Or)
        values = [self.visit(value) for value in node.values]
        if any(isinstance(v, ast.Constant) and bool(v.value) is decides for v in values):
            return ast.Constant(decides)
        values = [v for v in values if not isinstance(v, ast.Constant)]
        if len(values) < 2:
            return values[0] if values else ast.Constant(not decides)
        return ast.BoolOp(node.op, values)

    def visit_IfExp(self, node: ast.IfExp) -> ast.expr:
        test = self.visit(node.test)
        if isinstance(test, ast.Constant):
            return self.visit(node.body if test.value else node.orelse)  # type: ignore[no-any-return]
        return ast.IfExp(test, self.visit(node.body), self.visit(node.orelse))


def parameters(function: ast.FunctionDef) -> Mapping[str, None]:
    """Return the names of a function's parameters."""
    return {a.arg: None for a in function.args.args}
