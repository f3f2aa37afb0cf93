"""Two processes train what one would with the doubled batch, and go on where they were killed."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from kohya_presets.presets.catalogue import Catalogue
from kohya_presets.sdscripts import releases
from patches.resume import kp_states
from tests import tensors
from tests.upstream.test_ema import averaged
from tests.upstream.test_resume import DRAWING, NETWORK, for_lora
from tests.upstream.training import Training, weights
from tests.usually import usually
from tests.wrapper.runs.killing import wait_for
from wrapper.checkouts.checkout import Checkout

pytestmark = [
    pytest.mark.upstream,
    pytest.mark.xdist_group("upstream"),  # they share one home
    pytest.mark.trainer,
    pytest.mark.skipif(os.name != "posix", reason="signals"),
]
PATCHES = ("adacoor", "ema", "fused-step", "resume")
BY_RANK = Path(__file__).with_name("by_rank.py")
USUAL = (
    "--max_train_epochs=4",
    "--save_precision=float",
    "--lr_scheduler=cosine",  # whose length sd-scripts multiplies by the processes
    "--state_every_minutes=999",
)
OF = {
    "a100-ema": ("--learning_rate=1e-4", "--ema_decay=0.9", "--save_every_n_steps=1"),
    "adacoor": (),
}
# Of what training changes, by its norm. A batch of two rounds otherwise than two batches of one.
# Where a gradient is nothing but that rounding, AdamW and AdaCoor divide by its own size, and move
# the weight at will: single weights differ, all together do not. Measured: up to 4.0e-4 with AdamW
# and 7.9e-5 with AdaCoor; 0.24 to 0.41 for a training on what the first process had alone.
NEAR = 2e-3


@dataclass(frozen=True)
class Case:
    """A preset on a release, and how its training is stopped after the step `step`."""

    release: str
    preset: str
    signal: str
    step: int

    def __str__(self) -> str:
        return f"{self.release} {self.preset} {self.signal}"


CASES = (
    Case(releases.DEFAULT, "a100-ema", "SIGKILL", 3),
    Case("v0.10.1", "adacoor", "SIGTERM", 4),
    Case("v0.8.7", "a100-ema", "SIGTERM", 3),
    Case("v0.8.7", "adacoor", "SIGKILL", 5),
)


@pytest.fixture
def training(
    upstream: Callable[[str], Checkout], shipped: Catalogue, tmp_path: Path
) -> Iterator[Callable[[str, str], Training]]:
    runs = tmp_path / "runs ü"

    def prepare(preset: str, release: str) -> Training:
        upstream(release)
        return Training(replace(shipped.load(preset), patches=PATCHES), release, runs)

    yield prepare
    shutil.rmtree(runs, ignore_errors=True)  # gigabytes


def seen(ready: Training, folder: Path) -> list[list[dict[str, Any]]]:
    """Return what each process saw, by rank and step: digests of it."""
    told = ready.script(BY_RANK, "tell", str(folder)).stdout
    return [
        json.loads(line.removeprefix("SAW ")) for line in told.splitlines() if line[:4] == "SAW "
    ]


def far(found: Path, expected: Path, base: Path) -> float:
    """Return how far a model is from another, as a part of what that one's training changed."""
    read, wanted, begun = map(weights, (found, expected, base))
    assert read.keys() == wanted.keys()
    off = sum(((read[name] - wanted[name]) ** 2).sum() for name in wanted)
    change = sum(((wanted[name] - begun[name]) ** 2).sum() for name in wanted)
    assert change
    return float((off / change) ** 0.5)


def stop(ready: Training, case: Case, *options: str) -> Path:
    """Train by two until a state is there; stop both, and their launcher; return the states."""
    started = ready.begin_by_two("disturbed", *options, "--state_every_minutes=1e-9")
    states = ready.folder / "disturbed" / f"{case.preset}-states"

    def is_there() -> bool:
        assert started.poll() is None, (ready.folder / "disturbed.log").read_text("utf-8")
        newest = kp_states.newest(states)
        return newest is not None and int(newest.name[4:]) >= case.step

    wait_for(is_there)
    family = [psutil.Process(started.pid), *psutil.Process(started.pid).children(recursive=True)]
    assert len(family) >= 3
    for process in family:
        process.send_signal(getattr(signal, case.signal))
    started.wait(120)
    psutil.wait_procs(family, timeout=120)
    said = (ready.folder / "disturbed.log").read_text("utf-8")
    assert ("stopped by SIGTERM after step" in said) == (case.signal == "SIGTERM")
    return states


