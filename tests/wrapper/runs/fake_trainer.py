"""A stage as our runner sees one, without torch: bars, a while, a weights file at the end.

    python -m tests.wrapper.runs.fake_trainer STAGE RUN FILE [options]

Each start is a line in RUN/starts.txt. It waits as long as RUN/hold-STAGE is there: a test decides
how long, and when it may be killed.
"""

from __future__ import annotations

import argparse
import signal
import sys
import time
from pathlib import Path
from types import FrameType
from typing import NoReturn

from tests import tensors

PATIENCE_SECONDS = 60  # of one that a failed test forgot


def main() -> int:
    """Act as the stage; return its exit code."""
    args = _parser().parse_args()
    with (args.run / "starts.txt").open("a", encoding="utf-8") as starts:
        starts.write(f"{args.stage}\n")
    if args.saves:
        signal.signal(signal.SIGTERM, _save_and_stop)
    print(f"{args.stage}: started", flush=True)
    if args.on_the_way:
        _save_on_the_way(args.file)
    for number in range(args.checkpoints):
        time.sleep(0.2)
        tensors.write(
            args.file.with_name(f"{args.file.stem}-{number + 1:06}.safetensors"), tensors.SDXL
        )
    if not _waited(args.stage, args.run / f"hold-{args.stage}"):
        return 70
    for line in args.say:
        print(line, file=sys.stderr)
    if args.makes != "nothing":
        shapes = tensors.SDXL if args.makes == "model" else tensors.lora(args.rank, te=args.te)
        tensors.write(args.file, shapes, cut=args.cut, fill=tensors.ONES)
    return int(args.exit_code)


def _save_and_stop(number: int, frame: FrameType | None) -> NoReturn:
    time.sleep(1)
    print("\nkohya-presets: stopped by SIGTERM after step 7, exit code 85", flush=True)
    sys.exit(85)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser()
    parser.add_argument("stage")
    parser.add_argument("run", type=Path)
    parser.add_argument("file", type=Path)
    parser.add_argument("--makes", choices=("model", "lora", "nothing"), default="lora")
    parser.add_argument("--rank", type=int, default=16)
    parser.add_argument(
        "--no-te", dest="te", action="store_false", help="a LoRA of the U-Net alone"
    )
    parser.add_argument("--cut", type=int, default=0, help="bytes that the file lacks at its end")
    parser.add_argument("--say", action="append", default=[], help="a last line, on stderr")
    parser.add_argument("--exit-code", type=int, default=0)
    parser.add_argument("--on-the-way", action="store_true", help="checkpoint, state and sample")
    parser.add_argument("--checkpoints", type=int, default=0, help="saved on the way")
    parser.add_argument(
        "--saves", action="store_true", help="at SIGTERM: save for a moment, as the patch `resume`"
    )
    parser.add_argument("--min_diff", help="of the extraction; changes nothing here")
    return parser


def _waited(stage: str, hold: Path) -> bool:
    """Draw a bar as tqdm does until `hold` is gone; return whether it is."""
    limit, step = time.monotonic() + PATIENCE_SECONDS, 0
    while True:
        bar = f"\r{stage}:  50%|#####     | {step}/100 [00:01<00:01, 9.00it/s, avr_loss=0.1]"
        print(bar, end="", file=sys.stderr, flush=True)
        if not hold.exists():
            print(file=sys.stderr)
            return True
        if time.monotonic() > limit:
            return False
        time.sleep(0.02)
        step = min(step + 1, 99)


def _save_on_the_way(file: Path) -> None:
    """Write what sd-scripts writes beside the model before it is done."""
    tensors.write(file.with_name(f"{file.stem}-000001.safetensors"), tensors.SDXL)
    tensors.write(file.parent / f"{file.stem}-000001-state" / "model.safetensors", tensors.SDXL)
    (file.parent / "sample").mkdir()
    (file.parent / "sample" / f"{file.stem}_e000001_00.png").write_bytes(b"a picture")


if __name__ == "__main__":
    sys.exit(main())
