"""Killed anywhere and continued, the real script makes the weights that it makes without a kill."""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import psutil
import pytest

from kohya_presets.presets.catalogue import Catalogue
from kohya_presets.presets.preset import Preset
from kohya_presets.sdscripts import releases
from patches import registry
from patches.resume import kp_states
from tests import tensors
from tests.upstream.training import Training
from tests.wrapper.runs.killing import wait_for
from wrapper.checkouts import patchwork
from wrapper.checkouts.checkout import Checkout
from wrapper.system import rewrite

pytestmark = [
    pytest.mark.upstream,
    pytest.mark.xdist_group("upstream"),  # they share one home
    pytest.mark.trainer,
    pytest.mark.skipif(os.name != "posix", reason="signals"),
]
STATES = "--state_every_minutes=0.02"
MODEL, LORA = "sdxl_train.py", "sdxl_train_network.py"
PATCHES = {MODEL: ("ema", "adacoor", "resume"), LORA: ("adacoor", "resume")}
# Everything that draws: crops (the preset's), captions left out, and their order.
DRAWING = (
    "dataset.num_repeats=2",
    "dataset.caption_dropout_rate=0.2",
    "dataset.shuffle_caption=true",
)
USUAL = (
    "--max_train_epochs=4",
    "--learning_rate=1e-4",
    "--save_precision=float",
    "--save_every_n_epochs=2",
)
COSINE = "--lr_scheduler=cosine"
WORKERS = "--max_data_loader_n_workers=2"
TWO = "--gradient_accumulation_steps=2"
EMA = ("--enable_ema", "--ema_decay=0.9")
ADACOOR = ("--optimizer_type=AdaCoor", "--learning_rate=1")


# What else draws or keeps numbers in the LoRA script, and what only releases from v0.9.2 on have.
NETWORK = ("--network_dropout=0.3", "--scale_weight_norms=1")
VALIDATING = ("--validation_split=0.3", "--validate_every_n_steps=5", "--max_validation_steps=2")


@dataclass(frozen=True)
class Case:
    """A training of 48 steps (24 with accumulation), and after which of them it is killed."""

    release: str
    options: tuple[str, ...]
    kills: tuple[tuple[str, int], ...]
    script: str = MODEL

    def __str__(self) -> str:
        options = " ".join(option.removeprefix("--") for option in self.options)
        return f"{self.script} {self.release} {options} {self.kills}"


KILL, TERM = "SIGKILL", "SIGTERM"
CASES = (
    Case(releases.DEFAULT, (COSINE,), ((KILL, 28),)),
    Case("v0.10.1", (WORKERS, TWO, *EMA, *ADACOOR), ((TERM, 7), (KILL, 14))),
    Case("v0.10.1", ("--save_every_n_steps=10", *EMA), ((KILL, 8), (KILL, 20), (TERM, 38))),
    Case("v0.8.7", (COSINE,), ((KILL, 40),)),
    Case("v0.8.7", (WORKERS, TWO, *ADACOOR), ((TERM, 15),)),
    Case("v0.8.7", (*EMA, TWO), ((KILL, 10), (TERM, 16))),
    Case("v0.9.1", (COSINE, *EMA), ((KILL, 30),)),
    Case("v0.9.1", (WORKERS, *ADACOOR), ((TERM, 18),)),
    Case("v0.11.1", (TWO, COSINE, *EMA), ((TERM, 15),)),
    Case("v0.11.1", (WORKERS, COSINE), ((KILL, 27),)),
    Case("v0.10.1", (COSINE, *NETWORK), ((KILL, 28),), LORA),
    Case("v0.10.1", (WORKERS, TWO, *ADACOOR, *NETWORK), ((TERM, 7), (KILL, 14)), LORA),
    Case("v0.10.1", ("--save_every_n_steps=10", *VALIDATING), ((KILL, 9), (TERM, 22)), LORA),
    Case("v0.8.7", (COSINE, *NETWORK), ((KILL, 20), (TERM, 36)), LORA),
    Case("v0.8.7", (WORKERS, TWO), ((TERM, 9), (KILL, 15)), LORA),
    Case("v0.9.1", (COSINE, TWO), ((KILL, 8), (TERM, 17)), LORA),
    Case("v0.9.1", (WORKERS, *NETWORK), ((TERM, 18), (KILL, 30)), LORA),
    Case("v0.11.1", (COSINE, *NETWORK, *VALIDATING, TWO), ((TERM, 7), (KILL, 13)), LORA),
    Case("v0.11.1", (WORKERS, *VALIDATING), ((KILL, 13), (TERM, 22)), LORA),
)


@pytest.fixture
def training(
    upstream: Callable[[str], Checkout], shipped: Catalogue, tmp_path: Path
) -> Iterator[Callable[..., Training]]:
    runs = tmp_path / "runs ü"

    def prepare(release: str, script: str = MODEL) -> Training:
        upstream(release)
        preset = replace(shipped.load("skynet", overrides=DRAWING), patches=PATCHES[script])
        return Training(for_lora(preset) if script == LORA else preset, release, runs)

    yield prepare
    shutil.rmtree(runs, ignore_errors=True)  # gigabytes


