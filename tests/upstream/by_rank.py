"""Run a training script, and write down what each process of it saw; or let one see it again.

    python by_rank.py record FOLDER SCRIPT ARGUMENTS...
    python by_rank.py replay FOLDER SCRIPT ARGUMENTS...
    python by_rank.py frozen FOLDER SCRIPT ARGUMENTS...
    python by_rank.py tell FOLDER

`record` writes FOLDER/RANK.pt: for each batch what it was, its noise and timesteps, and digests of
all trained weights and gradients. `replay`, by one process, trains on the batches of all ranks put
together, with their noise: what they have computed by parts, in one. `frozen` does nothing but let
several processes on CPUs have models that are not trained, as accelerate does on GPUs. `tell`
prints a line for each rank: SAW and a list of what each step was, as digests.

Runs in the trainer's environment, with nothing of ours importable.
"""

from __future__ import annotations

import hashlib
import json
import os
import runpy
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import torch

KEPT = ("batch", "latents", "noise", "timesteps")
Step = dict[str, Any]


def digest(tensors: Iterable[torch.Tensor]) -> str:
    """Return a hash of all bytes of some tensors."""
    found = hashlib.sha256()
    for tensor in tensors:
        found.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy())
    return found.hexdigest()


def record(folder: Path) -> None:
    """Note each batch where its loss goes backward, and write all when the training ends."""
    from accelerate import Accelerator

    backward, end = Accelerator.backward, Accelerator.end_training
    steps: list[Step] = []

    def noted(self: Any, loss: Any, **named: Any) -> None:
        seen = sys._getframe(1).f_locals
        step = {name: seen[name] for name in KEPT}
        parameters = [p for model in seen["training_models"] for p in model.parameters()]
        step["weights"] = digest(parameters)
        backward(self, loss, **named)
        step["gradients"] = digest(p.grad for p in parameters if p.grad is not None)
        steps.append(step)

    def ended(self: Any) -> None:
        seen = sys._getframe(1).f_locals
        if "training_models" in seen:
            parameters = [p for model in seen["training_models"] for p in model.parameters()]
            optimizer = getattr(seen["optimizer"], "optimizer", seen["optimizer"])
            average = getattr(seen.get("kp_average"), "average", None)
            states = [t for p in parameters for t in optimizer.state.get(p, {}).values()]
            last = {
                "weights": digest(parameters),
                "optimizer": digest(t for t in states if torch.is_tensor(t)),
                "average": average and digest(average.tensors.values()),
            }
            folder.mkdir(parents=True, exist_ok=True)
            torch.save([*steps, last], folder / f"{os.environ.get('RANK', '0')}.pt")
        end(self)

    Accelerator.backward, Accelerator.end_training = noted, ended


def replay(folder: Path) -> None:
    """Give one process the batches that all ranks had, with their noise."""
    from accelerate import Accelerator, data_loader

    ranks = [torch.load(file, weights_only=False)[:-1] for file in sorted(folder.glob("*.pt"))]
    together = [joined(each) for each in zip(*ranks, strict=True)]
    coming, drawing, begin = iter(together), iter(together), Accelerator.__init__

    def batches(self: Any) -> Iterator[Any]:
        self.begin()
        for number in range(len(self)):
            step = next(coming, None)
            if step is None:
                break
            # What accelerate steps by, where gradients are accumulated.
            self.end_of_dataloader = number == len(self) - 1
            yield step["batch"]
        self.end()

    def begun(self: Any, *args: Any, **named: Any) -> None:
        begin(self, *args, **named)
        module = sys.modules["library.train_util"]
        draw = module.get_noise_noisy_latents_and_timesteps  # type: ignore[attr-defined]

        def drawn(args: Any, scheduler: Any, latents: Any) -> Any:
            rest = draw(args, scheduler, latents)[3:]  # v0.8.7 has one more
            step = next(drawing)
            latents, noise, timesteps = (step[name] for name in KEPT[1:])
            return noise, scheduler.add_noise(latents, noise, timesteps), timesteps, *rest

        module.get_noise_noisy_latents_and_timesteps = drawn  # type: ignore[attr-defined]

    Accelerator.__init__ = begun
    data_loader.DataLoaderShard.__iter__ = batches


def let_frozen(folder: Path) -> None:
    """Prepare models that are not trained as accelerate does on GPUs: connect nothing."""
    from accelerate import Accelerator

    prepare = Accelerator.prepare_model

    def prepared(self: Any, model: Any, **named: Any) -> Any:
        if any(p.requires_grad for p in model.parameters()):
            return prepare(self, model, **named)
        self._models.append(model)
        return model.to(self.device)

    Accelerator.prepare_model = prepared


def joined(steps: Iterable[Any]) -> Any:
    """Return the batches of several processes as one."""
    first, *_ = all_of = list(steps)
    if isinstance(first, dict):
        return {key: joined(each[key] for each in all_of) for key in first}
    if torch.is_tensor(first):
        return torch.cat(all_of)
    if isinstance(first, list) and first and torch.is_tensor(first[0]):
        return [joined(each) for each in zip(*all_of, strict=True)]
    if isinstance(first, (list, tuple)):
        return [one for each in all_of for one in each]
    return first


def tell(folder: Path) -> None:
    """Print what was recorded."""
    for file in sorted(folder.glob("*.pt")):
        steps = torch.load(file, weights_only=False)
        for step in steps:
            step.pop("batch", None)
            for name, value in step.items():
                step[name] = digest([value]) if torch.is_tensor(value) else value
        print("SAW", json.dumps(steps))


def main() -> None:
    """Be SCRIPT, observed."""
    if sys.argv[1] == "tell":
        return tell(Path(sys.argv[2]))
    what, folder, script = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]).absolute()
    sys.argv = [str(script), *sys.argv[4:]]
    sys.path[0] = str(script.parent)
    {"record": record, "replay": replay, "frozen": let_frozen}[what](folder)
    runpy.run_path(str(script), run_name="__main__")
    return None


if __name__ == "__main__":
    main()
