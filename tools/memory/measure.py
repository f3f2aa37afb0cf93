"""Write facts/memory.json: what training SDXL takes of a GPU's memory, measured without a GPU.

    TRAINER_PYTHON tools/memory/measure.py write [counts unet others]
    TRAINER_PYTHON tools/memory/measure.py counts OPTIMIZER...
    TRAINER_PYTHON tools/memory/measure.py step PRECISION plain|efficient on|off WIDTH HEIGHT BATCH

Runs in a trainer environment, with sd-scripts' folder on PYTHONPATH: the real modules of sd-scripts
in full size, the real optimizers and real backward passes, on tensors that hold no data
(`meter`, `models`). `write` takes about an hour, and wants dadaptation beside
sd-scripts' own requirements. The other two print what they measure as their last line: the tests
compare that with the facts, and with estimates from them.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import models
import torch
from meter import Meter, as_on_cuda
from models import OPTIMIZERS, TEXT_ENCODERS, TRAINABLE, Sdxl
from torch import Size, nn
from torch._subclasses.fake_tensor import FakeTensorMode

FACTS = Path(__file__).parents[2] / "kohya_presets" / "memory" / "facts.json"
ATTENTION = ("plain", "efficient")
CHECKPOINTING = {"off": False, "on": True}
MEASURED = ("no", "fp16", "full_fp16")  # bf16 takes the same, but for one matrix of plain attention
SIZES = (  # width, height, batch
    (512, 512, 1),
    (768, 768, 1),
    (1024, 1024, 1),
    (832, 1216, 1),
    (1024, 1024, 2),
    (1024, 1024, 3),
    (512, 512, 3),
)
CHUNKS = (1, 3)  # of 77 tokens: the captions of a batch, times max_token_length / 75
LATE = 0.9  # of the gradients are there; in between, the sum with them is never at its highest
GROUPS = range(1, 17)  # of --fused_optimizer_groups

Row = dict[str, Any]


class Peaks(NamedTuple):
    """Bytes of one step beside the weights."""

    copies: int  # weights in half precision, when all but the gradients is at its highest
    top: int  # what else there is then: kept for backward, or in work
    late: int  # the highest sum with gradients once most of these are there, less all of them
    gradients: int
    highest: int  # with gradients


def main() -> None:
    """Measure, and write or print."""
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("what", choices=("write", "counts", "step"))
    parser.add_argument("words", nargs="*")
    asked = parser.parse_args()
    with as_on_cuda():
        if asked.what == "counts":
            print(json.dumps(counts(asked.words)))
        elif asked.what == "step":
            precision, attention, checkpointing, *size = asked.words
            sdxl = Sdxl(precision, attention, CHECKPOINTING[checkpointing], TRAINABLE)
            print(json.dumps(step(sdxl, *map(int, size), texts=True)._asdict()))
        else:
            parts = {"counts": lambda: counts(tuple(OPTIMIZERS)), "unet": unet, "others": others}
            for name in asked.words or parts:
                write(parts[name]())


def counts(names: Sequence[str]) -> Row:
    """Return the sizes of the models, and what these optimizers keep and use for each of them."""
    sdxl = Sdxl("no", trained=TRAINABLE)
    trained = {name: [p.shape for p in sdxl.trained(name)] for name in TRAINABLE}
    return {
        "parameters": {n: sum(p.numel() for p in m.parameters()) for n, m in sdxl.models.items()},
        "trained": {name: sum(map(math.prod, shapes)) for name, shapes in trained.items()},
        "largest": {name: max(map(math.prod, shapes)) for name, shapes in trained.items()},
        "optimizers": {
            name: {
                kind: [optimizer(name, dtype, trained[model]) for model in TRAINABLE]
                for kind, dtype in (("float", torch.float32), ("half", torch.bfloat16))
            }
            for name in names
        },
        "lora": lora(),
    }


def lora() -> Row:
    """Return how many weights of a LoRA each of its ranks has: of linear layers, and of 3x3 ones.

    Those of 1x1 are of the linear ones' rank. The residual blocks have a LoRA with conv_dim only.
    """
    from networks import lora as network_module  # of sd-scripts

    models_of = models.built()
    texts = [models_of[name] for name in TEXT_ENCODERS]

    def made(rank: int, conv_rank: int) -> dict[str, int]:
        network = network_module.create_network(
            *(1.0, rank, 1, None, texts, models_of["unet"]),
            **({"conv_dim": str(conv_rank)} if conv_rank else {}),
        )
        found = dict.fromkeys(TRAINABLE, 0)
        for module in (*network.text_encoder_loras, *network.unet_loras):
            part = {"te1": TEXT_ENCODERS[0], "te2": TEXT_ENCODERS[1]}.get(
                module.lora_name.split("_")[1], "unet"
            )
            both = (module.lora_down, module.lora_up)
            found[part] += sum(p.numel() for each in both for p in each.parameters())
        return found

    without, with_one, with_two = made(1, 0), made(1, 1), made(1, 2)
    kernels = with_two["unet"] - with_one["unet"]
    return {
        "linear": without,
        "blocks": {"linear": with_one["unet"] - without["unet"] - kernels, "kernels": kernels},
    }


def optimizer(name: str, dtype: torch.dtype, shapes: Sequence[Size]) -> tuple[int, int]:
    """Return the bytes of an optimizer's state, and the most that a step of it takes beside."""
    with FakeTensorMode() as mode:
        parameters = [nn.Parameter(torch.empty(shape, dtype=dtype)) for shape in shapes]
        gradients = [torch.empty_like(p) for p in parameters]
    mode.allow_non_fake_inputs = True  # eight-bit optimizers have real maps
    for parameter, gradient in zip(parameters, gradients, strict=True):
        parameter.grad = gradient
    with Meter():  # some read numbers while they are made
        made = models.optimizer(name, parameters)
    with mode:
        for _ in range(2):  # the state is made in the first step
            meter = Meter(free=[*parameters, *gradients, *_state(made)])
            with meter:
                made.step()
    size = sum({t.untyped_storage()._cdata: _bytes(t) for t in _state(made)}.values())
    print(f"{name} {dtype} {size / 2**30:.3f} GiB", file=sys.stderr, flush=True)
    return size, max(moment.rest for moment in meter.moments)


