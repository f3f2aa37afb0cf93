"""The format of the GUI's next version: sd-scripts' own options in one table, and two marks.

Read from its branch `feat/gui-v2-foundation` (July 2026): `architecture` names the model and
`training_type` the tab. A value that is the tab's default is not written, the mark included.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from kohya_presets.gui import launcher
from kohya_presets.gui.report import Item
from kohya_presets.gui.versions import saved_file, tables

_MODELS = {
    "base": "",
    "sd15": "",
    "sd2": "",
    "sd_v1v2": "",
    "sdxl": "sdxl_",
    "flux1": "flux_",
    "sd3": "sd3_",
    "hunyuan_image": "hunyuan_image_",
    "anima": "anima_",
    "lumina": "lumina_",
    "anima_lllite": "anima_",
}
_SCRIPTS = {
    "lora": "train_network.py",
    "finetune": "train.py",
    "dreambooth": "train.py",
    "textual_inversion": "train_textual_inversion.py",
    "leco": "train_leco.py",
    "anima_lllite": "train_control_net_lllite.py",
}
_PLAIN = {"finetune": "fine_tune.py", "dreambooth": "train_db.py"}  # of SD 1.5 and 2
# Keys by which a tab is known that does not name itself.
_SIGNS = {
    "lora": ("network_module", "LoRA_type"),
    "textual_inversion": ("token_string", "init_word"),
    "leco": ("prompts_file",),
}
_ZERO_IS_OFF = tables.ZERO_IS_OFF | {"max_train_epochs", "max_train_steps", "max_timestep", "seed"}
_MARKS = ("architecture", "training_type")


def script(found: Mapping[str, Any]) -> str | None:
    """Return the script that a file of this format is for; None: it is none of this format."""
    marks = {mark: found[mark] for mark in _MARKS if isinstance(found.get(mark), str)}
    model, tab = (marks.get(mark) for mark in _MARKS)
    if model is None and "LoRA_type" in found and "network_module" in found:
        model = "sdxl" if found.get("no_half_vae") else "sd15"  # the default of its LoRA tab
    if model not in _MODELS and tab not in _SCRIPTS:
        return None
    if tab not in _SCRIPTS:
        tab = next((t for t, keys in _SIGNS.items() if any(k in found for k in keys)), "finetune")
    prefix = _MODELS.get(str(model), "anima_" if tab == "anima_lllite" else "")
    if not prefix and tab in _PLAIN:
        return _PLAIN[tab]
    return f"{prefix}{_SCRIPTS[tab]}"


def read(found: Mapping[str, Any]) -> tuple[dict[str, Any], list[Item]]:
    """Return sd-scripts' options, and a report on the other keys."""
    items = list(_items(found))
    told = {item.what for item in items}
    return {key: value for key, value in found.items() if key not in told}, items


def _items(found: Mapping[str, Any]) -> Iterator[Item]:
    for key, value in found.items():
        if key in _MARKS:
            yield Item("converted", key, "used to choose the script")
        elif value == "":
            yield Item("default", key, "empty")
        elif value == 0 and value is not False and key in _ZERO_IS_OFF:
            yield Item("default", key, "0 is off")
        elif key in saved_file.names()[0] and key not in launcher.FIELDS:
            yield Item("dropped", key, "a field of the GUI only; network_args has what is trained")
