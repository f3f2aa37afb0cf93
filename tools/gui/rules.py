"""How each option comes about in one version of the Kohya GUI, whichever way it starts scripts."""

from __future__ import annotations

from unittest import mock

from tools.gui import read_gui, read_gui_command, read_gui_config
from tools.gui.read_gui import BY_HAND, FLAGS, MODELS, Gui, Rule


def differing(gui: Gui, tab: str, model: str) -> dict[str, Rule]:
    """Return the rules that are others for another model, empty where an option is not sent."""
    if tab != "lora" or (model == "FLUX" and "flux1_checkbox" not in read_gui.fields(gui, tab)):
        return {}
    usual, own = rules(gui, tab), rules(gui, tab, model)
    found = {option: rule for option, rule in own.items() if usual.get(option) != rule}
    return {**found, **{option: [] for option in usual if option not in own}}


def rules(gui: Gui, tab: str, model: str | None = None) -> dict[str, Rule]:
    """Return how each option comes about, but for those of `BY_HAND`."""
    with mock.patch.dict(FLAGS, MODELS.get(model or "", {})):
        return _rules(gui, tab)


def _rules(gui: Gui, tab: str) -> dict[str, Rule]:
    start = gui.tabs[tab]["train_model"]
    found = read_gui_config.config(start) or read_gui_command.commands(gui, start)
    return {option: rule for option, rule in sorted(found.items()) if option not in BY_HAND}