def step(sdxl: Sdxl, width: int, height: int, batch: int, *, texts: bool = False) -> Peaks:
    """Return the peaks of one training step."""
    meter = sdxl.meter()
    with meter:
        sdxl.step(width, height, batch, texts=texts)
    whole = meter.now.gradients
    top = max(meter.moments, key=lambda moment: moment.rest)
    late = max(m.gradients + m.rest for m in meter.moments if m.gradients >= LATE * whole)
    highest = max(moment.gradients + moment.rest for moment in meter.moments)
    return Peaks(top.copies, top.others, late - whole, whole, highest)


def unet() -> Row:
    """Return what forward and backward of the U-Net take, as factors, and how well these fit."""
    found: Row = {}
    errors = []
    for precision, attention, word in itertools.product(MEASURED, ATTENTION, CHECKPOINTING):
        on = CHECKPOINTING[word]
        peaks = {size: step(Sdxl(precision, attention, on), *size) for size in SIZES}
        row: Row = {"copies": max(p.copies for p in peaks.values())}
        for part in ("top", "late"):
            measured = {size: getattr(p, part) for size, p in peaks.items()}
            row[part], error = fitted(measured, square=attention == "plain")
            errors.append(error)
        found.setdefault(precision, {}).setdefault(attention, {})[word] = row
        print(precision, attention, word, row, errors[-2:], file=sys.stderr, flush=True)
    return {"unet": found, "error": round(max(errors))}


def others() -> Row:
    """Return what the text encoders and the VAE take, and fused optimizer groups."""
    return {
        "text": {p: {w: text(p, on) for w, on in CHECKPOINTING.items()} for p in MEASURED},
        "vae": {"float": image("no"), "half": image("fp16")},
        "groups": groups(),
    }


def fitted(found: Mapping[tuple[int, int, int], int], *, square: bool) -> tuple[list[float], float]:
    """Return a, b, c of bytes = a + batch * (b * pixels + c * pixels^2), and the largest error.

    Without `square`, c is 0.
    """
    rows = [[1.0, batch * w * h, batch * (w * h) ** 2 * square] for w, h, batch in found]
    matrix = torch.tensor(rows, dtype=torch.float64)
    measured = torch.tensor(list(found.values()), dtype=torch.float64)
    scale = matrix.amax(0).clamp(min=1)
    factors = torch.linalg.lstsq(matrix / scale, measured, driver="gelsd").solution / scale
    error = (matrix @ factors - measured).abs().max()
    return [float(f"{factor:.7g}") for factor in factors], float(error)


