"""What a plan follows from, beside the preset: written down in the run, and read for its next plan.

The same inputs give the same plan, today and after a crash: that is how a run can be continued
without executing a command because it stands in a file.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from kohya_presets.presets.preset import Preset
from kohya_presets.toml import source as toml_source
from kohya_presets.training.spread import ALONE, Spread
from wrapper.planning import job
from wrapper.planning.job import Plan, Site
from wrapper.rehearsal import adapt
from wrapper.rehearsal.adapt import ENV, ROOM, SEED, STANDIN
from wrapper.runs import manifest, proof
from wrapper.runs.manifest import Run, Stage
from wrapper.system.launch import RUN_MARK, Launch

TABLE = "inputs"  # in run.toml


@dataclass(frozen=True)
class Inputs:
    """What a run was planned with."""

    kind: manifest.Kind
    folder: Path
    product: str  # the name of the files that it makes
    scripts: Path
    python: str
    data: Path
    base: Path
    seed: int
    device: str | None = None
    tensorboard: bool = False
    standin: bool = False
    in_work: bool = False
    full_size: bool = False  # a rehearsal whose base model is of true size
    spread: Spread | None = ALONE  # None: a run of an earlier version

    def table(self) -> dict[str, Any]:
        """Return what of it stands nowhere else in run.toml."""
        found = {"seed": self.seed, "device": self.device, "tensorboard": self.tensorboard}
        if self.spread is not None:
            found |= asdict(self.spread)
        if self.full_size:
            found |= {"base": str(self.base), "full_size": True}
        return {key: value for key, value in found.items() if value is not None}


def plan(preset: Preset, inputs: Inputs) -> Plan:
    """Return the whole job of `preset`, as rehearsed where it is a rehearsal."""
    where = Site(
        run_dir=inputs.folder,
        scripts=inputs.scripts,
        python=inputs.python,
        data=inputs.data,
        base=inputs.base,
        device=inputs.device,
        tensorboard=inputs.tensorboard,
        in_work=inputs.in_work,
        spread=inputs.spread,
    )
    if inputs.kind == "train":
        return job.plan(preset, inputs.product, where, seed=inputs.seed)
    observed = inputs.folder / proof.OBSERVED
    front = adapt.in_front(observed, standin=inputs.standin, full_size=inputs.full_size)
    threads = {} if not inputs.full_size else {"OMP_NUM_THREADS": str(os.cpu_count() or 1)}
    where = replace(where, in_front=front, cpu=True, env={**ENV, **threads})
    beside = inputs.base.parent if inputs.full_size else inputs.folder / "miniature"
    extra = {"tokenizer_cache_dir": str(beside / "tokenizers")}
    planned = job.plan(preset, inputs.product, where, seed=inputs.seed, extra=extra)
    if inputs.full_size:
        return planned
    return replace(planned, stages=(_miniature(inputs), *planned.stages))


def rehearsal(
    folder: Path,
    product: str,
    scripts: Path,
    python: str,
    *,
    standin: bool,
    tensorboard: bool,
    full_size: Path | None = None,
    spread: Spread | None = ALONE,
) -> Inputs:
    """Return the inputs of a rehearsal: its images and its base model lie in its own folder.

    `full_size` is the base model of one at true size, which is kept elsewhere.
    """
    return Inputs(
        "rehearsal",
        folder,
        product,
        scripts,
        python,
        folder / "data",
        full_size or _base(folder),
        SEED,
        tensorboard=tensorboard,
        standin=standin,
        full_size=full_size is not None,
        spread=spread,
    )


def of(run: Run) -> Inputs:
    """Return what a run was planned with, from its manifest; also of an earlier version's."""
    train = run.stage("train")
    sources, found = run.facts["sd-scripts"], run.facts.get(TABLE, {})
    scripts, python = Path(str(sources["folder"])), train.launch.argv[0]
    if run.kind == "rehearsal":
        standin, events = bool(sources.get("standin")), bool(found.get("tensorboard"))
        full = Path(str(found["base"])) if found.get("full_size") else None
        made = rehearsal(
            run.folder,
            run.product.stem,
            scripts,
            python,
            standin=standin,
            tensorboard=events,
            full_size=full,
            spread=_spread(found),
        )
        return replace(made, in_work=not train.in_place)
    gpus = run.facts.get("environment", {}).get("gpus")
    config = toml_source.read(run.folder / "config.toml").values
    return Inputs(
        "train",
        run.folder,
        run.name,
        scripts,
        python,
        Path(str(run.facts["data"]["folder"])),
        Path(str(run.facts["base"]["file"])),
        int(found.get("seed", config.get("seed", 0))),
        device=found.get("device", "cuda" if gpus and not found else None),
        tensorboard=bool(found.get("tensorboard")),
        in_work=not train.in_place,
        spread=_spread(found),
    )


def _spread(table: Mapping[str, Any]) -> Spread | None:
    """Return over what a run is spread, from its inputs; None of an earlier version's."""
    if "gpus" not in table:
        return None
    address = table.get("address")
    numbers = {key: int(table[key]) for key in ("gpus", "machines", "rank", "port")}
    return Spread(**numbers, address=None if address is None else str(address))


def _miniature(inputs: Inputs) -> Stage:
    """Return the stage that creates the checkpoint and the tokenizers of the rehearsal."""
    folder, scripts = inputs.folder, inputs.scripts
    maker = STANDIN / "make_checkpoint.py" if inputs.standin else ROOM / "kp_checkpoint.py"
    made = folder / "work" / "miniature" / "base.safetensors"
    argv = (
        inputs.python,
        str(maker),
        f"--out={made}",
        f"--tokenizers={_tokenizers(folder)}",
        f"--seed={SEED}",
    )
    env = {**ENV, "PYTHONPATH": str(scripts), "PYTHONUTF8": "1", RUN_MARK: str(folder)}
    launch = Launch(argv, scripts, folder / "logs" / "miniature.log", env)
    return Stage("miniature", launch, made, _base(folder), "an SDXL checkpoint")


def _base(folder: Path) -> Path:
    """Return the path of a rehearsal's miniature checkpoint."""
    return folder / "miniature" / "base.safetensors"


def _tokenizers(folder: Path) -> Path:
    """Return the folder of a rehearsal's tokenizers."""
    return folder / "miniature" / "tokenizers"
