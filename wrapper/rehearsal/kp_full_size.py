"""Run one of sd-scripts' own scripts, unchanged, on SDXL of true size; measure what it holds.

    python kp_full_size.py FOLDER SCRIPT ARGUMENTS...

What the script used is written into FOLDER, see `kp_observed`, and FOLDER/memory.json: bytes of
weights, optimizer state and gradients, by part, and what the process took. Runs in the trainer's
environment, with nothing of ours importable.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import kp_full_checkpoint
import kp_miniature
import kp_observed
import torch
from kp_torchvision import repair_torchvision

MEMORY = "memory.json"
PARTS = {  # by the class that sd-scripts, or transformers, has for it
    "SdxlUNet2DConditionModel": "U-Net",
    "CLIPTextModel": "text encoder 1",
    "CLIPTextModelWithProjection": "text encoder 2",
}


class Meter:
    """What training holds. Gradients are counted whenever one of them is complete."""

    def __init__(self) -> None:
        self.models: dict[str, torch.nn.Module] = {}
        self.optimizers: list[Any] = []
        self.gradients = self.state = self.process = 0

    def watch(self) -> None:
        """Learn of models and optimizers where sd-scripts gives them to accelerate."""
        import accelerate

        prepare = accelerate.Accelerator.prepare

        def prepared(accelerator: Any, *given: Any, **options: Any) -> Any:
            for one in given:
                self._note(one)
            return prepare(accelerator, *given, **options)

        accelerate.Accelerator.prepare = prepared

    def give_back(self, save: Any) -> Any:
        """Return what saves the model at the end, and frees the optimizer's state before.

        The saver copies the whole model: with the state beside it, that takes more than training.
        """

        def saved(*given: Any, **options: Any) -> Any:
            self._measure()
            for optimizer in self.optimizers:
                optimizer.state.clear()
            return save(*given, **options)

        return saved

    def _measure(self) -> None:
        states = [state for optimizer in self.optimizers for state in optimizer.state.values()]
        self.state = max(self.state, sum(_bytes(state.values()) for state in states))
        self.process = max(self.process, _own())

    def _note(self, one: Any) -> None:
        part = PARTS.get(type(one).__name__)
        if part and part not in self.models:
            self.models[part] = one
            trained = [p for p in one.parameters() if p.requires_grad]
            for parameter in trained:
                parameter.register_post_accumulate_grad_hook(self._count)
        elif isinstance(one, torch.optim.Optimizer):
            self.optimizers.append(one)

    def _count(self, _: torch.Tensor) -> None:
        held = sum(_bytes([p.grad]) for m in self.models.values() for p in m.parameters())
        self.gradients = max(self.gradients, held)
        self.process = max(self.process, _own())

    def write(self, file: Path) -> None:
        """Write down what was held."""
        self._measure()
        told = {
            "weights": {part: _bytes(model.parameters()) for part, model in self.models.items()},
            "optimizer state": self.state,
            "gradients": self.gradients,
            "process": self.process or _most(),
        }
        file.write_text(json.dumps(told), encoding="utf-8")


def _bytes(tensors: Iterable[Any]) -> int:
    return sum(t.numel() * t.element_size() for t in tensors if isinstance(t, torch.Tensor))


def _own(status: Path = Path("/proc/self/status")) -> int:
    """Return the memory that is this process's own, in bytes; 0 where only Linux would tell.

    The pages of a file that it has mapped, as the base model is while it is read, do not count: the
    system takes them back when memory is needed.
    """
    if not status.exists():
        return 0
    lines = [line.split() for line in status.read_text().splitlines()]
    kinds = ("RssAnon:", "RssShmem:")
    return sum(1024 * int(line[1]) for line in lines if line and line[0] in kinds)


def _most() -> int | None:
    """Return the most memory that this process has had, in bytes; None on Windows."""
    try:
        import resource
    except ImportError:
        return None
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(most if sys.platform == "darwin" else most * 1024)


def main() -> None:
    """Prepare, be the script, and write what it held."""
    meter, folder = Meter(), Path(sys.argv[1])

    def prepare() -> None:
        repair_torchvision()
        kp_miniature.have_no_gpu()
        from library import sdxl_model_util, sdxl_train_util

        sdxl_train_util.save_sd_model_on_train_end = meter.give_back(
            sdxl_train_util.save_sd_model_on_train_end
        )
        sdxl_model_util.load_models_from_sdxl_checkpoint = kp_miniature.with_own_storage(
            sdxl_model_util.load_models_from_sdxl_checkpoint
        )
        sdxl_model_util.save_file = kp_full_checkpoint.save
        meter.watch()

    try:
        kp_observed.main(prepare)
    finally:
        folder.mkdir(parents=True, exist_ok=True)
        meter.write(folder / MEMORY)


if __name__ == "__main__":
    main()