def text(precision: str, checkpointing: bool) -> Row:
    """Return, for each text encoder, the bytes that wait for its backward: copies, per chunk."""
    found = {}
    for name in TEXT_ENCODERS:
        moments = []
        for chunks in CHUNKS:
            sdxl = Sdxl(precision, checkpointing=checkpointing, trained=(name,))
            with sdxl.meter() as meter:
                kept = sdxl.encode_text(chunks)
            moments.append(meter.now)
            del kept
        slope = (moments[1].others - moments[0].others) / (CHUNKS[1] - CHUNKS[0])
        found[name] = [moments[0].copies, round(slope)]
        print(precision, checkpointing, name, moments, found[name], file=sys.stderr, flush=True)
    return found


def image(precision: str) -> list[float]:
    """Return the factors, as of `fitted`, of what it takes to make latents of images."""
    found = {}
    for size in SIZES:
        sdxl = Sdxl(precision)
        with Meter(free=list(sdxl.models["vae"].parameters())) as meter:
            sdxl.encode_image(*size)
        found[size] = max(moment.rest for moment in meter.moments)
    factors, error = fitted(found, square=False)
    print("vae", precision, factors, error, file=sys.stderr, flush=True)
    return factors


def groups() -> list[list[float]]:
    """Return, by --fused_optimizer_groups, the shares of gradients that are alive, and in a group.

    The first is the most at any time of one backward pass of the U-Net, the second the largest.
    """
    sdxl = Sdxl("no", "efficient", checkpointing=True)
    order: list[nn.Parameter] = []
    with sdxl.meter(order):
        sdxl.step(512, 512, 1, texts=False)
    place = {parameter: number for number, parameter in enumerate(sdxl.trained("unet"))}
    sizes = [parameter.numel() for parameter in place]
    return [shares([place[p] for p in order], sizes, count) for count in GROUPS]


def shares(order: Sequence[int], sizes: Sequence[int], count: int) -> list[float]:
    """Return both shares for `count` groups, each of as many tensors, which arrive in `order`."""
    each = math.ceil(len(sizes) / count)
    whole = [sum(sizes[start : start + each]) for start in range(0, len(sizes), each)]
    missing = [len(sizes[start : start + each]) for start in range(0, len(sizes), each)]
    alive = most = 0
    for number in order:
        alive += sizes[number]
        most = max(most, alive)
        missing[number // each] -= 1
        if not missing[number // each]:
            alive -= whole[number // each]
    return [round(most / sum(sizes), 4), round(max(whole) / sum(sizes), 4)]


def write(part: Row) -> None:
    """Write these facts, and those that are there already, one row of numbers on a line."""
    head = {"generator": "tools/memory/measure.py", "torch": torch.__version__.split("+")[0]}
    known = json.loads(FACTS.read_text(encoding="utf-8")) if FACTS.exists() else {}
    text = written({**known, **head, **part}, "")
    beside = FACTS.with_name(f"{FACTS.name}.part")
    beside.write_text(f"{text}\n", encoding="utf-8", newline="\n")
    beside.replace(FACTS)


def written(value: Any, indent: str) -> str:
    """Return `value` as JSON, with a line for each innermost table or list."""
    inner = value.values() if isinstance(value, dict) else ()
    if not any(isinstance(v, dict) for v in inner):
        return json.dumps(value)
    deeper = f"{indent} "
    lines = [f"{deeper}{json.dumps(k)}: {written(v, deeper)}" for k, v in value.items()]
    return "{\n" + ",\n".join(lines) + f"\n{indent}}}"


def _state(optimizer: torch.optim.Optimizer) -> list[torch.Tensor]:
    """Return the tensors of a state; numbers of one element stay on the CPU."""
    values = [value for own in optimizer.state.values() for value in own.values()]
    return [v for v in values if isinstance(v, torch.Tensor) and v.dim()]


def _bytes(tensor: torch.Tensor) -> int:
    return tensor.untyped_storage().nbytes()


if __name__ == "__main__":
    main()
