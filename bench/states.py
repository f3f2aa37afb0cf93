"""Write states of SDXL with the patch `resume`, and say what those of full size take.

    python -m bench.states [--parameters 4e8] [--folder .] [--only NAME ...]

A fine-tune's state is of a sample of SDXL's tensors; with `--parameters 4e9`, of all. A LoRA's is
whole. A state for which the disk has no room is left out. The size of the whole is
`saved.state_bytes`; its seconds are those bytes at the speed of the sample. The weights are in main
memory: a GPU's are copied there first. What is written is flushed to the disk, as in a training.
"""

from __future__ import annotations

import argparse
import math
import multiprocessing
import shutil
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import Value
from pathlib import Path
from typing import Any, NamedTuple

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from bench import sdxl_shapes
from bench.sdxl_shapes import Shape
from kohya_presets.memory import saved
from kohya_presets.training.settings import Settings
from patches.resume import kp_resume, kp_states

TRAIN = {"train_text_encoder": True, "mixed_precision": "bf16"}
ALL_BF16 = {**TRAIN, "optimizer_type": "AdamW8bit", "full_bf16": True}
LORA = {"network_module": "networks.lora", "network_dim": 16, "mixed_precision": "bf16"}
FP32, BF16, BYTE = torch.float32, torch.bfloat16, torch.uint8


class Case(NamedTuple):
    """Settings, and the dtypes of the weights and of the optimizer's state for each of them."""

    name: str
    train: Mapping[str, Any]
    weights: torch.dtype
    state: tuple[torch.dtype, ...]

    def whole(self) -> int:
        """Return the bytes of the full size."""
        script = saved.LORA if "network_dim" in self.train else saved.MODEL
        settings = Settings({"train": self.train, "dataset": {}}, script=script)
        found = saved.state_bytes(settings)
        assert found is not None
        return found


CASES = (
    Case("AdamW", {**TRAIN, "optimizer_type": "AdamW"}, FP32, (FP32, FP32)),
    Case("AdaCoor", {**TRAIN, "optimizer_type": "AdaCoor"}, FP32, (BF16,)),
    Case("AdamW8bit", {**TRAIN, "optimizer_type": "AdamW8bit"}, FP32, (BYTE, BYTE)),
    Case("AdamW8bit, all bf16", ALL_BF16, BF16, (BYTE, BYTE)),
    Case("LoRA, rank 16, AdamW", {**LORA, "optimizer_type": "AdamW"}, FP32, (FP32, FP32)),
)


class Written(NamedTuple):
    """One state: its bytes, and the seconds that it took to write them."""

    size: int
    seconds: float


def main() -> None:
    """Write a state of each kind, and print the table."""
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--parameters", type=float, default=4e8)
    parser.add_argument("--folder", type=Path, default=Path())
    parser.add_argument("--only", nargs="+", default=[case.name for case in CASES])
    asked = parser.parse_args()
    print(f"{sdxl_shapes.sample(int(asked.parameters))}; LoRAs are whole")
    print(f"{'state':<22}{'written':>10}{'in':>9}{'speed':>11}{'whole':>10}{'in':>9}")
    for case in (case for case in CASES if case.name in asked.only):
        lora = "network_dim" in case.train
        sample = sdxl_shapes.sample(int(asked.parameters))
        shapes = _lora(LORA["network_dim"]) if lora else sample.shapes
        numbers = sum(map(math.prod, shapes))
        expected = numbers * sum(dtype.itemsize for dtype in (case.weights, *case.state))
        if shutil.disk_usage(asked.folder).free < 1.1 * expected:
            print(f"{case.name:<22}no room for {_gb(expected)}")
            continue
        spawn = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(1, mp_context=spawn) as process:  # its memory is its own
            written = process.submit(write, case, shapes, asked.folder).result()
        speed, whole = written.size / written.seconds, case.whole()
        print(
            f"{case.name:<22}{_gb(written.size)}{written.seconds:7.1f} s{speed / 1e6:6.0f} MB/s"
            f"{_gb(whole)}{whole / speed:7.1f} s",
            flush=True,
        )
        if lora and abs(whole / written.size - 1) > 0.01:
            sys.exit(f"expected {whole} bytes, {written.size} are written")
        if not 0 <= written.size / expected - 1 < 0.01:
            sys.exit(f"expected about {expected} bytes, {written.size} are written")


def write(case: Case, shapes: Sequence[Shape], folder: Path) -> Written:
    """Write one state into `folder`, delete it, and return what it took."""
    parser = argparse.ArgumentParser()
    kp_resume.add_arguments(parser)
    place = tempfile.mkdtemp(dir=folder)
    args = parser.parse_args([f"--state_dir={place}", "--state_every_minutes=99"])
    rest = {"output_dir": place, "output_name": "it", "resume": None, "save_state": False}
    vars(args).update(rest, seed=1, max_train_steps=9)
    model = nn.ParameterList(
        [nn.Parameter(_mapped(shape, case.weights, place)) for shape in shapes]
    )
    optimizer = torch.optim.SGD(model.parameters())
    accelerator = Accelerator(cpu=True)
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.zeros(1)))
    prepared = accelerator.prepare(model, optimizer, loader)
    for parameter in model:  # only now: preparing casts it to the dtype of the weights
        states = {
            str(n): _mapped(parameter.shape, dtype, place) for n, dtype in enumerate(case.state)
        }
        optimizer.state[parameter] = states
    run = kp_resume.begin(args)
    assert not isinstance(run, kp_resume.Off)
    found = {"accelerator": accelerator, "train_dataloader": prepared[2], "global_step": 0}
    run.start({**found, "current_step": Value("i", 0), "progress_bar": None})
    begun = time.monotonic()
    run.save(stopping=True)
    seconds = time.monotonic() - begun
    state = kp_states.newest(Path(place))
    assert state
    size = sum(file.stat().st_size for file in state.iterdir())
    shutil.rmtree(place)
    return Written(size, seconds)


def _mapped(shape: Shape, dtype: torch.dtype, folder: str) -> Tensor:
    """Return a tensor of zeros that takes no memory: all of a state is more than machines have."""
    with tempfile.NamedTemporaryFile(dir=folder) as file:
        numbers = math.prod(shape)
        file.truncate(numbers * dtype.itemsize)  # to a hole, which takes no room either
        return torch.from_file(file.name, size=numbers, dtype=dtype).view(shape)


def _lora(rank: Any) -> tuple[Shape, ...]:
    """Return shapes of as many weights as a LoRA of this rank has, a tensor for each module."""
    settings = Settings({"train": {**LORA, "network_dim": rank}, "dataset": {}}, script=saved.LORA)
    modules = 722 + 264
    numbers = saved.lora_numbers(settings)
    return (
        *[(numbers // modules,)] * (modules - 1),
        (numbers - numbers // modules * (modules - 1),),
    )


def _gb(size: int) -> str:
    return f"{size / 1e9:7.2f} GB"


if __name__ == "__main__":
    main()
