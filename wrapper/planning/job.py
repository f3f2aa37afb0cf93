"""Plan a job: turn a preset and the paths of this machine into one launch for each stage.

Pure: nothing is read and nothing is written. `runner` carries out the plan.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from kohya_presets.files import render
from kohya_presets.presets import preset as preset_files
from kohya_presets.presets.preset import Preset, Table
from kohya_presets.sdscripts import scripts
from wrapper.extraction import tool
from wrapper.rehearsal import adapt
from wrapper.runs.manifest import Stage
from wrapper.system.launch import Launch

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
    env: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Plan:
    """The files a run starts with, by name, and its stages in order."""

    files: Mapping[str, str]
    stages: tuple[Stage, ...]


def plan(preset: Preset, name: str, site: Site, *, seed: int, extra: Table | None = None) -> Plan:
    """Return the whole job of `preset`, whose product is called `name`.

    `seed` is used where the preset has none, so that a repeated stage gives the same result;
    `extra` are training options of this run alone.
    """
    paths = _paths(name, site)
    config = {"seed": preset.train.get("seed", seed), **(extra or {})}
    files = {
        "preset.toml": preset_files.to_toml(preset),
        "config.toml": render.config(preset, paths, extra=config),
        "dataset.toml": render.dataset(preset, paths),
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
    return Plan(files, tuple(stages))


def _paths(name: str, site: Site) -> render.Paths:
    return render.Paths(
        data=site.data,
        base=site.base,
        output=site.run_dir / "work" / "train",
        name=name,
        dataset_config=site.run_dir / "dataset.toml",
    )


def _train(preset: Preset, name: str, site: Site) -> Stage:
    threads = adapt.THREADS if site.cpu else CPU_THREADS
    accelerate = (
        "--num_processes=1",
        "--num_machines=1",
        f"--mixed_precision={preset.train.get('mixed_precision', 'no')}",
        "--dynamo_backend=no",
        f"--num_cpu_threads_per_process={threads}",
        *(("--cpu",) if site.cpu else ()),
    )
    argv = (
        site.python,
        "-m",
        "accelerate.commands.launch",
        *accelerate,
        *site.in_front,
        str(site.scripts / preset.script),
        f"--config_file={site.run_dir / 'config.toml'}",
    )
    makes = scripts.TRAINERS[preset.script].makes
    into = "lora" if makes == scripts.LORA else "model"
    return _stage("train", argv, name, site, into, makes)


def _tool(stage: str, launch: Launch, made: Path, name: str, site: Site, into: str) -> Stage:
    output = site.run_dir / into / f"{name}.safetensors"
    return Stage(stage, launch, made, output, scripts.LORA)


def _tool_site(stage: str, site: Site) -> tool.Site:
    log = site.run_dir / "logs" / f"{stage}.log"
    return tool.Site(
        site.scripts, site.python, site.run_dir, log, site.device, site.in_front, site.env
    )


def _stage(
    stage: str, argv: tuple[str, ...], name: str, site: Site, into: str, expects: str
) -> Stage:
    launch = Launch(
        argv,
        site.scripts,
        site.run_dir / "logs" / f"{stage}.log",
        tool.environ(site.scripts, site.run_dir, site.env),
    )
    output = site.run_dir / into / f"{name}.safetensors"
    return Stage(stage, launch, _made(stage, name, site), output, expects)


def _made(stage: str, name: str, site: Site) -> Path:
    return site.run_dir / "work" / stage / f"{name}.safetensors"
