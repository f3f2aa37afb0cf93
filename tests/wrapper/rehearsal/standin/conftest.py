"""Where the stand-in's scripts run: its own checkpoint, a few captioned images, a trained model."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.wrapper.rehearsal.standin.bench import CONFIG, DATASET, Bench
from wrapper.rehearsal import pictures
from wrapper.rehearsal.adapt import STANDIN
from wrapper.system import proc
from wrapper.system.proc import Result


@pytest.fixture(scope="session")
def toy(trainer_python: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the toy's checkpoint, made once by its own script."""
    file = tmp_path_factory.mktemp("toy") / "base.safetensors"
    words = (STANDIN / "make_checkpoint.py", "--out", file, "--tokenizers", file.parent / "tok")
    proc.run((trainer_python, *words), env={"OMP_NUM_THREADS": "1"})
    return file


@pytest.fixture(scope="session")
def new_bench(
    toy: Path, trainer_python: str, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[], Bench]:
    """Return a function that sets up another bench."""

    def make() -> Bench:
        folder = tmp_path_factory.mktemp("Bänke") / "with a space"
        pictures.draw(folder / "images", count=4)
        shutil.copy2(toy, folder)
        (folder / "config.toml").write_text(CONFIG, "utf-8")
        (folder / "dataset.toml").write_text(DATASET, "utf-8")
        return Bench(folder, trainer_python)

    return make


@pytest.fixture
def bench(new_bench: Callable[[], Bench]) -> Bench:
    """Return a bench of the test's own."""
    return new_bench()


@pytest.fixture(scope="session")
def trained(new_bench: Callable[[], Bench]) -> tuple[Bench, Result]:
    """Return a bench that has trained, and what the training said; tests share it."""
    ready = new_bench()
    return ready, ready.launch("--save_every_n_epochs=1")


@pytest.fixture(scope="session")
def extracted(trained: tuple[Bench, Result]) -> Bench:
    """Return the bench with the LoRA of what changed by more than 1e-6; tests share it."""
    bench, _ = trained
    bench.extract("--min_diff=1e-6")
    return bench
