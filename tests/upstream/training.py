"""The train stage of a rehearsal with the real scripts, once more and otherwise."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil

from kohya_presets.files import render
from kohya_presets.presets.preset import Preset, Table
from kohya_presets.toml import text as toml_text
from wrapper.planning import prepare_rehearsal
from wrapper.planning.request import Request
from wrapper.runs import sources
from wrapper.runs.manifest import Stage
from wrapper.screen.talk import Talk
from wrapper.system import proc
from wrapper.system.proc import Result

ON_CPUS = {"ACCELERATE_USE_CPU": "true"}
OF_RUNS = ("state_every_minutes", "state_dir", "log_with", "logging_dir")


class Training:
    """A rehearsal's files, and its training run as often as a test wants, each into a folder."""

    def __init__(self, preset: Preset, release: str, runs: Path) -> None:
        request = Request(preset, f"rehearsal-{preset.name}", runs, release)
        ready = prepare_rehearsal.ready(request, Talk())
        self.folder = ready.run.folder
        self._leave_to_the_test(self.folder / "config.toml")
        miniature, self._train, *tools = ready.run.stages
        self._tools = {stage.name: stage for stage in tools}
        self._start(miniature)
        self.base = miniature.makes.replace(miniature.output)

    @staticmethod
    def _leave_to_the_test(config: Path) -> None:
        """Take out what a run sets of its own accord: its states, and TensorBoard's events."""
        lines = config.read_text("utf-8").splitlines(keepends=True)
        kept = [line for line in lines if line.split(" = ")[0] not in OF_RUNS]
        config.write_text("".join(kept), "utf-8", newline="\n")

    @property
    def scripts(self) -> Path:
        """Where the scripts lie."""
        return self._train.launch.cwd

    def run(
        self, name: str, *options: str, scripts: Path | None = None, check: bool = True
    ) -> tuple[Path, Result]:
        """Train into the folder `name`, maybe with other scripts; return it and what was said."""
        into = self.folder / name
        stage = self._train
        if scripts:
            stage = replace(stage, launch=sources.moved(stage.launch, self.scripts, scripts))
        return into, self._start(stage, *options, f"--output_dir={into}", check=check)

    def begin(self, name: str, *options: str) -> psutil.Popen:
        """Begin to train into the folder `name`; what is said goes into `name`.log beside it."""
        launch, into = self._train.launch, self.folder / name
        into.mkdir(exist_ok=True)
        with (self.folder / f"{name}.log").open("ab") as said:
            argv = (*launch.argv, *options, f"--output_dir={into}")
            env = {**os.environ, **launch.env}
            return psutil.Popen(argv, cwd=launch.cwd, env=env, stdout=said, stderr=said)

    def run_by_two(
        self, name: str, *options: str, in_front: tuple[str, ...] = (), check: bool = True
    ) -> tuple[Path, Result]:
        """Train with two processes, which gloo connects, into the folder `name`.

        `in_front` is a script, and its arguments, that runs the real one.
        """
        argv = self._by_two(in_front)
        into, env = self.folder / name, {**self._train.launch.env, **ON_CPUS}
        words = (*argv, *options, f"--output_dir={into}")
        return into, proc.run(words, cwd=self.scripts, env=env, check=check)

    def begin_by_two(self, name: str, *options: str) -> psutil.Popen:
        """Begin to train with two processes into the folder `name`, as `begin` does with one."""
        launch, into = self._train.launch, self.folder / name
        into.mkdir(exist_ok=True)
        with (self.folder / f"{name}.log").open("ab") as said:
            argv = (*self._by_two(()), *options, f"--output_dir={into}")
            env = {**os.environ, **launch.env, **ON_CPUS}
            return psutil.Popen(argv, cwd=launch.cwd, env=env, stdout=said, stderr=said)

    def run_observed(self, name: str, *options: str, in_front: tuple[str, ...]) -> Path:
        """Train by one process into the folder `name`, by a script that runs the real one."""
        launch, into = self._train.launch, self.folder / name
        at = self._at_scripts()
        words = (*launch.argv[:at], *in_front, *launch.argv[at:], *options, f"--output_dir={into}")
        proc.run(words, cwd=launch.cwd, env=launch.env)
        return into

    def _by_two(self, in_front: tuple[str, ...]) -> tuple[str, ...]:
        """Return how accelerate's launcher starts two processes.

        With --cpu it would start one. Without, and without a GPU, they run on the CPU.
        """
        argv = self._train.launch.argv
        together = ("--multi_gpu", "--num_processes=2", "--num_machines=1", "--mixed_precision=no")
        as_ever = ("--dynamo_backend=no", "--num_cpu_threads_per_process=1")
        launcher = ("-m", "accelerate.commands.launch", *together, *as_ever)
        return (argv[0], *launcher, *in_front, *argv[self._at_scripts() :])

    def _at_scripts(self) -> int:
        """Return the place of the first script, after the launcher's words."""
        return next(i for i, w in enumerate(self._train.launch.argv) if w.endswith(".py"))

    def run_as(
        self,
        preset: Preset,
        name: str,
        change: Table | None = None,
        script: str = "sdxl_train.py",
    ) -> Result:
        """Train with a preset as it is, its files in the folder `name`; return what was said.

        `change` are training options to set, or to leave out where they are None.
        """
        into = self.folder / name
        into.mkdir()
        paths = render.Paths(
            self.folder / "data", self.base, into, preset.name, into / "dataset.toml"
        )
        tokenizers = {"tokenizer_cache_dir": str(self.base.parent / "tokenizers")}
        config = render.config(preset, paths, extra=tokenizers)
        lines = [x for x in config.splitlines() if x.split(" = ")[0] not in (change or {})]
        added = {key: value for key, value in (change or {}).items() if value is not None}
        config = "\n".join((*lines, toml_text.table(added)))
        (into / "config.toml").write_text(config, "utf-8")
        (into / "dataset.toml").write_text(render.dataset(preset, paths), "utf-8")
        option = f"--config_file={into / 'config.toml'}"  # the last one counts
        words = (word.replace("sdxl_train.py", script) for word in self._train.launch.argv)
        launch = replace(self._train.launch, argv=tuple(words))
        return self._start(replace(self._train, launch=launch), option, check=False)

    def tool(self, name: str, scripts: Path, *options: str) -> Result:
        """Run extract or resize with the scripts in another folder; return what was said."""
        launch = sources.moved(self._tools[name].launch, self.scripts, scripts)
        return proc.run((*launch.argv, *options), cwd=scripts, env=launch.env)

    def refused(self, name: str, options: Table) -> Result:
        """Run extract or resize with options changed, or left out where they are None."""
        launch = self._tools[name].launch
        kept = [w for w in launch.argv if w.partition("=")[0] not in options]
        added = [
            f"{key}={value}" if value else key
            for key, value in options.items()
            if value is not None
        ]
        return proc.run((*kept, *added), cwd=launch.cwd, env=launch.env, check=False)

    def script(self, file: Path, *arguments: str) -> Result:
        """Run a script of the test with the trainer's Python, on the miniature."""
        launch = self._train.launch
        at = next(i for i, word in enumerate(launch.argv) if word.startswith(str(self.scripts)))
        options = [i for i, word in enumerate(launch.argv[:at]) if word.startswith("--")]
        in_front = launch.argv[options[-1] + 1 : at]  # after those of accelerate
        argv = (launch.argv[0], *in_front, str(file), *arguments)
        return proc.run(argv, cwd=launch.cwd, env=launch.env)

    def _start(self, stage: Stage, *options: str, check: bool = True) -> Result:
        stage.makes.parent.mkdir(parents=True, exist_ok=True)
        launch = stage.launch
        return proc.run((*launch.argv, *options), cwd=launch.cwd, env=launch.env, check=check)


def weights(file: Path) -> dict[str, Any]:
    """Return the tensors of a safetensors file, as numpy arrays in double precision."""
    from safetensors.numpy import load_file

    return {name: array.astype("float64") for name, array in load_file(file).items()}
