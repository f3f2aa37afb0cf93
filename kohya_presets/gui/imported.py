"""What an import makes of a file: a preset, and a report on each of its keys."""

from __future__ import annotations

import re
from dataclasses import dataclass

from kohya_presets.errors import UserError
from kohya_presets.gui.report import Item
from kohya_presets.presets.preset import Preset
from kohya_presets.problems import listed
from kohya_presets.sdscripts import scripts


@dataclass(frozen=True)
class Imported:
    """The preset made from a file. Only scripts of `scripts.TRAINERS` can be checked and used."""

    preset: Preset
    read_as: str  # in words for a person
    report: tuple[Item, ...]

    def usable(self) -> Preset:
        """Return the preset.

        Raises:
            UserError: it is for a script that is not supported.
        """
        if self.preset.script in scripts.TRAINERS:
            return self.preset
        known = listed(scripts.TRAINERS)
        raise UserError(
            f"the file is for {self.preset.script}, which kohya-presets does not support",
            hint=f"Supported scripts: {known}. Train this one in the GUI.",
        )


def slug(name: str) -> str:
    """Return a preset name made from a file's name."""
    return re.sub(r"[^a-z0-9._]+", "-", name.lower()).strip("-. ")[:80] or "imported"
