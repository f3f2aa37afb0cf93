"""Presets whose settings were looked at, for commands that make something of them."""

from __future__ import annotations

from kohya_presets.presets.preset import Preset
from kohya_presets.sdscripts.additions import Additions
from kohya_presets.training.settings import Settings
from kohya_presets.validate import each_setting
from patches import registry
from wrapper.cli.options import presets
from wrapper.system import paths


def preset(name: str, overrides: tuple[str, ...] = ()) -> tuple[Preset, Settings]:
    """Return a preset of which each setting by itself is right, and these settings.

    Raises:
        UserError: there is none of that name.
        PresetError: it has errors.
    """
    found = presets().load(name, overrides=overrides)
    return found, each_setting.require(found, additions())


def additions() -> Additions:
    """Return what the shipped patches, and those of this user, add to sd-scripts."""
    return registry.additions(paths.user_patches())
