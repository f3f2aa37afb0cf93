"""What several processes make of steps and memory, and what they cannot do."""

from __future__ import annotations

import pytest

from kohya_presets.memory import estimate
from kohya_presets.presets.catalogue import Catalogue
from kohya_presets.sdscripts.additions import NONE
from kohya_presets.training import settings, spread
from kohya_presets.training.settings import Settings
from kohya_presets.training.spread import Spread
from kohya_presets.validate import everything
from kohya_presets.validate.report import Against
from patches import registry

FOUR = Spread(gpus=4)


def known(shipped: Catalogue, *overrides: str, processes: int = 1, images: int = 20) -> Settings:
    preset = shipped.load("skynet", overrides=overrides)
    return settings.of_preset(preset, "v0.10.1", NONE, images=images, processes=processes)


def test_lengths_in_steps_are_divided_and_rounded_up(shipped: Catalogue) -> None:
    preset = shipped.load(
        "skynet",
        overrides=[
            "train.max_train_epochs=unset",
            "train.max_train_steps=1601",
            "train.save_every_n_steps=400",
            "train.sample_every_n_steps=3",
            "train.lr_warmup_steps=100",
        ],
    )
    made, fewer = spread.converted(preset, 4)
    assert made.train["max_train_steps"] == 401
    assert made.train["save_every_n_steps"] == 100
    assert made.train["sample_every_n_steps"] == 1
    # accelerate moves the schedule on by the number of processes in each step.
    assert made.train["lr_warmup_steps"] == 100
    assert {one.option for one in fewer} == {
        "max_train_steps",
        "save_every_n_steps",
        "sample_every_n_steps",
    }
    assert str(fewer[0]) == "max_train_steps: 401 in place of 1601"


def test_one_process_and_lengths_in_epochs_stay(shipped: Catalogue) -> None:
    preset = shipped.load("skynet")
    assert spread.converted(preset, 1) == (preset, ())
    made, fewer = spread.converted(preset, 4)
    assert made.gpus == 4
    assert made.train["max_train_epochs"] == preset.train["max_train_epochs"]
    assert not [one for one in fewer if "epochs" in one.option]


def test_a_preset_for_two_gpus_is_converted_from_there(shipped: Catalogue) -> None:
    overrides = ["train.max_train_epochs=unset", "train.max_train_steps=100", "run.gpus=2"]
    preset = shipped.load("skynet", overrides=overrides)
    assert spread.of_preset(preset) == Spread(gpus=2)
    assert spread.converted(preset, 2) == (preset, ())
    assert spread.converted(preset, 1)[0].train["max_train_steps"] == 200
    assert spread.converted(preset, 4)[0].train["max_train_steps"] == 50
    made, changed = spread.converted(preset, 4, keep_steps=True)
    assert (made.train["max_train_steps"], made.gpus, changed) == (100, 4, ())


def test_no_gpus_at_all_is_an_error(shipped: Catalogue) -> None:
    report = everything.loaded(shipped.load("skynet", overrides=["run.gpus=0"]), Against("v0.10.1"))
    assert any("at least one GPU" in problem.message for problem in report.problems)


@pytest.mark.parametrize("processes", [1, 2, 3, 4])
def test_the_processes_share_the_batches_of_an_epoch(shipped: Catalogue, processes: int) -> None:
    found = known(
        shipped,
        "train.max_train_epochs=10",
        "dataset.num_repeats=1",
        "dataset.batch_size=1",
        processes=processes,
        images=24,
    )
    assert found.steps() == 10 * 24 // processes


def test_a_step_inside_of_the_backward_pass_is_refused(shipped: Catalogue) -> None:
    found = known(shipped, "train.fused_backward_pass=true")
    (problem,) = spread.problems(found, FOUR)
    assert problem.severity == "error"
    assert "fused_backward_pass does not work with 4 processes" in problem.message
    assert not [*spread.problems(found, spread.ALONE)]
    assert not [*spread.problems(known(shipped), FOUR)]


@pytest.mark.parametrize(
    "overrides",
    [
        ["train.fused_optimizer_groups=4"],
        ["train.optimizer_type=AdaCoor", 'train.optimizer_args=["stochastic_rounding=True"]'],
    ],
)
def test_what_would_drift_apart_is_refused(shipped: Catalogue, overrides: list[str]) -> None:
    preset = shipped.load("adacoor", overrides=overrides)
    found = settings.of_preset(preset, "v0.10.1", registry.additions(None), processes=2)
    (problem,) = spread.problems(found, Spread(gpus=2))
    assert "2 processes" in problem.message


def test_the_gradients_are_kept_a_second_time(shipped: Catalogue) -> None:
    one, two = (estimate.of(known(shipped, processes=count)) for count in (1, 2))
    assert one is not None
    assert two is not None
    gradients = max(moment.parts["gradients"] for moment in one.moments)
    assert two.parts["exchange"] == gradients
    assert two.total - one.total == gradients
    assert not one.parts["exchange"]
    views = known(shipped, "train.ddp_gradient_as_bucket_view=true", processes=2)
    assert estimate.of(views) == one


def test_what_changes_is_said(shipped: Catalogue) -> None:
    overrides = ["train.max_train_epochs=unset", "train.max_train_steps=100"]
    overrides += ["train.enable_ema=true", "dataset.batch_size=2"]
    overrides += ["train.gradient_accumulation_steps=unset"]
    preset, fewer = spread.converted(shipped.load("a100-ema", overrides=overrides), 2)
    found = settings.of_preset(preset, "v0.10.1", registry.additions(None), processes=2)
    said = [*spread.texts(found, Spread(gpus=2), fewer)]
    assert said[0].startswith("2 GPUs: each step sees 4 images in place of 2; the learning rate")
    assert "  max_train_steps: 50 in place of 100" in said
    assert any("EMA" in line for line in said)
    assert not any("warmup" in line for line in said)
    assert not [*spread.texts(found, spread.ALONE, ())]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("10.0.0.1", ("10.0.0.1", spread.PORT)),
        ("trainer-0:4000", ("trainer-0", 4000)),
        ("fe80::1", ("fe80::1", spread.PORT)),
    ],
)
def test_an_address_has_a_host_and_perhaps_a_port(text: str, found: tuple[str, int]) -> None:
    assert spread.at(text) == found


@pytest.mark.parametrize("text", ["", ":4000", "host:", "host:port", "two words"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no HOST"):
        spread.at(text)


def test_the_oldest_release_trains_text_encoders_on_one_gpu_only(shipped: Catalogue) -> None:
    preset = shipped.load("skynet")
    for release, count in (("v0.7.0", 1), ("v0.7.1", 0)):
        found = settings.of_preset(preset, release, registry.additions(None), processes=2)
        assert len([*spread.problems(found, Spread(gpus=2))]) == count
