"""The stock scripts that make LoRAs of checkpoints, and those that the patch fast-lora replaces."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from patches import registry
from tests.upstream.training import Training
from wrapper.checkouts import checkout as checkouts
from wrapper.checkouts import patchwork
from wrapper.system import rewrite


class Scripts:
    """The scripts of one release with the patch and without, and a folder for what they make."""

    def __init__(self, training: Training, folder: Path) -> None:
        self.training, self.folder = training, folder
        self.base = training.base
        self.stock, self.fast = (folder / name for name in ("stock ü", "fast"))
        for scripts in (self.stock, self.fast):
            shutil.copytree(training.scripts, scripts)
            self._patch(scripts, apply=scripts == self.fast)

    def made(self, stage: str, scripts: Path, name: str, *options: str) -> Path:
        """Return what a script made, once; later options win over those of the preset."""
        to = self.folder / f"{name}-{scripts.name}.safetensors"
        if not to.exists():
            self.training.tool(stage, scripts, *options, f"--save_to={to}")
        return to

    def _patch(self, scripts: Path, *, apply: bool) -> None:
        found = checkouts.open_folder(scripts)
        rewrite.carry_out(patchwork.reverting(found, ["fast-lora"]))
        if apply:
            rewrite.carry_out(patchwork.applying(found, [registry.find("fast-lora")]))


def product(tensors: dict[str, Any], module: str) -> Any:
    """Return what a LoRA adds to a module, in double precision."""
    up, down = (
        tensors[f"{module}.lora_{half}.weight"].astype("float64") for half in ("up", "down")
    )
    return up.reshape(len(up), -1) @ down.reshape(len(down), -1)


def modules(tensors: dict[str, Any]) -> list[str]:
    """Return the modules that a LoRA is for."""
    return sorted(name.removesuffix(".alpha") for name in tensors if name.endswith(".alpha"))


def norm(matrix: Any) -> float:
    """Return the Frobenius norm."""
    return float((matrix**2).sum() ** 0.5)
