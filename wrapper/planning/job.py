"""Plan a job: turn a preset and the paths of this machine into one launch for each stage.

Pure: nothing is read and nothing is written. `runner` carries out the plan.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from kohya_presets.dataset import rendered
from kohya_presets.files import render
from kohya_presets.presets import preset as preset_files
from kohya_presets.presets.preset import Preset, Table
from kohya_presets.sdscripts import scripts
from kohya_presets.training.spread import ALONE, Spread
from wrapper.extraction import tool
from wrapper.planning import launcher
from wrapper.rehearsal import adapt
from wrapper.runs.kept import states
from wrapper.runs.manifest import NOTHING, Stage
from wrapper.system.launch import Launch

KEEP, PROMPTS = "keep.json", "prompts.txt"  # files of a run
SAMPLED = 10  # times in a run
CPU_THREADS = 2  # of accelerate's launcher; the Kohya GUI uses the same


@dataclass(frozen=True)
class Site:
    """Where a job runs: folders and executables of this machine."""

    run_dir: Path
    scripts: Path  # the folder of sdxl_train.py
    python: str  # of the trainer environment
    data: Path
    base: Path
    device: str | None = None  # for extract and resize where the preset names none
    in_front: tuple[str, ...] = ()  # a script that runs the real one, as the rehearsal's does
    cpu: bool = False
    tensorboard: bool = False  # whether the trainer can write its events
    in_work: bool = False  # training writes into work/train first, as in runs of earlier versions
    spread: Spread | None = ALONE  # None: started as by earlier versions, without a config file
    env: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Plan:
    """The files a run starts with, by name, and its stages in order.

    `keeps` extracts the LoRAs of checkpoints while training goes on, where the preset wants that.
    """

    files: Mapping[str, str]
    stages: tuple[Stage, ...]
    keeps: Launch | None = None


def plan(preset: Preset, name: str, site: Site, *, seed: int, extra: Table | None = None) -> Plan:
    """Return the whole job of `preset`, whose product is called `name`.

    `seed` is used where the preset has none, so that a repeated stage gives the same result;
    `extra` are training options of this run alone.
    """
    paths = _paths(preset, name, site)
    config = {
        "seed": preset.train.get("seed", seed),
        **_states(preset, site),
        **_events(preset, site),
        **_samples(preset, site),
        **(extra or {}),
    }
    files = {
        "preset.toml": preset_files.to_toml(preset),
        "config.toml": render.config(preset, paths, extra=config),
        "dataset.toml": rendered.text(preset, paths),
    }
    train = _train(preset, name, site)
    stages = [train]
    if preset.extract is not None:
        last = "lora" if preset.resize is None else "extracted"
        made, used = _made("extract", name, site), _tool_site("extract", site)
        launch = tool.of_checkpoint(site.base, train.output, made, preset.extract, used)
        stages.append(_tool("extract", launch, made, name, site, last))
    if preset.resize is not None and preset.extract is not None:
        made, used = _made("resize", name, site), _tool_site("resize", site)
        launch = tool.of_lora(stages[-1].output, made, preset.resize, used)
        stages.append(_tool("resize", launch, made, name, site, "lora"))
    if site.spread is not None:
        files[launcher.FILE] = launcher.config(site.spread, preset.train)
    if site.spread is not None and not site.spread.leads:  # machine 0 makes the files
        return Plan(files, (train,))
    if preset.prompts:
        files[PROMPTS] = "".join(f"{prompt}\n" for prompt in preset.prompts)
    if preset.keep != "loras" or preset.extract is None:
        return Plan(files, tuple(stages))
    files[KEEP], keeps = _keeps(preset, name, site)
    return Plan(files, tuple(stages), keeps)


def _paths(preset: Preset, name: str, site: Site) -> render.Paths:
    return render.Paths(
        data=site.data,
        base=site.base,
        output=_train_output(preset, name, site)[0].parent,
        name=name,
        dataset_config=site.run_dir / "dataset.toml",
    )


def _train_output(preset: Preset, name: str, site: Site) -> tuple[Path, Path]:
    """Return the file that training writes, and where it belongs: mostly the same.

    What training saves on its way is then in its place at every moment, also after a crash.
    """
    into = "lora" if scripts.makes_lora(preset.script) else "model"
    output = site.run_dir / into / f"{name}.safetensors"
    return (_made("train", name, site) if site.in_work else output), output


def _states(preset: Preset, site: Site) -> Table:
    """Return the options of the patch that saves states by the clock, where the preset has it."""
    if states.PATCH not in preset.patches or not preset.train.get("state_every_minutes"):
        return {}
    return {"state_dir": str(site.run_dir / states.FOLDER)}


def _samples(preset: Preset, site: Site) -> Table:
    """Return the options for pictures on the way: ten times, where nothing says how often."""
    if not preset.prompts:
        return {}
    often = {}
    if not any(preset.train.get(key) for key in ("sample_every_n_epochs", "sample_every_n_steps")):
        epochs = preset.train.get("max_train_epochs") or 0
        steps = preset.train.get("max_train_steps") or 0
        key, length = ("epochs", epochs) if epochs else ("steps", steps)
        often = {f"sample_every_n_{key}": max(1, length // SAMPLED)}
    return {"sample_prompts": str(site.run_dir / PROMPTS), **often}


def _keeps(preset: Preset, name: str, site: Site) -> tuple[str, Launch]:
    """Return what extracts the LoRAs of checkpoints while training goes on, and its file."""
    made = site.run_dir / "work" / "keep"
    log = site.run_dir / "logs" / "keep.log"
    where = tool.Site(site.scripts, site.python, made, log, None, site.in_front, site.env)
    assert preset.extract is not None
    chain = [tool.words("extract", site.base, preset.extract, where)]
    if preset.resize is not None:
        chain.append(tool.words("resize", site.base, preset.resize, where))
    folder, into = site.run_dir / "model", site.run_dir / "lora"
    return tool.while_training(
        site.run_dir / KEEP, folder, tool.checkpoints_of(name), into, chain, where
    )


def _events(preset: Preset, site: Site) -> Table:
    """Return the options for TensorBoard, unless the preset logs elsewhere."""
    if not site.tensorboard or "log_with" in preset.train or "logging_dir" in preset.train:
        return {}
    return {"log_with": "tensorboard", "logging_dir": str(site.run_dir / "logs" / "tensorboard")}


def _train(preset: Preset, name: str, site: Site) -> Stage:
    threads, spread = adapt.THREADS if site.cpu else CPU_THREADS, site.spread
    if spread is None:
        precision = str(preset.train.get("mixed_precision", "no"))
        accelerate = launcher.of_earlier(precision, threads=threads, cpu=site.cpu)
    else:
        file = site.run_dir / launcher.FILE
        accelerate = launcher.words(file, threads=threads, cpu=site.cpu, spread=spread)
        site = replace(site, env={**site.env, **launcher.environ(cpu=site.cpu, spread=spread)})
    argv = (
        site.python,
        "-m",
        "accelerate.commands.launch",
        *accelerate,
        *site.in_front,
        str(site.scripts / preset.script),
        f"--config_file={site.run_dir / 'config.toml'}",
    )
    makes, output = _train_output(preset, name, site)
    leads = spread is None or spread.leads
    expects = scripts.TRAINERS[preset.script].makes if leads else NOTHING
    return Stage("train", _launch("train", argv, site), makes, output, expects)


def _tool(stage: str, launch: Launch, made: Path, name: str, site: Site, into: str) -> Stage:
    output = site.run_dir / into / f"{name}.safetensors"
    return Stage(stage, launch, made, output, scripts.LORA)


def _tool_site(stage: str, site: Site) -> tool.Site:
    log = site.run_dir / "logs" / f"{stage}.log"
    return tool.Site(
        site.scripts, site.python, site.run_dir, log, site.device, site.in_front, site.env
    )


def _launch(stage: str, argv: tuple[str, ...], site: Site) -> Launch:
    log = site.run_dir / "logs" / f"{stage}.log"
    return Launch(argv, site.scripts, log, tool.environ(site.scripts, site.run_dir, site.env))


def _made(stage: str, name: str, site: Site) -> Path:
    return site.run_dir / "work" / stage / f"{name}.safetensors"
