"""What patches add to sd-scripts: options of its scripts, and optimizers.

Each patch lists its additions in its `patch.toml`; `patches.registry.additions` reads it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from kohya_presets.sdscripts.options import SCRIPTS, Option, check, releases_with


@dataclass(frozen=True)
class Addition:
    """What one patch adds: options, each with the scripts that get it, and names of optimizers."""

    patch: str
    options: tuple[tuple[Option, tuple[str, ...]], ...] = ()
    optimizers: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)  # compared as one object: `Settings` keeps tables by it
class Additions:
    """What all known patches would add."""

    every: tuple[Addition, ...] = ()

    def options(self, script: str, patches: Sequence[str]) -> dict[str, Option]:
        """Return the options that `patches` add to a script, or change."""
        return {
            option.name: option
            for addition in self.every
            if addition.patch in patches
            for option, scripts in addition.options
            if script in scripts
        }

    def optimizers(self, patches: Sequence[str]) -> tuple[str, ...]:
        """Return the optimizers that `patches` add."""
        return tuple(o for a in self.every if a.patch in patches for o in a.optimizers)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all patches."""
        return tuple(addition.patch for addition in self.every)

    def undeclared(self, patches: Sequence[str]) -> set[str]:
        """Return those of `patches` that may add anything: unknown, or listing nothing."""
        silent = {a.patch for a in self.every if not a.options and not a.optimizers}
        return {name for name in patches if name in silent or name not in self.names}

    def patch_with(self, script: str, option: str) -> str | None:
        """Return the patch that adds `option` to a script, or None.

        None as well where some releases of sd-scripts have it themselves.
        """
        if script in SCRIPTS and releases_with(script, option):
            return None
        found = (name for name in self.names if option in self.options(script, [name]))
        return next(found, None)

    def patch_that_takes(self, script: str, option: str, value: Any) -> str | None:
        """Return the patch that allows this value of an option, or None."""
        for name in self.names:
            known = self.options(script, [name]).get(option)
            if known and not check(known, value):
                return name
        return None

    def patch_with_optimizer(self, name: str) -> str | None:
        """Return the patch that adds the optimizer `name`, in any case, or None."""
        lower = name.lower()
        found = (a.patch for a in self.every if lower in map(str.lower, a.optimizers))
        return next(found, None)


NONE = Additions()
