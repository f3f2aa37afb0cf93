"""The average that the real script saves is the one of the weights it had at each step."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from kohya_presets.presets.catalogue import Catalogue
from tests import tensors
from tests.upstream.training import Training, weights
from wrapper.checkouts import checkout, patchwork
from wrapper.checkouts.checkout import Checkout

RELEASES = ("v0.10.1", "v0.7.1", "v0.8.8", "v0.9.1", "v0.11.1")
NAME = "a100-ema"
DECAY, BETA = 0.9, 15.0
EVERY_STEP = (
    "--save_every_n_steps=1",
    "--save_precision=float",
    "--learning_rate=1e-4",
    f"--ema_decay={DECAY}",
)

pytestmark = [
    pytest.mark.upstream,
    pytest.mark.xdist_group("upstream"),  # they share one home
    pytest.mark.trainer,
    pytest.mark.every_release,
]


@pytest.fixture(params=RELEASES)
def training(
    request: pytest.FixtureRequest,
    upstream: Callable[[str], Checkout],
    shipped: Catalogue,
    tmp_path: Path,
) -> Iterator[Training]:
    upstream(request.param)
    ready = Training(shipped.load(NAME), request.param, tmp_path / "runs ü")
    yield ready
    shutil.rmtree(ready.folder)  # gigabytes


def decay_at(step: int, steps: int) -> float:
    """The formula of sd-scripts' pull request 893, written again."""
    e = 2.718281828459045
    return min(DECAY, DECAY * (1 - e ** (-BETA * step / steps)))


def averaged(begin: dict[str, Any], raw: Sequence[Path], steps: int, first: int = 1) -> Any:
    average = dict(begin)
    for number, file in enumerate(raw, start=first):
        decay = decay_at(number, steps)
        current = weights(file)
        average = {n: decay * average[n] + (1 - decay) * value for n, value in current.items()}
    return average


def raw_at(folder: Path, step: int) -> Path:
    return folder / f"{NAME}-non-EMA-step{step:08d}.safetensors"


def at(folder: Path, step: int) -> Path:
    return folder / f"{NAME}-step{step:08d}.safetensors"


def assert_same(found: Path, expected: dict[str, Any]) -> None:
    """Assert that each tensor is the same within 1e-6 of its largest element."""
    read = weights(found)
    assert read.keys() == expected.keys()
    for name, wanted in expected.items():
        off = abs(read[name] - wanted).max()
        assert off <= 1e-6 * abs(wanted).max(), (name, off)


def moved(folder: Path, steps: int) -> float:
    """Return the largest difference between raw and averaged weights."""
    raw, own = weights(raw_at(folder, steps)), weights(at(folder, steps))
    return float(max(abs(raw[name] - own[name]).max() for name in raw))


@pytest.mark.parametrize("accumulation", [3, 1])
def test_the_saved_average_is_the_average_of_the_raw_weights(
    accumulation: int, training: Training
) -> None:
    options = (*EVERY_STEP, f"--gradient_accumulation_steps={accumulation}", "--save_state")
    folder, _ = training.run("whole", *options)
    steps = sum(1 for _ in folder.glob(f"{NAME}-step*.safetensors"))
    assert steps >= 12
    raw = [raw_at(folder, step) for step in range(1, steps + 1)]
    for last in (1, steps // 2, steps):
        expected = averaged(weights(training.base), raw[:last], steps)
        assert_same(at(folder, last), expected)
    assert moved(folder, steps) > 1e-5
    assert_same(folder / f"{NAME}.safetensors", expected)
    assert tensors.contents(folder / f"{NAME}-non-EMA.safetensors") == tensors.contents(raw[-1])

    middle = steps // 2
    state = folder / f"{NAME}-step{middle:08d}-state"
    header = (state / "ema.safetensors").read_bytes()
    size = int.from_bytes(header[:8], "little")
    assert json.loads(header[8 : 8 + size])["__metadata__"] == {"steps": str(middle)}
    resumed, _ = training.run("resumed", *options, f"--resume={state}")
    raw = [raw_at(resumed, step) for step in range(1, 4)]
    expected = averaged(weights(at(folder, middle)), raw, steps, first=middle + 1)
    assert_same(at(resumed, 3), expected)


def test_without_ema_a_patched_trainer_is_the_unpatched_one(training: Training) -> None:
    on, _ = training.run("on", "--save_precision=float")
    config = training.folder / "config.toml"
    text = config.read_text("utf-8")
    without = [x for x in text.splitlines(True) if not x.startswith(("enable_ema", "ema_"))]
    config.write_text("".join(without), "utf-8")
    off, _ = training.run("off", "--save_precision=float", "--save_state")
    copy = checkout.open_folder(training.scripts)
    assert copy.place
    scripts = checkout.recorded(copy.place).scripts
    assert not patchwork.carried(checkout.open_folder(scripts))
    bare, _ = training.run("bare", "--save_precision=float", scripts=scripts)
    unpatched = tensors.contents(bare / f"{NAME}.safetensors")
    assert tensors.contents(off / f"{NAME}.safetensors") == unpatched
    assert tensors.contents(on / f"{NAME}-non-EMA.safetensors") == unpatched
    assert tensors.contents(on / f"{NAME}.safetensors") != unpatched

    # A state without an average resumes with one, which begins at the resumed weights.
    state = next(off.glob("*-state"))
    assert not (state / "ema.safetensors").exists()
    config.write_text(text, "utf-8")
    again, said = training.run("again", *EVERY_STEP, f"--resume={state}")
    # rich, where the release logs with it, breaks lines, and says whose they are.
    assert "kp_ema.py" in said.stderr or "has no average" in said.stderr
    begin = weights(off / f"{NAME}.safetensors")
    steps = sum(1 for _ in again.glob(f"{NAME}-step*.safetensors"))
    assert_same(at(again, 1), averaged(begin, [raw_at(again, 1)], steps))


def test_raw_weights_go_with_their_twins(training: Training) -> None:
    options = (*EVERY_STEP, "--save_last_n_steps=2")
    folder, _ = training.run("few", *options)
    kept = sorted(file.name for file in folder.glob("*-step*.safetensors"))
    averages = [name for name in kept if "-non-EMA-" not in name]
    assert len(averages) < 12
    assert [name.replace(NAME, f"{NAME}-non-EMA") for name in averages] == [
        name for name in kept if "-non-EMA-" in name
    ]
    alone, _ = training.run("alone", "--ema_save_only_ema_weights")
    assert [file.name for file in alone.glob("*.safetensors")] == [f"{NAME}.safetensors"]


def test_impossible_options_stop_before_the_first_step(training: Training) -> None:
    for option, said in (
        ("--ema_decay=1", "--ema_decay must be"),
        ("--ema_update_every=0", "--ema_update_every must be"),
    ):
        _, result = training.run("wrong", option, check=False)
        assert result.returncode
        assert said in result.stderr
