"""A step inside of the backward pass is the step after it, in the real script."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from kohya_presets.presets.catalogue import Catalogue
from kohya_presets.sdscripts import releases
from tests import tensors
from tests.upstream.training import Training
from tests.usually import usually
from wrapper.checkouts.checkout import Checkout

pytestmark = [
    pytest.mark.upstream,
    pytest.mark.xdist_group("upstream"),  # they share one home
    pytest.mark.trainer,
]
RELEASES = ("v0.8.7", "v0.9.1", "v0.10.1", "v0.11.1")
PATCHES = ("adacoor", "ema", "fused-step", "resume")
CHANGED = ("dataset.num_repeats=2",)
STEPS = 24
USUAL = (
    "--max_train_epochs=2",
    "--save_precision=float",
    "--learning_rate_te1=1e-4",
    "--learning_rate_te2=1e-4",
)
FUSED, ROUNDING = "--fused_backward_pass", "--stochastic_rounding"
KAHAN = "--kahan_summation"
UNCLIPPED, CLIPPED_NEVER = "--max_grad_norm=0", "--max_grad_norm=1e9"
EMA, TWO = ("--enable_ema", "--ema_decay=0.9"), "--gradient_accumulation_steps=2"
CHECKPOINTING = "--gradient_checkpointing"
BF16 = ("--full_bf16", "--mixed_precision=bf16")
ADAMW = ("--optimizer_type=AdamW", "--learning_rate=1e-4")
LION = ("--optimizer_type=Lion", "--learning_rate=1e-5", "--optimizer_args", "weight_decay=0.1")
ADACOOR = (
    *("--optimizer_type=AdaCoor", "--learning_rate=1"),
    *("--learning_rate_te1=1", "--learning_rate_te2=0.5"),
)
COMPILED = ("--optimizer_args", "compiled=True")
SAME = tuple(
    (release, *options)
    for release in RELEASES
    for options in (
        (*ADACOOR, UNCLIPPED, TWO, *EMA),
        (*ADAMW, CLIPPED_NEVER, CHECKPOINTING),
        (*ADAMW, UNCLIPPED, *BF16, ROUNDING, *EMA),
        (*LION, UNCLIPPED, *BF16, ROUNDING, CHECKPOINTING),
        (*ADACOOR, UNCLIPPED, *BF16, ROUNDING, TWO),
        (*ADAMW, UNCLIPPED, *BF16, KAHAN),
        (*LION, UNCLIPPED),
        (*ADACOOR, *COMPILED, UNCLIPPED, *BF16, ROUNDING, *EMA),
    )
)
USUAL_CASES = (next(case for case in SAME if case[0] == releases.DEFAULT),)
REFUSED = {
    "fp16": ((*ADAMW, "--mixed_precision=fp16"), "do not work with fp16"),
    "groups": ((*ADAMW, "--fused_optimizer_groups=4"), "--fused_optimizer_groups"),
    "optimizer": (("--optimizer_type=SGDNesterov", "--learning_rate=1e-4"), "torch.optim.sgd.SGD"),
    "both": ((*ADAMW, *BF16, ROUNDING, KAHAN), "are two ways to write the weights"),
    "cautious": (
        ("--optimizer_type=AdamW", ROUNDING, "--optimizer_args", "amsgrad=True"),
        "AdamW's amsgrad=True",
    ),
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Training]]:
    """Miniatures made once for each release."""
    yield (kept := {})
    for one in kept.values():
        shutil.rmtree(one.folder, ignore_errors=True)  # gigabytes


@pytest.fixture
def training(
    made: dict[str, Training],
    upstream: Callable[[str], Checkout],
    shipped: Catalogue,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Callable[[str], Training]]:
    """Return a function that gives a release's training, whose runs go when the test is over."""
    used = []

    def get(release: str) -> Training:
        upstream(release)
        if release not in made:
            preset = replace(shipped.load("skynet", overrides=CHANGED), patches=PATCHES)
            runs = tmp_path_factory.mktemp("fused") / "runs ü"
            made[release] = Training(preset, release, runs)
        used.append((made[release], set(made[release].folder.iterdir())))
        return made[release]

    yield get
    for each, before in used:
        for folder in set(each.folder.iterdir()) - before:
            shutil.rmtree(folder, ignore_errors=True)


def weights(folder: Path) -> dict[str, dict[str, bytes]]:
    """Return every model in a folder, by its file's name."""
    return {file.name: tensors.contents(file) for file in folder.glob("*.safetensors")}


def logged(training: Training, folder: Path) -> dict[str, dict[int, float]]:
    """Return the rates and losses in a training's log, by step."""
    said = training.script(Path(__file__).parent / "logged.py", str(folder)).stdout
    found = json.loads(said.split("LOGGED ")[1])
    return {tag: dict(series) for tag, series in found.items()}


