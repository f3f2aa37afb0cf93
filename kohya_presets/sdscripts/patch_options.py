"""Options that our patches add to sd-scripts, or let take more, and no release has itself.

Names, types and defaults of the first four are those of sd-scripts' pull request 893.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from kohya_presets.sdscripts.options import Option, check

PATCH_OPTIONS: Mapping[str, Mapping[str, Option]] = {
    "ema": {
        option.name: option
        for option in (
            Option("enable_ema", "bool"),
            Option("ema_decay", "float", default=0.999),
            Option("ema_exp_beta", "float", default=15.0),
            Option("ema_save_only_ema_weights", "bool"),
            Option("ema_device", "str", choices=("gpu", "cpu"), default="gpu"),
            Option("ema_update_every", "int", default=1),
        )
    },
    "adacoor": {},
    "fast-lora": {},
}
# By patch and table of a preset: options of the tools, in place of those of the release.
TOOL_OPTIONS: Mapping[str, Mapping[str, tuple[Option, ...]]] = {
    "fast-lora": {"extract": (Option("dim", "int or ints", default=4),)},
}
OPTIMIZERS: Mapping[str, tuple[str, ...]] = {"adacoor": ("AdaCoor",)}


def of(patches: Sequence[str]) -> dict[str, Option]:
    """Return the training options that a checkout carrying `patches` knows besides its own."""
    return {k: v for patch in patches for k, v in PATCH_OPTIONS.get(patch, {}).items()}


def of_tool(table: str, patches: Sequence[str]) -> dict[str, Option]:
    """Return the options of a tool that a checkout carrying `patches` knows otherwise."""
    added = (TOOL_OPTIONS.get(patch, {}).get(table, ()) for patch in patches)
    return {option.name: option for options in added for option in options}


def patch_that_takes(table: str, option: str, value: Any) -> str | None:
    """Return the patch with which a tool's option may have a value that it otherwise may not."""
    for patch, tables in TOOL_OPTIONS.items():
        for known in tables.get(table, ()):
            if known.name == option and not check(known, value):
                return patch
    return None


def patch_with(option: str) -> str | None:
    """Return the patch that adds `option`, or None."""
    return next((name for name, known in PATCH_OPTIONS.items() if option in known), None)


def optimizers(patches: Sequence[str]) -> tuple[str, ...]:
    """Return the optimizers that a checkout carrying `patches` knows besides its own."""
    return tuple(name for patch in patches for name in OPTIMIZERS.get(patch, ()))


def patch_with_optimizer(name: str) -> str | None:
    """Return the patch that adds the optimizer `name`, in capitals or not, or None."""
    lower = name.lower()
    added = OPTIMIZERS.items()
    return next((patch for patch, names in added if lower in map(str.lower, names)), None)