def for_lora(preset: Preset) -> Preset:
    """Return a preset of LORA with the settings of one of MODEL, as far as it has them."""
    network = {"network_module": "networks.lora", "network_dim": 8, "network_alpha": 4}
    train = {**preset.train, **network}
    del train["train_text_encoder"]
    return replace(preset, script=LORA, train=train, extract=None, resize=None)


def logged(training: Training, folder: Path) -> dict[str, dict[int, float]]:
    """Return the rates and losses in a training's log, by step."""
    said = training.script(Path(__file__).parent / "logged.py", str(folder)).stdout
    found = json.loads(said.split("LOGGED ")[1])
    return {tag: dict(series) for tag, series in found.items()}


def weights(folder: Path) -> dict[str, dict[str, bytes]]:
    """Return every model in a folder, by its file's name."""
    return {file.name: tensors.contents(file) for file in folder.glob("*.safetensors")}


def trainer_in(started: psutil.Popen) -> psutil.Process:
    """Return the process that trains: the first child of accelerate's launcher."""
    wait_for(lambda: bool(psutil.Process(started.pid).children()))  # a state may be there already
    return psutil.Process(started.pid).children()[0]


def lives(process: psutil.Process) -> bool:
    """Return whether a process goes on: not ended, whether or not somebody has noticed it."""
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def disturb(training: Training, name: str, step: int, *options: str) -> None:
    """Train until a state of `step` or later is there, and a little longer; then send a signal."""
    started = training.begin("disturbed", *options)
    states = training.folder / "disturbed" / "skynet-states"

    def is_there() -> bool:
        assert started.poll() is None, (training.folder / "disturbed.log").read_text("utf-8")
        newest = kp_states.newest(states)
        return newest is not None and int(newest.name[4:]) >= step

    wait_for(is_there)
    time.sleep(random.uniform(0, 1.5))  # anywhere, in the writing of a state as well
    family = [trainer_in(started), *trainer_in(started).children(recursive=True)]
    for process in family if name == TERM else [psutil.Process(started.pid), *family]:
        process.send_signal(getattr(signal, name))  # as a machine does that goes away: to all
    started.wait(60)
    wait_for(lambda: not any(map(lives, family)))
    if name == TERM:
        said = (training.folder / "disturbed.log").read_text("utf-8")
        assert "stopped by SIGTERM after step" in said
        assert "returned non-zero exit status 85" in said


@pytest.mark.every_release
@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_weights_are_those_without_a_kill(
    case: Case, training: Callable[..., Training]
) -> None:
    ready = training(case.release, case.script)
    options = (*USUAL, *case.options)
    log_option = f"--logging_dir={ready.folder / 'log'}"
    undisturbed, _ = ready.run("undisturbed", *options, "--state_every_minutes=999", log_option)
    expected, log = weights(undisturbed), logged(ready, ready.folder / "log")

    into, states = ready.folder / "disturbed", ready.folder / "disturbed" / "skynet-states"
    resume: tuple[str, ...] = ()
    for name, step in case.kills:
        disturb(ready, name, step, *options, STATES, *resume)
        resume = (f"--resume={states}",)
    newest = kp_states.newest(states)
    assert newest
    last = kp_states.read(newest)
    assert last
    log_option = f"--logging_dir={ready.folder / 'log of the rest'}"
    _, said = ready.run("disturbed", *options, STATES, *resume, log_option)

    assert f"continuing after step {last['step']} (epoch {last['epoch']})" in said.stdout
    assert "not be exactly" not in said.stdout
    found = weights(into)
    assert found.keys() == expected.keys()
    differ = {n: sum(found[n][t] != expected[n][t] for t in expected[n]) for n in expected}
    assert differ == dict.fromkeys(expected, 0)
    rest = logged(ready, ready.folder / "log of the rest")
    for tag, series in log.items():
        epochs = tag.startswith(("loss/epoch", "loss/validation/epoch"))
        after = last["epoch"] - 1 if epochs else last["step"]
        after += tag.startswith("lr/d*lr")  # AdaCoor measures from a process's second step on
        # Of a step that is not complete, what has been accumulated is logged under the one before.
        assert rest[tag].items() <= series.items(), tag
        assert rest[tag].keys() >= {step for step in series if step > after}, tag
    assert not list(states.glob("*.part"))


def test_a_lora_goes_on_from_a_state_in_the_middle_of_an_epoch(
    training: Callable[..., Training],
) -> None:
    ready = training(releases.DEFAULT, LORA)
    options = (*USUAL, COSINE, *NETWORK, "--max_train_epochs=2")
    every = ("--state_every_minutes=1e-9", "--state_keep=99")
    whole, _ = ready.run("whole", *options, *every)
    state = whole / "skynet-states" / "step00000017"  # of 24
    rest, said = ready.run("rest", *options, "--state_every_minutes=999", f"--resume={state}")
    assert "continuing after step 17 (epoch 2)" in said.stdout
    assert "not be exactly" not in said.stdout
    final = "skynet.safetensors"
    assert weights(rest)[final] == weights(whole)[final]


