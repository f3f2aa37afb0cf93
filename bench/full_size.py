"""Extract a LoRA from two made-up SDXL checkpoints of full size with the patched script.

They take 14 GB of disk; in --models they stay for the next time. What they hold beside the 986
weights that a LoRA has modules for is one tensor of the right size: only the patched script reads
that, the stock one would need 28 GB of memory. Told: seconds in all, the most memory it held.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from patches import registry
from wrapper.checkouts import checkout, patchwork
from wrapper.environments import environment
from wrapper.rehearsal.adapt import in_front
from wrapper.system import rewrite

PARAMETERS = 3_469_000_000  # of SDXL, about
CHANGE, RANK = 3e-4, 64  # root mean square of what changed; half of it is of this rank


def main() -> None:
    """Make the checkpoints, run the script in a copy of the newest checkout, print what it took."""
    options = _options()
    real = [found for found in checkout.listing() if environment.find(found)]
    if not real:
        sys.exit("no checkout has an environment yet: make rehearse makes both")
    used = environment.find(real[-1])
    assert used
    with tempfile.TemporaryDirectory(dir=options.models) as temporary:
        folder = Path(temporary)
        models = options.models or folder
        base, tuned = models / "base.safetensors", models / "tuned.safetensors"
        scripts = folder / "sd-scripts"
        shutil.copytree(real[-1].scripts, scripts, ignore=shutil.ignore_patterns(".git"))
        found = checkout.open_folder(scripts)
        rewrite.carry_out(patchwork.applying(found, [registry.find("fast-lora")]))
        if not base.exists():
            print(f"making two checkpoints with {len(list(_weights()))} weights", flush=True)
            _write(base, tuned)
        argv = [
            str(used.python),
            *in_front(folder / "observed", standin=False),
            str(scripts / "networks" / "extract_lora_from_models.py"),
            "--sdxl",
            "--save_precision=fp16",
            f"--model_org={base}",
            f"--model_tuned={tuned}",
            f"--save_to={folder / 'lora.safetensors'}",
            "--dim",
            *map(str, options.dim),
            *(["--device", options.device] if options.device else []),
        ]
        started = time.monotonic()
        child = os.posix_spawn(argv[0], argv, {**os.environ, "PYTHONPATH": str(scripts)})
        _, status, usage = os.wait4(child, 0)
        seconds = time.monotonic() - started
        if status:
            sys.exit("the script failed")
        size = (folder / "lora.safetensors").stat().st_size
        print(
            f"{seconds:.1f} s in all ({usage.ru_utime + usage.ru_stime:.1f} s of processors), "
            f"{usage.ru_maxrss / 2**20:.2f} GiB of memory at most, {size / 1e6:.0f} MB written"
        )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dim", type=int, nargs="+", default=[32])
    parser.add_argument("--models", type=Path, help="folder that they stay in (else they go)")
    parser.add_argument("--device", help="of the script")
    return parser.parse_args()


def _write(base: Path, tuned: Path) -> None:
    """Write both files, a weight at a time: W in fp16, and W + D rounded to it."""
    shapes: dict[str, tuple[int, ...]] = dict(_weights())
    shapes["model.diffusion_model.label_emb.0.0.weight"] = (1280, 2816)  # `lora rank` looks for it
    rest = PARAMETERS - sum(map(math.prod, shapes.values()))
    shapes["first_stage_model.rest"] = (rest,)
    header, at = {}, 0
    for name, shape in shapes.items():
        size = 2 * math.prod(shape)
        header[name] = {"dtype": "F16", "shape": shape, "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header).encode()
    dice = torch.Generator().manual_seed(0)
    with base.open("wb") as one, tuned.open("wb") as other:
        for file in (one, other):
            file.write(len(text).to_bytes(8, "little") + text)
        for name, shape in shapes.items():
            if name == "first_stage_model.rest":
                for file in (one, other):
                    file.truncate(8 + len(text) + at)
                continue
            weight = (torch.randn(shape, generator=dice) * 0.6 / math.sqrt(shape[1])).half()
            one.write(weight.numpy().tobytes())
            other.write((weight.float() + _change(shape, dice)).half().numpy().tobytes())


def _change(shape: tuple[int, ...], dice: torch.Generator) -> Tensor:
    up = torch.randn(shape[0], RANK, generator=dice) * torch.arange(1, RANK + 1) ** -0.7
    part = up @ torch.randn(RANK, shape[1], generator=dice)
    noise = torch.randn(shape, generator=dice)
    return (part / part.std() + noise) * (CHANGE / math.sqrt(2))


def _weights() -> Iterator[tuple[str, tuple[int, int]]]:
    """Yield name and shape of each weight that has LoRA modules, as the checkpoint has them."""
    places = [(f"input_blocks.{n}.1", 640, 2) for n in (4, 5)]
    places += [(f"input_blocks.{n}.1", 1280, 10) for n in (7, 8)]
    places += [("middle_block.1", 1280, 10)]
    places += [(f"output_blocks.{n}.1", 1280, 10) for n in (0, 1, 2)]
    places += [(f"output_blocks.{n}.1", 640, 2) for n in (3, 4, 5)]
    for place, width, depth in places:
        at = f"model.diffusion_model.{place}"
        yield f"{at}.proj_in.weight", (width, width)
        yield f"{at}.proj_out.weight", (width, width)
        for block in range(depth):
            inside = f"{at}.transformer_blocks.{block}"
            for attention, seen in (("attn1", width), ("attn2", 2048)):
                yield f"{inside}.{attention}.to_q.weight", (width, width)
                yield f"{inside}.{attention}.to_k.weight", (width, seen)
                yield f"{inside}.{attention}.to_v.weight", (width, seen)
                yield f"{inside}.{attention}.to_out.0.weight", (width, width)
            yield f"{inside}.ff.net.0.proj.weight", (8 * width, width)
            yield f"{inside}.ff.net.2.weight", (width, 4 * width)
    for layer in range(12):
        at = f"conditioner.embedders.0.transformer.text_model.encoder.layers.{layer}"
        for letter in ("q_proj", "k_proj", "v_proj", "out_proj"):
            yield f"{at}.self_attn.{letter}.weight", (768, 768)
        yield f"{at}.mlp.fc1.weight", (3072, 768)
        yield f"{at}.mlp.fc2.weight", (768, 3072)
    for layer in range(32):
        at = f"conditioner.embedders.1.model.transformer.resblocks.{layer}"
        yield f"{at}.attn.in_proj_weight", (3 * 1280, 1280)
        yield f"{at}.attn.out_proj.weight", (1280, 1280)
        yield f"{at}.mlp.c_fc.weight", (5120, 1280)
        yield f"{at}.mlp.c_proj.weight", (1280, 5120)


if __name__ == "__main__":
    main()
