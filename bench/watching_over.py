"""What a run costs its trainer: the same commands started by us and typed by hand, in turn.

The trainer is a loop that counts and draws its bar as tqdm does, so that its pace tells what is
taken from it. Ours reads its log, watches, and looks for states. More than 1 % of the trainer's
time, or more than 80 MB of memory, is a failure.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import textwrap
import time
from pathlib import Path

import psutil

MOST_TIME = 0.01  # of the trainer's
MOST_MEMORY = 80e6  # bytes
TRAINER = """
import sys, time
seconds, per_step = float(sys.argv[1]), float(sys.argv[2])
steps, done, began = 0, 0, time.process_time()
while time.process_time() - began < seconds:
    until = time.process_time() + per_step
    while time.process_time() < until:
        sum(range(1000)); done += 1
    steps += 1
    rest = f"{steps}/99999 [00:01<00:01, 9.00it/s, avr_loss=0.1{steps % 10}]"
    bar = f"\\rsteps:  50%|#####     | {rest}"
    print(bar, end="", file=sys.stderr, flush=True)
print(f"DONE {done}")
"""
OURS = """
import sys
from pathlib import Path
import wrapper.cli.runs.train  # as the command does
from wrapper.runs import runner
from wrapper.runs.manifest import Run, Stage
from wrapper.screen.talk import Talk
from wrapper.system.launch import RUN_MARK, Launch

folder, words = Path(sys.argv[1]), tuple(sys.argv[2:])
log, env = folder / "logs" / "train.log", {RUN_MARK: str(folder)}
made = folder / "model" / "x.safetensors"
train = Stage("train", Launch(words, folder.parent, log, env), made, made, "an SDXL checkpoint")
run = Run(folder, "train", "x", "x", (train,), True)
try:
    runner.carry_out(runner.start(run, {}), Talk())
except Exception as error:
    if "without writing" not in str(error):
        raise
"""


def main() -> None:
    """Run both in turn, print what each round counted, fail where ours costs too much."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="%(default)s")
    parser.add_argument("--seconds", type=float, default=12, help="of the trainer (%(default)s)")
    parser.add_argument("--steps", type=float, default=5, help="in a second (%(default)s)")
    options = parser.parse_args()
    share, memory, ratios = [], 0, []
    with tempfile.TemporaryDirectory() as work:
        trainer = Path(work) / "trainer.py"
        trainer.write_text(textwrap.dedent(TRAINER), encoding="utf-8")
        words = (sys.executable, str(trainer), str(options.seconds), str(1 / options.steps))
        for number in range(options.rounds):
            alone = _by_hand(words, Path(work) / "by-hand.log")
            ours, ran, used, peak = _by_us(words, Path(work) / f"run-{number}")
            share.append(used / ran)
            memory = max(memory, peak)
            ratios.append(ours / alone)
            print(
                f"round {number + 1}: {ours} counted beside us, {alone} by hand; we took "
                f"{used:.2f} s of the processor in {ran:.1f} s, and {peak / 1e6:.0f} MB"
            )
    cost, pace = statistics.median(share), statistics.median(ratios)
    print(f"median: {cost:.2%} of the time, pace {pace:.3f} of that by hand, {memory / 1e6:.0f} MB")
    if cost > MOST_TIME or memory > MOST_MEMORY:
        sys.exit(f"more than {MOST_TIME:.0%} of the trainer's time or {MOST_MEMORY / 1e6:.0f} MB")


def _by_hand(words: tuple[str, ...], log: Path) -> int:
    with log.open("wb") as out:
        assert psutil.Popen(words, stdout=out, stderr=out).wait() == 0
    return _counted(log)


def _by_us(words: tuple[str, ...], folder: Path) -> tuple[int, float, float, int]:
    """Return what the trainer counted, its seconds, ours of the processor, and our memory.

    Of ours only what comes after the start counts: a second, once in a run of hours.
    """
    with Path(os.devnull).open("wb") as nowhere:
        argv = [sys.executable, "-c", OURS, str(folder), *words]
        ours = psutil.Popen(argv, stdout=nowhere, stderr=nowhere)
    log = folder / "logs" / "train.log"
    while not (log.exists() and b"steps:" in log.read_bytes()):
        time.sleep(0.05)
    began, before, peak, used = time.monotonic(), _processor(ours), 0, 0.0
    while ours.poll() is None:
        try:
            used, peak = _processor(ours) - before, max(peak, ours.memory_info().rss)
        except psutil.Error:
            break
        if b"DONE" in log.read_bytes()[-200:]:
            break
        time.sleep(0.1)
    ran = time.monotonic() - began
    ours.wait()
    return _counted(log), ran, used, peak


def _processor(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _counted(log: Path) -> int:
    return int(log.read_text("utf-8", "replace").split("DONE ")[1].split()[0])


if __name__ == "__main__":
    main()
