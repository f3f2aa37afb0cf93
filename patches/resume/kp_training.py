"""What a training is made of, as a state sees it: its generators, counters and losses.

Runs inside sd-scripts: torch and the standard library only, Python 3.10.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from . import kp_generators
from .kp_generators import Snapshot


def say(text: str) -> None:
    """Print a line, once for all processes, that does not mix with the progress bar."""
    if os.environ.get("RANK", "0") == "0":
        from tqdm import tqdm

        tqdm.write(f"kohya-presets: {text}")
        sys.stdout.flush()


# Running means: of training, and of validation, which LoRA scripts have.
_RECORDERS = ("loss_recorder", "val_step_loss_recorder", "val_epoch_loss_recorder")


@dataclass(frozen=True)
class Training:
    """The objects of a training that have a state which accelerate does not save."""

    accelerator: Any
    loader: Any  # accelerate's
    current_step: Any
    bar: Any
    recorders: Mapping[str, Any]  # of losses
    loss_list: list[float] | None = None  # v0.7.0's LoRA script has that in place of a recorder

    @classmethod
    def of(cls, found: Mapping[str, Any]) -> Training:
        """Return a training by the names that every script has for its objects."""
        objects = map(found.get, ("accelerator", "train_dataloader", "current_step"))
        recorders = {name: found[name] for name in _RECORDERS if name in found}
        return cls(*objects, found["progress_bar"], recorders, found.get("loss_list"))

    def setting(self) -> dict[str, Any]:
        """Return what must be the same again to go on exactly, but for the seed."""
        inner = self.torch_loader
        return {
            "dataset_seeds": [getattr(each, "seed", None) for each in self._each_dataset()],
            "batches_per_epoch": len(self.loader),
            "workers": inner.num_workers,
            "persistent": bool(inner.persistent_workers),
            "accumulation": self.accelerator.gradient_accumulation_steps,
            "processes": self.accelerator.num_processes,
            "torch": torch.__version__,
        }

    @property
    def torch_loader(self) -> Any:
        """Return torch's data loader: accelerate's holds it from 1.0 on; before, it is one."""
        return getattr(self.loader, "base_dataloader", self.loader)

    def take(self) -> Snapshot:
        """Return the states of all generators, and the steps that datasets know."""
        found = kp_generators.take(self._sampler())
        steps = [getattr(each, "current_step", 0) for each in self._each_dataset()]
        return {**found, "steps": torch.tensor([self.current_step.value, *steps])}

    def give(self, snapshot: Snapshot) -> None:
        """Set all generators, and the steps that datasets know."""
        kp_generators.give(snapshot, self._sampler())
        self.current_step.value, *steps = snapshot["steps"].tolist()
        for each, step in zip(self._each_dataset(), steps, strict=False):
            each.current_step = step  # what a caption's warm-up goes by

    def shuffle(self, epochs: int) -> None:
        """Shuffle the images as so many epochs have done: in place, one on the other.

        Workers do it for themselves, each epoch from the start.
        """
        if not self.torch_loader.num_workers:
            for epoch in range(epochs):
                for each in self._each_dataset():
                    each.set_current_epoch(epoch + 1)

    def losses(self) -> dict[str, Tensor]:
        """Return the losses of each running mean: their total, then each."""
        return {
            name: torch.tensor([each.loss_total, *each.loss_list], dtype=torch.float64)
            for name, each in self.recorders.items()
        }

    def go_on_with(self, losses: Mapping[str, Tensor], epoch: int, batches: int) -> None:
        """Set the running means, and number the losses of `epoch` on from its `batches`."""
        for name, each in self.recorders.items():
            if name in losses:
                each.loss_total, *each.loss_list = losses[name].tolist()
        if (main := self.recorders.get(_RECORDERS[0])) is not None:
            main.add = _numbered(main, main.add, epoch, batches if losses else 0)
        if self.loss_list is not None:  # it must have one for each batch after the first epoch
            self.loss_list.extend([0.0] * (batches if epoch == 0 else len(self.loader)))

    def show(self, step: int) -> None:
        """Set the progress bar to a step."""
        self.bar.n = self.bar.initial = self.bar.last_print_n = step
        self.bar.refresh()

    def agreed(self, *flags: bool) -> tuple[bool, ...]:
        """Return for each flag whether it is set in any process."""
        if self.accelerator.num_processes == 1:
            return flags
        own = torch.tensor([flags], dtype=torch.float32, device=self.accelerator.device)
        return tuple(self.accelerator.gather(own).any(0).tolist())

    def _each_dataset(self) -> list[Any]:
        return list(getattr(self.torch_loader.dataset, "datasets", []))

    def _sampler(self) -> Any:
        found = self.torch_loader.batch_sampler
        while hasattr(found, "batch_sampler"):  # with several processes, each takes its share
            found = found.batch_sampler
        return getattr(found, "sampler", None)


def _numbered(
    recorder: Any, add: Callable[..., None], resumed: int, before: int
) -> Callable[..., None]:
    def numbered(*, epoch: int, step: int, loss: float) -> None:
        at = step + (before if epoch == resumed else 0)
        add(epoch=epoch if at < len(recorder.loss_list) else 0, step=at, loss=loss)

    return numbered
