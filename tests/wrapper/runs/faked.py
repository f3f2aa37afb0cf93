"""Runs of four stages whose every process is the fake trainer, and what was started of them."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.conftest import ROOT
from tests.wrapper.runs.killing import STAGES
from wrapper.runs import runner
from wrapper.runs.manifest import Run, Stage
from wrapper.system.launch import RUN_MARK, Launch, OnLine

PRODUCTS = {  # of each stage: what it makes, where that belongs, what the runner expects
    "miniature": ("model", "miniature/base", "an SDXL checkpoint"),
    "train": ("model", "model/korra", "an SDXL checkpoint"),
    "extract": ("lora", "extracted/korra", "a LoRA"),
    "resize": ("lora", "lora/korra", "a LoRA"),
}


def new(
    folder: Path,
    options: Mapping[str, tuple[str, ...]] | None = None,
    *,
    stages: tuple[str, ...] = STAGES,
    text_encoders: bool = True,
) -> Run:
    """Return a run with its folder made; `options` are the fake trainer's, by stage."""
    made = tuple(_stage(name, folder, (options or {}).get(name, ())) for name in stages)
    run = Run(folder, "rehearsal", "skynet", "korra", made, text_encoders)
    return runner.start(run, {"config.toml": "# as rendered\n"})


def starts(folder: Path) -> Counter[str]:
    """Return how often each stage was started."""
    file = folder / "starts.txt"
    return Counter(file.read_text("utf-8").split() if file.exists() else ())


def hold(folder: Path, stage: str) -> None:
    """Let the stage wait, once it is started, until it is released."""
    (folder / f"hold-{stage}").touch()


def release(folder: Path, stage: str) -> None:
    """Let the stage end."""
    (folder / f"hold-{stage}").unlink(missing_ok=True)


class Heard:
    """A watcher that keeps what it was told; the first stage that it watches it releases."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.said: list[str] = []
        self.finished: list[str] = []
        self.lines: dict[str, list[str]] = {}

    @contextmanager
    def stage(self, name: str, news: Callable[[], str] = lambda: "") -> Iterator[OnLine]:
        """Release the stage, and keep its lines."""
        release(self.folder, name)
        yield self.lines.setdefault(name, []).append
        self.finished.append(name)

    def say(self, text: str) -> None:
        """Keep the line."""
        self.said.append(text)


def _stage(name: str, folder: Path, options: tuple[str, ...]) -> Stage:
    makes, output, expects = PRODUCTS[name]
    file = folder / "work" / name / f"{Path(output).name}.safetensors"
    script = (sys.executable, "-m", "tests.wrapper.runs.fake_trainer", name, str(folder), str(file))
    env = {RUN_MARK: str(folder), "PYTHONPATH": str(ROOT), "PYTHONUTF8": "1"}
    log = folder / "logs" / f"{name}.log"
    launch = Launch((*script, f"--makes={makes}", *options), folder, log, env)
    return Stage(name, launch, file, folder / f"{output}.safetensors", expects)