@pytest.mark.parametrize("case", usually([(case,) for case in SAME], [(c,) for c in USUAL_CASES]))
def test_fused_and_unfused_give_the_same_weights_and_the_same_log(
    case: tuple[str, ...], training: Callable[[str], Training]
) -> None:
    release, *options = case
    ready = training(release)
    has_rates = "--optimizer_type=AdaCoor" in options and ROUNDING not in options
    found, log = {}, {}
    for name, more in (("after", ()), ("inside", (FUSED,))):
        log_option = f"--logging_dir={ready.folder / f'log {name}'}"
        into, said = ready.run(name, *USUAL, *options, *more, log_option)
        assert ("steps each weight inside of the backward pass" in said.stdout) == bool(more)
        assert "runs without compiled=True" not in said.stdout + said.stderr
        found[name] = weights(into)
        log[name] = logged(ready, ready.folder / f"log {name}") if has_rates else {}
    assert found["inside"] == found["after"]
    assert log["inside"] == log["after"]
    if has_rates:
        assert len(log["inside"]["lr/d*lr/unet"]) >= STEPS // 2 - 2
    begin = tensors.contents(ready.base)
    final = found["inside"]["skynet.safetensors"]
    assert sum(final[name] != begin[name] for name in final if name in begin) > 100


@pytest.mark.every_release
@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize(
    "options",
    [ADACOOR, (*ADAMW, *BF16, ROUNDING), (*ADAMW, *BF16, KAHAN)],
    ids=["plain", "rounded", "summed"],
)
def test_a_state_is_continued_exactly(
    options: tuple[str, ...], release: str, training: Callable[[str], Training]
) -> None:
    ready = training(release)
    every = ("--state_every_minutes=1e-9", "--state_keep=99")
    whole, _ = ready.run("whole", *USUAL, *options, FUSED, *EMA, *every)
    state = whole / "skynet-states" / "step00000017"
    quiet = "--state_every_minutes=999"
    rest, said = ready.run("rest", *USUAL, *options, FUSED, *EMA, quiet, f"--resume={state}")
    assert "continuing after step 17 (epoch 2)" in said.stdout
    assert "not be exactly" not in said.stdout
    assert weights(rest) == weights(whole)


@pytest.mark.every_release
@pytest.mark.parametrize("release", RELEASES)
def test_clipping_is_of_each_gradient_by_itself(
    release: str, training: Callable[[str], Training]
) -> None:
    """With a bound that all gradients together exceed, and none by itself, nothing is clipped."""
    ready = training(release)
    bound = "--max_grad_norm=0.5"
    made = {}
    for name, options in {
        "unclipped": (UNCLIPPED,),
        "all together": (bound,),
        "each by itself": (bound, FUSED),
        "tightly": ("--max_grad_norm=1e-6", FUSED),
    }.items():
        into, said = ready.run(name, *USUAL, *ADACOOR, *options)
        made[name] = weights(into)["skynet.safetensors"]
        assert ("each gradient is clipped by itself" in said.stdout) == (FUSED in options)
    assert made["all together"] != made["unclipped"]
    differ = {name: sum(made[name][t] != made["unclipped"][t] for t in made[name]) for name in made}
    assert differ["each by itself"] < differ["all together"]
    assert differ["tightly"] > 0


@pytest.mark.parametrize("release", usually(RELEASES, [releases.DEFAULT]))
def test_what_cannot_work_is_refused_before_anything_is_trained(
    release: str, training: Callable[[str], Training]
) -> None:
    ready = training(release)
    for name, (options, words) in REFUSED.items():
        if name == "groups" and release == "v0.8.7":
            continue  # it has no such option
        into, said = ready.run(name, *USUAL, *options, FUSED, check=False)
        assert said.returncode
        assert words in said.stderr, (name, said.stderr[-2000:])
        assert not list(into.glob("*.safetensors"))


@pytest.mark.every_release
@pytest.mark.parametrize("release", RELEASES)
def test_several_processes_are_refused(release: str, training: Callable[[str], Training]) -> None:
    ready = training(release)
    with pytest.raises(Exception, match="does not work with several processes"):
        ready.run_by_two("two", *USUAL, *ADAMW, FUSED)


@pytest.mark.every_release
@pytest.mark.parametrize("release", RELEASES)
def test_without_its_options_a_patched_trainer_is_the_unpatched_one(
    release: str, training: Callable[[str], Training], shipped: Catalogue, tmp_path: Path
) -> None:
    ready = training(release)
    on, _ = ready.run("patched", *USUAL, *ADAMW)
    others = replace(shipped.load("skynet", overrides=CHANGED), patches=())
    bare = Training(others, release, tmp_path / "runs ü" / "bare")
    off, _ = bare.run("bare", *USUAL, *ADAMW)
    assert weights(on) == weights(off)