@pytest.mark.every_release
@pytest.mark.parametrize("release", ["v0.8.7", "v0.10.1"])
def test_two_processes_go_on_as_they_would_have(
    release: str, training: Callable[..., Training]
) -> None:
    ready = training(release)  # not LORA: on CPUs, accelerate refuses its frozen U-Net
    options = (*USUAL, COSINE)
    undisturbed, _ = ready.run_by_two("undisturbed", *options, "--state_every_minutes=999")
    every = ("--state_every_minutes=1e-9", "--state_keep=99")
    saving, _ = ready.run_by_two("saving", *options, *every)
    assert weights(saving) == weights(undisturbed)
    state = saving / "skynet-states" / "step00000015"  # of 24, in the third epoch
    assert len(list(state.glob("kp_generators-*.safetensors"))) == 2
    rest, said = ready.run_by_two(
        "rest", *options, "--state_every_minutes=999", f"--resume={state}"
    )
    assert "not be exactly" not in said.stdout
    final = "skynet.safetensors"
    assert weights(rest)[final] == weights(undisturbed)[final]


@contextlib.contextmanager
def unpatched(ready: Training) -> Iterator[None]:
    """Take the patch out of the scripts, and put it in again."""
    found = Checkout(ready.scripts, ready.scripts, "plain", None, "v0.7.0")
    with rewrite.alone(ready.scripts):
        rewrite.carry_out(patchwork.reverting(found, ["resume"]))
        try:
            yield
        finally:
            rewrite.carry_out(patchwork.applying(found, [registry.find("resume")]))


@pytest.mark.every_release
@pytest.mark.parametrize("script", [MODEL, LORA])
@pytest.mark.parametrize("release", ["v0.8.7", "v0.9.1", "v0.10.1", "v0.11.1"])
def test_without_its_options_a_patched_trainer_is_the_unpatched_one(
    release: str, script: str, training: Callable[..., Training]
) -> None:
    ready = training(release, script)
    options = ("--save_precision=float", "--learning_rate=1e-4", "--save_state")
    patched, _ = ready.run("patched", *options, "--save_every_n_steps=7")
    timed, _ = ready.run("timed", *options, "--save_every_n_steps=7", STATES)
    with unpatched(ready):
        bare, _ = ready.run("bare", *options, "--save_every_n_steps=7")
    assert weights(patched) == weights(bare)
    assert weights(timed).keys() == weights(bare).keys()

    # The state that sd-scripts itself saves has our part, and is continued.
    state = patched / "skynet-step00000007-state"
    again, said = ready.run("again", *options, "--save_every_n_steps=70", f"--resume={state}")
    assert "continuing after step 7 (epoch 1)" in said.stdout
    assert "log lines of its run drew random numbers" in said.stdout
    assert weights(again).keys() == {"skynet.safetensors"}
    # One that an unpatched trainer saved goes on from its step, and says what is not the same.
    foreign = bare / "skynet-step00000007-state"
    assert kp_states.read(foreign) is None
    rest, said = ready.run(
        "rest", *options, "--save_every_n_steps=12", STATES, f"--resume={foreign}"
    )
    assert "continuing after step 7 (epoch 1)" in said.stdout
    assert "it will not be exactly the same training: this patch has not saved" in said.stdout
    assert "skynet-step00000012.safetensors" in weights(rest)


@pytest.mark.every_release
@pytest.mark.parametrize("release", ["v0.8.7", "v0.9.1", "v0.10.1", "v0.11.1"])
@pytest.mark.parametrize("skip", [(), ("--skip_until_initial_step",)])
def test_without_its_options_a_patched_lora_script_counts_as_the_unpatched_one(
    release: str, skip: tuple[str, ...], training: Callable[..., Training]
) -> None:
    if skip and release == "v0.8.7":
        pytest.skip("it has no --skip_until_initial_step")
    ready = training(release, LORA)
    options = ("--save_precision=float", "--learning_rate=1e-4", "--max_train_epochs=2")
    with unpatched(ready):
        whole, _ = ready.run("whole", *options, "--save_state", "--save_every_n_steps=7")
        resume = f"--resume={whole / 'skynet-step00000007-state'}"
        bare, said = ready.run("bare", *options, resume, *skip)
    again, said_again = ready.run("again", *options, resume, *skip)
    assert weights(again) == weights(bare)
    assert said_again.stdout.replace(str(again), str(bare)) == said.stdout


@pytest.mark.every_release
def test_impossible_options_stop_before_the_first_step(
    training: Callable[..., Training],
) -> None:
    ready = training(releases.DEFAULT)
    for option, words in (
        ("--state_every_minutes=-1", "--state_every_minutes must be 0 or more"),
        ("--fused_optimizer_groups=4", "--fused_optimizer_groups cannot be continued exactly"),
    ):
        _, result = ready.run("wrong", STATES, "--optimizer_type=Adafactor", option, check=False)
        assert result.returncode
        assert words in result.stderr
