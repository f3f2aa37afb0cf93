"""The runs that were started on this computer: only these may name a Python, scripts and states.

A run's folder can come from anywhere. To continue it executes the Python that it names, and loads
the states in it, which can hold code (accelerate pickles them).
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

from kohya_presets.errors import UserError
from kohya_presets.problems import listed
from kohya_presets.toml import source as toml_source
from wrapper.rehearsal.adapt import STANDIN
from wrapper.runs.kept import states
from wrapper.runs.manifest import Run
from wrapper.system import paths, proc, whole

SAFE = ".safetensors"  # the only form of weights that holds no code
WEIGHTS = ("vae", "network_weights", "base_weights", "ae", "clip_l", "clip_g", "t5xxl")
PICKLED = (".ckpt", ".pt", ".pth", ".bin", ".pkl")


def remember(run: Run) -> None:
    """Write down that a run was started here, with what it executes."""
    file = _file(run)
    if file is None:
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    whole.put({file: (json.dumps(_executes(run), indent=1) + "\n").encode("utf-8")})


def require(run: Run) -> None:
    """Check that a run was started here, or could not execute a thing of somebody else's.

    Raises:
        UserError: with what it would execute.
    """
    try:
        file = _file(run)
        known = json.loads(file.read_text(encoding="utf-8")) if file else None
    except (OSError, ValueError):
        known = None
    if known:
        foreign = [x for x in _foreign_programs(run) if x not in known.values()]
    else:
        foreign = [*_foreign_programs(run), *_pickles(run)]
    if not foreign:
        return
    resume = proc.our_line("resume", run.folder, "--trust")
    raise UserError(
        f"the run in {run.folder} was not started on this computer, and would execute or load "
        f"what can hold code: {listed(foreign)}",
        hint=f"If you trust where it comes from, run `{resume}`.",
    )


def _executes(run: Run) -> dict[str, str]:
    train = run.stage("train")
    return {"python": train.launch.argv[0], "scripts": str(train.launch.cwd)}


def _foreign_programs(run: Run) -> Iterator[str]:
    for word in _executes(run).values():
        at = Path(os.path.normpath(word))
        if not any(at.is_relative_to(ours) for ours in (paths.home(), STANDIN)):
            yield word


def _pickles(run: Run) -> Iterator[str]:
    """Yield what training would load that can hold code."""
    if states.whole(run.folder):
        yield f"its states in {states.FOLDER}/"
    base = str(run.facts.get("base", {}).get("file", SAFE))
    for name in ("model", "lora", "states", "samples", "logs", "work"):
        if (run.folder / name).is_symlink():
            yield f"{name}/, which leads out of the run"
    if not base.lower().endswith(SAFE):
        yield f"the base model {base}"
    config = toml_source.read(run.folder / "config.toml").values
    for key, value in config.items():
        if isinstance(value, str) and _holds_code(key, value):
            yield f"{key} = {value}"


def _holds_code(key: str, value: str) -> bool:
    weights = key in WEIGHTS and not value.lower().endswith(SAFE)
    return bool(value) and (weights or value.lower().endswith(PICKLED) or key == "resume")


def _file(run: Run) -> Path | None:
    """Return where a run is written down; None for one without an id of ours."""
    return paths.home() / "runs" / f"{run.id}.json" if is_id(run.id) else None


def is_id(text: str) -> bool:
    """Return whether this is an id as runs get it."""
    return re.fullmatch(r"[0-9a-f]{32}", text) is not None
