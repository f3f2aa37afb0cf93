"""Measure, in the trainer's Python, what each rank would keep of a fine-tuning."""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path

import patches
from kohya_presets.errors import TrainerError, UserError
from kohya_presets.loras import curve, escape, weights
from kohya_presets.loras.curve import Curve
from wrapper.environments import environment
from wrapper.environments.environment import Environment
from wrapper.planning import trainer
from wrapper.screen import progress
from wrapper.screen.talk import Talk
from wrapper.system import launch
from wrapper.system.launch import Launch

SCRIPT = Path(__file__).parent / "kp_rank.py"
# kp_rank.py imports `patches.fast_lora` from here, in a Python that knows nothing of us.
PATCHES = Path(patches.__file__).parents[1]
UNUSABLE = 3  # the script's exit code when a checkpoint is unusable: its last line says why


@dataclass(frozen=True)
class Question:
    """Which models, and which sd-scripts' environment to measure them in."""

    base: Path
    tuned: Path
    convolutions: bool
    round_base: bool
    release: str
    checkout: Path | None
    python: str | None


def measure(question: Question, talk: Talk) -> Curve:
    """Return the curve: some minutes on a CPU, one pass over both files.

    Raises:
        UserError: a file is not a usable SDXL checkpoint, or both are the same.
    """
    for file in (question.base, question.tuned):
        weights.require(file)
    python = _environment(question, talk).python
    with tempfile.TemporaryDirectory(prefix="kohya-presets-rank-") as work:
        out, log = Path(work) / "rank.json", Path(work) / "rank.log"
        with progress.shown("rank", talk.console) as on_line:
            done = launch.run(_launch(question, python, out, log), on_line=on_line)
        if done.returncode == UNUSABLE and done.tail:
            raise UserError(escape.controls(done.tail[-1]))  # names a tensor of the file
        if done.returncode or not out.is_file():
            said = "".join(f"\n  | {escape.controls(line)}" for line in done.tail[-12:])
            raise TrainerError(f"measuring the ranks failed with exit code {done.returncode}{said}")
        return curve.of(json.loads(out.read_text(encoding="utf-8")))


def _environment(question: Question, talk: Talk) -> Environment:
    """Return any Python that has torch: the checkout only helps to find one."""
    if question.python is not None:
        return environment.named(question.python)
    found = trainer.checkout_for(question.release, question.checkout, talk)
    return trainer.environment_for(found, None, talk)


def _launch(question: Question, python: Path, out: Path, log: Path) -> Launch:
    words = (
        *(str(python), str(SCRIPT), "--out", str(out)),
        *("--base", str(question.base.absolute()), "--tuned", str(question.tuned.absolute())),
        *(("--convolutions",) if question.convolutions else ()),
        *(("--round_base",) if question.round_base else ()),
    )
    return Launch(words, out.parent, log, {"PYTHONUTF8": "1", "PYTHONPATH": str(PATCHES)})
