"""A stand-in for sdxl_gen_img.py: it takes the same words and numbers its pictures in the same way.

Its pictures are noise that follows from the line, the LoRA's bytes and the size. With the
environment variable STOP_AFTER it dies after so many pictures, the next one half written.
"""

from __future__ import annotations

import sys
from pathlib import Path

from wrapper.evaluation.site import SCRIPT, Site

TEXT = r"""
import argparse, hashlib, os, random, re, sys, time
from PIL import Image

parser = argparse.ArgumentParser()
for name in ("ckpt", "from_file", "outdir", "sampler", "network_module", "network_weights"):
    parser.add_argument(f"--{name}")
parser.add_argument("--tokenizer_cache_dir")
parser.add_argument("--steps", type=int)
parser.add_argument("--scale", type=float)
parser.add_argument("--W", type=int)
parser.add_argument("--H", type=int)
for flag in ("sequential_file_name", "no_half_vae", "sdpa", "fp16"):
    parser.add_argument(f"--{flag}", action="store_true")
args = parser.parse_args()
os.makedirs(args.outdir, exist_ok=True)
lines = [line.strip() for line in open(args.from_file, encoding="utf-8") if line.strip()]
lora = open(args.network_weights, "rb").read() if args.network_weights else b""
stop = int(os.environ.get("STOP_AFTER", "1000"))
for number, line in enumerate(lines, start=1):
    time.sleep(float(os.environ.get("SLEEP", "0")))
    print(f"prompt {number}/{len(lines)}: {line}", flush=True)
    prompt = line.split(" --")[0]
    print(f"100%|#####| {args.steps}/{args.steps} [00:01<00:00,  4.50it/s]", flush=True)
    file = os.path.join(args.outdir, f"im_{number:06d}.png")
    dice = random.Random(hashlib.sha256(line.encode() + lora).digest())
    picture = Image.frombytes("RGB", (args.W, args.H), dice.randbytes(3 * args.W * args.H))
    if number > stop:
        picture.save(file)
        data = open(file, "rb").read()
        open(file, "wb").write(data[: len(data) // 2])
        print("torch.cuda.OutOfMemoryError: CUDA out of memory.", flush=True)
        sys.exit(1)
    picture.save(file)
"""


def site(folder: Path, **env: str) -> Site:
    """Return where pictures are made by it, with a base model that is no model."""
    scripts = folder / "sd scripts ä"
    scripts.mkdir(parents=True, exist_ok=True)
    (scripts / SCRIPT).write_text(TEXT, "utf-8")
    base = folder / "base.safetensors"
    base.write_bytes(b"base")
    return Site("v0.10.1", scripts, sys.executable, base, "base 1", env=env)
