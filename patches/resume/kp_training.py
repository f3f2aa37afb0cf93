"""What a training is made of, as a state sees it: its generators, counters and losses.

Runs inside sd-scripts: torch and the standard library only, Python 3.10.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
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


@dataclass(frozen=True)
class Training:
    """The objects of a training that have a state which accelerate does not save."""

    accelerator: Any
    loader: Any  # accelerate's
    datasets: Any
    current_step: Any
    bar: Any
    recorder: Any  # of losses; v0.7.0 has none

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

    def losses(self) -> Tensor | None:
        """Return the losses of the running mean: their total, then each."""
        if self.recorder is None:
            return None
        numbers = [self.recorder.loss_total, *self.recorder.loss_list]
        return torch.tensor(numbers, dtype=torch.float64)

    def go_on_with(self, losses: Tensor | None, epoch: int, batches: int) -> None:
        """Set the running mean, and number the losses of `epoch` on from its `batches`."""
        recorder = self.recorder
        if recorder is None:
            return
        if losses is not None:
            recorder.loss_total, *recorder.loss_list = losses.tolist()
        recorder.add = _numbered(recorder, recorder.add, epoch, 0 if losses is None else batches)

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
        return list(getattr(self.datasets, "datasets", []))

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