@pytest.mark.parametrize("case", usually([(case,) for case in CASES], [(CASES[0],)]), ids=str)
def test_two_train_as_one_with_the_doubled_batch_and_go_on_where_they_were(
    case: Case, training: Callable[[str, str], Training]
) -> None:
    ready = training(case.preset, case.release)
    options, noted = (*USUAL, *OF[case.preset]), ready.folder / "seen"
    two, _ = ready.run_by_two("two", *options, in_front=(str(BY_RANK), "record", str(noted)))

    # The same weights, gradients, optimizer and average in both, of other images.
    *steps, last = zip(*seen(ready, noted), strict=True)
    assert len(steps) >= 12
    for first, second in (*steps, last):
        shared = [key for key in first if key not in ("latents", "noise", "timesteps")]
        assert [first[key] for key in shared] == [second[key] for key in shared]
    assert sum(first["latents"] != second["latents"] for first, second in steps) > len(steps) / 2
    assert last[0]["optimizer"]
    assert bool(last[0]["average"]) == (case.preset == "a100-ema")

    # The average that is saved is that of the weights.
    final = f"{case.preset}.safetensors"
    if case.preset == "a100-ema":
        raw = sorted(two.glob(f"{case.preset}-non-EMA-step*.safetensors"))
        expected = averaged(weights(ready.base), raw, len(raw))
        for name, value in weights(two / final).items():
            assert abs(value - expected[name]).max() <= 1e-6 * abs(expected[name]).max(), name

    # One process with the doubled batch, the same images and noise.
    dataset = (ready.folder / "dataset.toml").read_text("utf-8")
    doubled = ready.folder / "doubled.toml"
    doubled.write_text(dataset.replace("batch_size = 1", "batch_size = 2"), "utf-8")
    one = ready.run_observed(
        "one",
        *options,
        f"--dataset_config={doubled}",
        in_front=(str(BY_RANK), "replay", str(noted)),
    )
    for file in (each for each in two.glob("*.safetensors") if "-step" not in each.name):
        assert far(file, one / file.name, ready.base) < NEAR, file.name

    # Stopped and continued: the same bit for bit.
    states = stop(ready, case, *options)
    newest = kp_states.newest(states)
    assert newest
    rest, said = ready.run_by_two("disturbed", *options, f"--resume={states}")
    assert f"continuing after step {int(newest.name[4:])} " in said.stdout
    assert "not be exactly" not in said.stdout
    for file in two.glob("*.safetensors"):
        assert tensors.contents(rest / file.name) == tensors.contents(file), file.name


@pytest.mark.every_release
@pytest.mark.parametrize("release", ["v0.8.7", "v0.10.1"])
def test_two_go_on_with_a_lora_as_they_would_have(
    release: str, upstream: Callable[[str], Checkout], shipped: Catalogue, tmp_path: Path
) -> None:
    upstream(release)
    preset = replace(shipped.load("skynet", overrides=DRAWING), patches=("adacoor", "resume"))
    ready = Training(for_lora(preset), release, tmp_path / "runs ü")
    options = ("--max_train_epochs=2", "--learning_rate=1e-4", "--save_precision=float", *NETWORK)
    every = ("--state_every_minutes=1e-9", "--state_keep=99")
    frozen = (str(BY_RANK), "frozen", ".")
    whole, _ = ready.run_by_two("whole", *options, *every, in_front=frozen)
    state = whole / "skynet-states" / "step00000008"  # of 12, in the second epoch
    resume = ("--state_every_minutes=999", f"--resume={state}")
    rest, said = ready.run_by_two("rest", *options, *resume, in_front=frozen)
    assert "continuing after step 8 (epoch 2)" in said.stdout
    assert "not be exactly" not in said.stdout
    final = "skynet.safetensors"
    assert tensors.contents(rest / final) == tensors.contents(whole / final)


@pytest.mark.every_release
@pytest.mark.parametrize("release", ["v0.8.7", "v0.10.1"])
def test_chance_rounds_alike_in_both(
    release: str, training: Callable[[str, str], Training]
) -> None:
    ready = training("adacoor", release)
    noted = ready.folder / "seen"
    half = ("--full_bf16", "--mixed_precision=bf16", "--stochastic_rounding")
    ready.run_by_two("two", *USUAL, *half, in_front=(str(BY_RANK), "record", str(noted)))
    first, second = seen(ready, noted)
    assert [each["weights"] for each in first] == [each["weights"] for each in second]
    assert first[-1]["optimizer"] == second[-1]["optimizer"]
    assert first[0]["weights"] != first[-1]["weights"]


@pytest.mark.every_release
@pytest.mark.parametrize("release", ["v0.8.7", "v0.10.1"])
def test_what_two_cannot_do_is_refused(
    release: str, training: Callable[[str, str], Training]
) -> None:
    ready = training("adacoor", release)
    refused = {
        "does not work with several processes": ("--fused_backward_pass", "--max_grad_norm=0"),
        "stochastic_rounding=True does not work with": (
            *("--optimizer_args", "stochastic_rounding=True"),
        ),
        "--deepspeed cannot be continued exactly": ("--deepspeed",),
        "--enable_ema does not work with --deepspeed": ("--deepspeed", "--enable_ema"),
    }
    if release != "v0.8.7":  # which has none of its own
        refused["would step by its own gradients"] = (
            "--fused_backward_pass",
            "--optimizer_type=Adafactor",
        )
    for words, options in refused.items():
        into, said = ready.run_by_two("refused", *USUAL, *options, check=False)
        assert said.returncode
        assert words in said.stdout + said.stderr, (words, said.stderr[-3000:])
        assert not list(into.glob("*.safetensors"))
