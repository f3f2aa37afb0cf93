"""Plan one start of sd-scripts' extraction or resizing, as a stage of a run or on its own.

Pure: nothing is read and nothing is written.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from kohya_presets.files import render
from kohya_presets.presets.preset import Table
from kohya_presets.sdscripts.scripts import TOOLS
from wrapper.system.launch import RUN_MARK, Launch

KEEPER = Path(__file__).parent / "kp_keep.py"
UNTIL = "no-more-checkpoints"  # a file in the folder where LoRAs are made


@dataclass(frozen=True)
class Site:
    """Where a tool runs: folders and executables of this machine."""

    scripts: Path  # the folder of sdxl_train.py
    python: str  # of the trainer environment
    mark: Path  # the folder that its process belongs to, as `launch.at_work` finds it
    log: Path
    device: str | None = None  # where the options name none; None: the CPU
    in_front: tuple[str, ...] = ()  # a script that runs the real one
    env: Mapping[str, str] = field(default_factory=dict)


def of_checkpoint(base: Path, tuned: Path, out: Path, options: Table, site: Site) -> Launch:
    """Return how the LoRA `out` is extracted from what `tuned` changed in `base`."""
    models = {"model_org": str(base), "model_tuned": str(tuned)}
    return _tool("extract", models, out, options, site)


def of_lora(lora: Path, out: Path, options: Table, site: Site) -> Launch:
    """Return how a LoRA is resized to the LoRA `out`."""
    return _tool("resize", {"model": str(lora)}, out, options, site)


def while_training(
    jobs: Path, folder: Path, pattern: str, into: Path, chain: Sequence[Sequence[str]], site: Site
) -> tuple[str, Launch]:
    """Return the text of the file `jobs`, and what extracts by it while a training goes on.

    Each file in `folder` whose name is like `pattern` goes through a `chain` of words, each a
    script and its options, with "{in}" and "{out}" for files. The LoRAs are made in `site.mark`.
    On one thread, so that it takes one core at most from the training.
    """
    told = {
        "folder": str(folder),
        "pattern": pattern,
        "into": str(into),
        "made": str(site.mark),
        "until": str(site.mark / UNTIL),
        "scripts": [list(words) for words in chain],
    }
    argv = (site.python, *site.in_front, str(KEEPER), str(jobs))
    env = environ(site.scripts, site.mark, {"OMP_NUM_THREADS": "1", **site.env})
    return json.dumps(told, indent=1, ensure_ascii=False) + "\n", Launch(
        argv, site.scripts, site.log, env
    )


def checkpoints_of(name: str) -> str:
    """Return how the names of a model's checkpoints look, by epoch or step; EMA's twins too."""
    return re.escape(name) + r"(-.*)?-(step)?\d+\.safetensors"


def words(stage: str, base: Path, options: Table, site: Site) -> tuple[str, ...]:
    """Return the script of a stage and its options, with "{in}" and "{out}" for its files.

    It works on the CPU: the GPU is training.
    """
    models = {"model_org": str(base), "model_tuned": "{in}"}
    models = models if stage == "extract" else {"model": "{in}"}
    options = {key: value for key, value in options.items() if key != "device"}
    made = render.arguments({**models, **options, "save_to": "{out}"})
    return (str(site.scripts / TOOLS[stage]), *made)


def environ(scripts: Path, mark: Path, more: Mapping[str, str]) -> dict[str, str]:
    """Return the environment variables for every script of sd-scripts."""
    return {
        "PYTHONPATH": str(scripts),  # in place of `pip install -e .`
        "PYTHONUNBUFFERED": "1",
        "PYTHONUTF8": "1",
        "PYTHONIOENCODING": "utf-8",
        "COLUMNS": "160",  # sd-scripts wraps its log at this width
        RUN_MARK: str(mark),
        **more,
    }


def _tool(name: str, models: Table, out: Path, options: Table, site: Site) -> Launch:
    device = {} if site.device is None or "device" in options else {"device": site.device}
    words = render.arguments({**models, **options, **device, "save_to": str(out)})
    argv = (site.python, *site.in_front, str(site.scripts / TOOLS[name]), *words)
    return Launch(argv, site.scripts, site.log, environ(site.scripts, site.mark, site.env))
