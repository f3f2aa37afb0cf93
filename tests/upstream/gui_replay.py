"""Run in a process of its own: the Kohya GUI's load and print-only functions, without a browser.

python gui_replay.py GUI_FOLDER TAB REQUEST.json

Prints what the GUI would start: {"words": [...], "toml": {...} or null}. Whatever the GUI imports
that is not installed here is a mock: widgets, dialogs, trackers.
"""

from __future__ import annotations

import importlib
import importlib.machinery
import inspect
import json
import shlex
import sys
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import MagicMock


class Missing:
    """Finds a mock for every module that nothing else finds, but for those of the GUI itself."""

    def __init__(self, *own: str) -> None:
        self.own = own

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        """Return the spec of a mock, but for modules of the GUI itself."""
        if name.split(".")[0] in self.own:
            return None
        return importlib.machinery.ModuleSpec(name, self, is_package=True)

    def create_module(self, spec: Any) -> Any:
        """Return the mock."""
        made = MagicMock(name=spec.name)
        made.__path__, made.__spec__, made.__version__ = [], spec, "0"
        return made

    def exec_module(self, module: Any) -> None:
        """Leave it as it is."""


def main(folder: Path, tab: str, request: dict[str, Any]) -> None:
    """Load the file as the GUI does, fill in what a person would, and print the command."""
    for name in ("gradio", "easygui", "tkinter", "tkinter.filedialog", "wandb"):
        sys.modules[name] = Missing().create_module(importlib.machinery.ModuleSpec(name, None))
    own = ("kohya_gui", "library", "finetune_gui", "lora_gui")
    sys.meta_path.append(Missing(*own))  # type: ignore[arg-type]
    sys.path.insert(0, str(folder))
    for name in ("localizations", "presets/finetune", "presets/lora"):
        Path(name).mkdir(parents=True, exist_ok=True)  # looked for in the folder it runs in
    inside = (folder / "kohya_gui").is_dir()
    module = importlib.import_module(f"kohya_gui.{tab}_gui" if inside else f"{tab}_gui")
    values = {**loaded(module, request), **request["filled"]}
    print("REPLAY", json.dumps(started(module, values), default=str))


def loaded(module: ModuleType, request: dict[str, Any]) -> dict[str, Any]:
    """Return the fields after the GUI loaded the file over what was on its screen."""
    names = list(inspect.signature(module.open_configuration).parameters)
    skipped = ("ask_for_file", "apply_preset", "file_path")
    shown = [name for name in names if name not in skipped]
    no: Any = (
        {"label": "False"} if "label" in inspect.getsource(module.open_configuration) else False
    )
    given = {name: request["screen"].get(name, "") for name in shown}
    found = module.open_configuration(
        ask_for_file=no, apply_preset=no, file_path=request["file"], **given
    )
    found = list(found)[1:]  # the first is the file
    return dict(zip([n for n in shown if n != "training_preset"], found, strict=False))


def started(module: ModuleType, values: dict[str, Any]) -> dict[str, Any]:
    """Return the command that the GUI prints, and the file it wrote for it."""
    kept: list[Any] = []
    module.executor = MagicMock()  # type: ignore[attr-defined]
    module.executor.is_running.return_value = False
    for name in ("save_to_file", "print_command_and_toml"):
        if hasattr(module, name):
            setattr(module, name, lambda *words: kept.extend(words))
    if hasattr(module, "get_executable_path"):
        module.get_executable_path = lambda name: name  # type: ignore[attr-defined]
    for name, other in (
        ("generate_caption_database", "create_caption"),
        ("generate_image_buckets", "create_buckets"),
        ("stop_text_encoder_training_pct", "stop_text_encoder_training"),
    ):
        values.setdefault(name, values.get(other))
    wanted = inspect.signature(module.train_model).parameters
    yes: Any = {"label": "True"} if "label" in inspect.getsource(module.train_model) else True
    given = {name: values.get(name, "") for name in wanted} | {"headless": yes, "print_only": yes}
    module.train_model(**given)
    if not kept:
        return {"words": None, "toml": None}
    if isinstance(kept[0], str):
        return {"words": shlex.split(kept[0]), "toml": None}
    return {
        "words": [shlex.split(word)[0] if word else "" for word in kept[0]],
        "toml": Path(kept[1]).read_text("utf-8"),
    }


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], json.loads(Path(sys.argv[3]).read_text("utf-8")))
