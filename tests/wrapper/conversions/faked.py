"""A checkout whose extraction and resizing need no torch: what they do, the input's name says."""

from __future__ import annotations

import shutil
from pathlib import Path

from kohya_presets.sdscripts import options
from kohya_presets.sdscripts.scripts import TOOLS
from tests import tensors
from tests.conftest import ROOT
from wrapper.rehearsal.adapt import STANDIN

# By which a release is recognized.
DECLARED = " ".join(
    f'"--{name}"'
    for script in ("sdxl_train.py", *TOOLS.values())
    for name in options.of(script, "v0.10.1")
)
SCRIPT = f"""# {DECLARED}
import argparse, sys, time
from pathlib import Path

sys.path.insert(0, {str(ROOT)!r})
from tests import tensors

parser = argparse.ArgumentParser()
for name in ("model_org", "model_tuned", "model", "save_to", "device", "save_precision"):
    parser.add_argument("--" + name)
parser.add_argument("--sdxl", action="store_true")
parser.add_argument("--dim", type=int, nargs="+", default=[4])
parser.add_argument("--new_rank", type=int, default=4)
for name in ("clamp_quantile", "min_diff"):
    parser.add_argument("--" + name, type=float)
args = parser.parse_args()
tuned = Path(args.model_tuned or args.model)
said, to = tuned.stem, Path(args.save_to)
ranks = args.dim if args.model_tuned else [args.new_rank]
print(f"extract:  50%|#####     | 6/12 [00:01<00:01,  4.50it/s]", file=sys.stderr, flush=True)
if "hold" in said:
    to.write_bytes(b"half a file")
    time.sleep(60)
if "fails" in said:
    print("Missing key(s) in state_dict: " + 1000 * "a.weight, ", file=sys.stderr)
    sys.exit("RuntimeError: CUDA out of memory")
if "nothing" in said:
    sys.exit(0)
for rank in ranks:
    file = to if rank == ranks[0] else to.with_name(f"{{to.stem}}-dim{{rank}}{{to.suffix}}")
    rank = 64 if "same" in said else rank
    shapes = tensors.lora(rank, te="unet" not in said)
    fill = 0 if "zero" in said else 0xFF if "nan" in said else tensors.ONES
    tensors.write(file, shapes, cut=4 if "cut" in said else 0, fill=fill)
"""


def checkout(folder: Path) -> Path:
    """Return the folder of a new checkout with these scripts."""
    shutil.copytree(STANDIN, folder, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("extract_lora_from_models", "resize_lora"):
        (folder / "networks" / f"{name}.py").write_text(SCRIPT, "utf-8")
    return folder


def model(file: Path, dtype: str = "F16") -> Path:
    """Return an SDXL checkpoint of a few numbers."""
    return tensors.write(file, tensors.SDXL, dtype=dtype)


def lora(file: Path, rank: int = 32) -> Path:
    """Return a LoRA of a few numbers."""
    return tensors.write(file, tensors.lora(rank), fill=tensors.ONES)
