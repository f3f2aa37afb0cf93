"""Measure, in the trainer's Python, what each rank would keep of a fine-tuning."""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path

from kohya_presets.errors import TrainerError, UserError
from kohya_presets.loras import curve, weights
from kohya_presets.loras.curve import Curve
from patches import registry
from wrapper.environments import environment
from wrapper.environments.environment import Environment
from wrapper.runs import trainer
from wrapper.screen import progress
from wrapper.screen.talk import Talk
from wrapper.system import launch
from wrapper.system.launch import Launch

SCRIPT = Path(__file__).parent / "kp_rank.py"
MODULES = registry.SHIPPED / "fast-lora"
UNUSABLE = 3  # the script's exit code when a checkpoint is unusable: its last line says why


@dataclass(frozen=True)
class Request:
    """Which models, and which sd-scripts' environment to measure them in."""

    base: Path
    tuned: Path
    convolutions: bool
    release: str
    checkout: Path | None
    python: str | None


def measure(request: Request, talk: Talk) -> Curve:
    """Return the curve: some minutes on a CPU, one pass over both files.

    Raises:
        UserError: a file is not a usable SDXL checkpoint, or both are the same.
    """
    for file in (request.base, request.tuned):
        weights.require(file)
    python = _environment(request, talk).python
    with tempfile.TemporaryDirectory(prefix="kohya-presets-rank-") as work:
        out, log = Path(work) / "rank.json", Path(work) / "rank.log"
        with progress.shown("rank", talk.console) as on_line:
            done = launch.run(_launch(request, python, out, log), on_line=on_line)
        if done.returncode == UNUSABLE and done.tail:
            raise UserError(done.tail[-1])
        if done.returncode or not out.is_file():
            said = "".join(f"\n  | {line}" for line in done.tail[-12:])
            raise TrainerError(f"measuring the ranks failed with exit code {done.returncode}{said}")
        return curve.of(json.loads(out.read_text(encoding="utf-8")))


def _environment(request: Request, talk: Talk) -> Environment:
    """Return any Python that has torch: the checkout only helps to find one."""
    if request.python is not None:
        return environment.named(request.python)
    found = trainer.checkout_for(request.release, request.checkout, talk)
    return trainer.environment_for(found, None, talk)


def _launch(request: Request, python: Path, out: Path, log: Path) -> Launch:
    words = (
        *(str(python), str(SCRIPT), "--modules", str(MODULES), "--out", str(out)),
        *("--base", str(request.base.absolute()), "--tuned", str(request.tuned.absolute())),
        *(("--convolutions",) if request.convolutions else ()),
    )
    return Launch(words, out.parent, log, {"PYTHONUTF8": "1"})
