"""An extraction, after a while or never: --model_tuned=IN --save_to=OUT [--after S] [--fail IN]."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[3]))
from tests import tensors

parser = argparse.ArgumentParser()
parser.add_argument("--model_tuned", type=Path)
parser.add_argument("--save_to", type=Path)
parser.add_argument("--after", type=float, default=0)
parser.add_argument("--fail", default="no such checkpoint")
args = parser.parse_args()
time.sleep(args.after)
if args.fail in args.model_tuned.name:
    raise RuntimeError("out of luck")
tensors.write(args.save_to, tensors.lora(16), fill=tensors.ONES)
