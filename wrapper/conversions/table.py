"""The options of a preset's [extract] or [resize], checked for one sd-scripts."""

from __future__ import annotations

from dataclasses import replace

from kohya_presets.errors import PresetError, UserError
from kohya_presets.presets.preset import Preset, Table
from kohya_presets.problems import Problem, errors
from kohya_presets.sdscripts import options
from kohya_presets.sdscripts.scripts import TOOLS
from kohya_presets.toml import text as toml_text
from kohya_presets.validate import everything
from kohya_presets.validate.report import Against
from patches import registry
from wrapper.checkouts import patchwork
from wrapper.checkouts.checkout import Checkout
from wrapper.system import paths


def of(preset: Preset, tool: str) -> Table:
    """Return the table of `tool`, "extract" or "resize".

    Raises:
        UserError: the preset has none.
    """
    table: Table | None = getattr(preset, tool)
    if table is None:
        raise UserError(
            f"preset {preset.name!r} has no [{tool}]",
            hint=f"Name another preset, or leave it out. Then add --set {tool}.KEY=VALUE.",
        )
    return table


def patches(preset: Preset, tool: str) -> tuple[str, ...]:
    """Return those of the preset's patches that change the script of `tool`."""
    found = (registry.find(name, paths.user_patches()) for name in preset.patches)
    return tuple(patch.name for patch in found if changes(patch, tool))


def changes(patch: registry.Patch, tool: str) -> bool:
    """Return whether a patch changes the script of `tool`."""
    return any(TOOLS[tool] in edit.files for edit in patch.edits)


def require(preset: Preset, tool: str, release: str, carried: tuple[str, ...]) -> list[Problem]:
    """Return the warnings about the table of `tool`, for a release with the patches `carried`.

    Raises:
        PresetError: with all errors in it. The rest of the preset is not asked.
    """
    alone = replace(
        preset,
        train={},
        dataset={},
        # What a LoRA that exists was extracted with, no preset says.
        extract=preset.extract if tool == "extract" else _as_extracted(preset),
        patches=carried,
    )
    against = Against(release, additions=registry.additions(paths.user_patches()))
    found = [
        problem
        for problem in everything.loaded(alone, against).problems
        if (problem.where.key or "").startswith(f"{tool}.")
    ]
    if wrong := errors(found):
        raise PresetError(f"[{tool}] of {preset.name} on {release}", wrong)
    return [problem for problem in found if problem.severity == "warning"]


def _as_extracted(preset: Preset) -> Table:
    return {"sdxl": True, "dim": max(ranks(preset.resize or {}, "resize"))}


def carried(checkout: Checkout) -> tuple[str, ...]:
    """Return the patches in a checkout."""
    return tuple(sorted(patchwork.carried(checkout)))


def ranks(table: Table, tool: str) -> tuple[int, ...]:
    """Return the ranks of the LoRAs that one start makes."""
    key = {"extract": "dim", "resize": "new_rank"}[tool]
    value = table.get(key, options.of(TOOLS[tool])[key].default)
    return tuple(value) if isinstance(value, list) else (value,)


def said(table: Table) -> str:
    """Return the options as a person reads them: "sdxl, dim 128, save_precision fp16"."""
    words = []
    for key, value in table.items():
        if value is not False:
            text = value if isinstance(value, str) else toml_text.value_text(value)
            words.append(key if value is True else f"{key} {text}")
    return ", ".join(words) or "sd-scripts' defaults"
