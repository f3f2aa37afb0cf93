"""Install presets into a Kohya GUI, and import its files as presets."""

from __future__ import annotations

import ast
import os
import tempfile
import warnings
from dataclasses import dataclass
from pathlib import Path

from kohya_presets.errors import UserError
from kohya_presets.files import render as texts
from kohya_presets.gui import export, read, toml_read
from kohya_presets.gui.export import Exported
from kohya_presets.gui.imported import Imported
from kohya_presets.gui.versions import fields, saved_file
from kohya_presets.presets.catalogue import Catalogue
from kohya_presets.presets.preset import Preset, to_toml
from kohya_presets.problems import Problem, errors
from kohya_presets.sdscripts import releases
from kohya_presets.sdscripts.additions import Additions
from kohya_presets.validate import each_setting, everything
from kohya_presets.validate.report import Against
from wrapper.checkouts import patchwork
from wrapper.system import names, proc

TAB_FILES = ("kohya_gui/finetune_gui.py", "finetune_gui.py")
_TITLES = {"finetune": "Finetuning", "lora": "LoRA"}


@dataclass(frozen=True)
class Installed:
    """A Kohya GUI's folder, and its version, or the nearest one if its files were changed."""

    folder: Path
    tag: str
    is_exact: bool

    def presets(self, tab: str) -> Path:
        """Return where it looks for the user's own presets of a tab."""
        return self.folder / "presets" / tab / "user_presets"


@dataclass(frozen=True)
class Made:
    """Files to write, and the export they belong to."""

    exported: Exported
    files: dict[Path, str]


def installed(folder: Path) -> Installed:
    """Return what Kohya GUI lies in `folder`: by its finetune tab's text, else by its fields.

    Raises:
        UserError: there is none.
    """
    folder = folder.expanduser().resolve()
    file = next((folder / name for name in TAB_FILES if (folder / name).is_file()), None)
    if file is None:
        hint = "Give the folder that contains kohya_gui.py and presets/."
        raise UserError(f"{folder} is not a Kohya GUI folder: it has no {TAB_FILES[0]}", hint=hint)
    text = file.read_text(encoding="utf-8", errors="replace")
    exact = fields.of_fingerprint(releases.fingerprint(text))
    if exact:
        # Several versions share the file; each names itself, but for a few that forgot to.
        said = _said(folder)
        return Installed(folder, said if said in exact else exact[-1], True)
    return Installed(folder, saved_file.version("finetune", _keys(text, file)), False)


def made(
    preset: Preset, tag: str, file: Path, additions: Additions, *, data: Path | None = None
) -> Made:
    """Return what to write for an export to `file`: with `data` also a dataset config beside it."""
    if data is None:
        exported = export.export(preset, tag, additions)
        return Made(exported, {file: exported.text})
    config = file.with_name(f"{file.stem}.dataset.toml")
    where = texts.Paths(data.expanduser().resolve(), Path(), Path(), preset.name, config)
    exported = export.export(preset, tag, additions, dataset_config=config)
    return Made(exported, {file: exported.text, config: texts.dataset(preset, where)})


def target(preset: Preset, gui: Installed) -> Path:
    """Return where a preset goes in an installed GUI.

    Raises:
        UserError: the GUI has no tab for its script.
    """
    if preset.script not in fields.TABS:
        supported = " and ".join(fields.TABS)
        raise UserError(
            f"the Kohya GUI has no tab for {preset.script}; it has tabs for {supported}"
        )
    folder = gui.presets(fields.TABS[preset.script])
    return folder / f"{names.usable(preset.name)}.json"


def next_steps(
    exported: Exported, preset: Preset, file: Path, gui: Path, *, has_data: bool
) -> list[str]:
    """Return the next steps in the GUI in the folder `gui`, after the file was installed."""
    tab = _TITLES[exported.tab.name]
    shown = f"user_presets{os.sep}{file.stem}"
    images = "image folder and " if not has_data or exported.tab.is_shell else ""
    folder = "" if has_data or exported.tab.name == "lora" else " and the dataset (metadata) folder"
    steps = [
        "Restart the GUI: it reads its presets only when it starts.",
        f"On the {tab} tab, under Training, fill in the base model, {images}output folder and "
        f"output name{folder}.",
        f"Choose the preset {shown} last: choosing a model can clear the SDXL box.",
    ]
    if has_data and exported.tab.is_shell:
        steps[1] += " The GUI only counts the images in the image folder."
    return [*patching_step(preset, proc.command_line([gui])), *steps]


def patching_step(preset: Preset, gui: str = "THE_GUI") -> list[str]:
    """Return how to apply the patches that a preset needs to a GUI, if it needs any."""
    needed = preset.patches
    return [f"Before training, run: {patchwork.command(needed, gui)}"] if needed else []


def imported(file: Path, name: str | None, additions: Additions) -> Imported:
    """Return the import of a file of the GUI or of sd-scripts.

    Raises:
        UserError: there is no such file, or it is neither.
    """
    called = names.usable(name) if name else file.stem
    if file.suffix.lower() == ".toml":
        return toml_read.toml_file(file, called, additions)
    try:
        with file.open("rb") as opened:
            data = opened.read(saved_file.LARGEST + 1)
    except OSError as error:
        raise UserError(f"cannot read {file}: {error.strerror}") from error
    return read.json_file(data, called, additions)


def text(preset: Preset, presets: Catalogue, additions: Additions) -> str:
    """Return the text of a preset's file, after reading it back without errors.

    Raises:
        PresetError: it has errors, which would be our bug.
    """
    text = to_toml(preset, provenance=bool(preset.provenance))
    with tempfile.TemporaryDirectory() as work:
        file = Path(work) / "imported.toml"
        file.write_text(text, encoding="utf-8", newline="\n")
        each_setting.require(presets.load(str(file)), additions)
    return text


def faults(made: Preset, additions: Additions) -> tuple[Problem, ...]:
    """Return the errors of a preset's combinations: the imported file had them too, or is a part.

    `render` and `train` refuse them.
    """
    against = Against(releases.best_for(made.releases), made.patches, additions)
    return errors(everything.loaded(made, against).problems)


def _said(folder: Path) -> str:
    try:
        return (folder / ".release").read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return ""


def _keys(text: str, file: Path) -> list[str]:
    """Return the parameters of `save_configuration`: the keys this GUI saves.

    Raises:
        UserError: there is no such function.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError):
        tree = ast.Module([], [])
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name == "save_configuration":
            names = [a.arg for a in node.args.args]
            return [name for name in names if not name.startswith(("save_as", "file_path"))]
    raise UserError(f"{file} is not the finetune tab of a Kohya GUI: no save_configuration in it")
