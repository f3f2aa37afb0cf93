"""The estimate of GPU memory: its exact parts in closed form, and the order of the others."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest

from kohya_presets.memory import estimate, states
from kohya_presets.memory import parts as memory_parts
from kohya_presets.memory.estimate import GIB, Estimate
from kohya_presets.presets.catalogue import Catalogue
from kohya_presets.presets.preset import Preset
from kohya_presets.training import settings
from kohya_presets.training.settings import Settings
from kohya_presets.training.trained import PARTS
from kohya_presets.validate import everything
from tests.sheets import ADDITIONS, SHIPPED_NAMES, against

UNET, TEXT1, TEXT2, VAE = 2_567_463_684, 123_060_480, 694_659_840, 83_653_863  # weights of SDXL
LAST = 7_087_872 + 1_536  # of text encoder 1, frozen: its last layer and norm
TRAINED = UNET + TEXT1 - LAST + TEXT2
TEXT_LARGEST = 49_408 * 1_280  # the second text encoder's tokens

TRAIN = {"optimizer_type": "AdamW", "train_text_encoder": True, "mixed_precision": "fp16"}
FUSED = {"optimizer_type": "Adafactor", "fused_backward_pass": True}


def needed(size: Any = (1024, 1024), batch: int = 1, **options: Any) -> Estimate:
    return of({**TRAIN, **options}, {"resolution": list(size), "batch_size": batch})


def of(train: dict[str, Any], dataset: dict[str, Any]) -> Estimate:
    tables = {"train": train, "dataset": dataset}
    found = estimate.of(
        Settings(tables, patches=("ema", "adacoor", "fused-step"), additions=ADDITIONS)
    )
    assert found is not None
    return found


def settings_of(preset: Preset) -> Settings:
    return settings.of_preset(preset, "v0.10.1", ADDITIONS)


def part(name: str, moment: str = "step", **options: Any) -> int:
    (found,) = [m for m in needed(**options).moments if m.name == moment]
    return found.parts.get(name, 0)


def test_the_weights_that_are_trained_are_in_fp32() -> None:
    assert part("weights") == 4 * (UNET + TEXT1 + TEXT2)
    assert part("gradients") == 4 * TRAINED


@pytest.mark.parametrize("full", ["full_fp16", "full_bf16"])
def test_weights_gradients_and_adams_state_are_half_if_all_is(full: str) -> None:
    precision = {"mixed_precision": full.removeprefix("full_"), full: True}
    assert part("weights", **precision) == 2 * (UNET + TEXT1 + TEXT2)
    assert part("gradients", **precision) == 2 * TRAINED
    assert part("optimizer state", **precision) == 4 * TRAINED


@pytest.mark.parametrize("optimizer", ["AdamW", "Lion", "AdaCoor"])
def test_kahan_summation_keeps_two_more_bytes_for_each_trained_weight(optimizer: str) -> None:
    bf16 = {"mixed_precision": "bf16", "full_bf16": True, "optimizer_type": optimizer}
    chance = {**bf16, "stochastic_rounding": True}
    summed = {**bf16, "kahan_summation": True}
    state = part("optimizer state", **chance)
    assert state == part("optimizer state", **bf16)
    assert part("optimizer state", **summed) == state + 2 * TRAINED
    for moment in ("step", "forward", "image"):
        kept = part("optimizer state", moment, **summed)
        assert kept == state + 2 * TRAINED
    assert part("work space", **summed) == part("work space", **chance) > 0
    no_text = part("optimizer state", **summed, train_text_encoder=False)
    assert no_text - part("optimizer state", **chance, train_text_encoder=False) == 2 * UNET
    in_fp32 = {"mixed_precision": "bf16", "optimizer_type": optimizer}
    assert part("optimizer state", **in_fp32, kahan_summation=True) == part(
        "optimizer state", **in_fp32
    )


@pytest.mark.parametrize(
    ("options", "weights", "trained"),
    [
        ({"learning_rate_te1": 0}, 4 * (UNET + TEXT2) + 2 * TEXT1, UNET + TEXT2),
        ({"learning_rate_te2": 0.0}, 4 * (UNET + TEXT1) + 2 * TEXT2, UNET + TEXT1 - LAST),
        ({"train_text_encoder": False}, 4 * UNET + 2 * (TEXT1 + TEXT2), UNET),
        (
            {"train_text_encoder": False, "mixed_precision": "no"},
            4 * (UNET + TEXT1 + TEXT2),
            UNET,
        ),
        (
            {"train_text_encoder": False, "cache_text_encoder_outputs": True},
            4 * UNET,
            UNET,
        ),
        (
            {"learning_rate": 0, "learning_rate_te1": 1e-6, "learning_rate_te2": 1e-6},
            2 * UNET + 4 * (TEXT1 + TEXT2),
            TRAINED - UNET,
        ),
    ],
)
def test_what_is_frozen_is_in_half_and_has_no_gradient(
    options: dict[str, Any], weights: int, trained: int
) -> None:
    assert part("weights", **options) == weights
    assert part("gradients", **options) == 4 * trained
    assert part("optimizer state", **options) == 8 * trained


@pytest.mark.parametrize(
    ("optimizer", "bytes_"),
    [
        ("AdamW", 8),
        ("torch.optim.AdamW", 8),
        ("", 8),
        ("Lion", 4),
        ("SGDNesterov", 4),
        ("Prodigy", 16),
        ("DAdaptation", 12),
        ("AdamWScheduleFree", 8),
        ("AdaCoor", 2),
        ("library.kp_adacoor.AdaCoor", 2),
    ],
)
def test_a_state_is_so_many_bytes_for_each_weight(optimizer: str, bytes_: int) -> None:
    assert part("optimizer state", optimizer_type=optimizer) == bytes_ * TRAINED


@pytest.mark.parametrize(
    ("optimizer", "argument", "bytes_"),
    [
        ("AdaCoor", 'state_dtype="float32"', 4),
        ("AdamW", "amsgrad=True", 12),
        ("Prodigy", "slice_p=4", 10),
    ],
)
def test_arguments_that_change_the_state(optimizer: str, argument: str, bytes_: int) -> None:
    options = {"optimizer_type": optimizer, "optimizer_args": ["unread", argument]}
    assert part("optimizer state", **options) == bytes_ * TRAINED


@pytest.mark.parametrize(("optimizer", "states"), [("AdamW8bit", 2), ("Lion8bit", 1)])
def test_eight_bits_are_a_byte_and_a_number_for_256(optimizer: str, states: int) -> None:
    whole = part("optimizer state", optimizer_type=optimizer)
    # Tensors below 4096 elements stay in fp32.
    assert whole == pytest.approx(states * (1 + 4 / 256) * TRAINED, rel=2e-3)
    assert part("optimizer state", optimizer_type=None, use_8bit_adam=True) == part(
        "optimizer state", optimizer_type="AdamW8bit"
    )


def test_adafactor_keeps_rows_and_columns() -> None:
    state = part("optimizer state", optimizer_type="Adafactor")
    assert state < 0.5 * TRAINED
    first = part("optimizer state", optimizer_type="Adafactor", optimizer_args=["beta1=0.9"])
    assert first == state + 4 * TRAINED


def test_a_paged_state_can_leave_the_gpu() -> None:
    found = needed(optimizer_type="PagedAdamW8bit")
    assert found.parts["optimizer state"] < 0.2 * TRAINED
    assert "paged" in str(found)


def test_an_unknown_optimizer_is_said_to_be_one() -> None:
    found = needed(optimizer_type="pytorch_optimizer.CAME")
    assert found.parts["optimizer state"] == 8 * TRAINED
    assert "pytorch_optimizer.CAME" in found.notes[0]
    assert found.notes[0] in str(found)


def test_adamw_works_on_a_whole_model_at_once_unless_told_otherwise() -> None:
    assert part("work space") == 4 * UNET
    for argument in ("foreach=False", "fused=True"):
        assert part("work space", optimizer_args=[argument]) == 2 * 4 * TEXT_LARGEST
    assert part("work space", optimizer_type="AdamW8bit") == 0


def test_an_average_is_in_fp32_and_may_lie_on_the_cpu() -> None:
    assert part("EMA") == 0
    assert part("EMA", enable_ema=True) == 4 * TRAINED
    assert part("EMA", enable_ema=True, full_fp16=True) == 4 * TRAINED
    assert part("EMA", enable_ema=True, ema_device="gpu", learning_rate_te1=0) == 4 * (UNET + TEXT2)
    assert part("EMA", enable_ema=True, ema_device="cpu") == 0


def test_the_vae_is_there_unless_latents_are_cached() -> None:
    assert part("VAE") == 2 * VAE
    assert part("VAE", no_half_vae=True) == part("VAE", mixed_precision="no") == 4 * VAE
    assert part("VAE", no_half_vae=True, cache_latents=True) == 0
    assert part("work space", "image", cache_latents=True) == 0
    assert part("work space", "image", no_half_vae=True) > part("work space", "image") > GIB / 4


def test_gradients_stay_over_the_images_of_an_accumulation() -> None:
    assert part("gradients", "forward") == 0
    assert part("gradients", "forward", gradient_accumulation_steps=2) == 4 * TRAINED


def test_fused_optimizers_free_gradients_on_the_way() -> None:
    assert part("gradients", "backward", **FUSED) == 4 * TEXT_LARGEST
    groups = [
        part("gradients", "backward", fused_optimizer_groups=n) for n in (1, 2, 4, 10, 16, 99)
    ]
    assert groups == sorted(groups, reverse=True)
    assert groups[0] == 4 * TRAINED
    assert groups[3] < TRAINED
    assert [m.name for m in needed(**FUSED).moments] == ["image", "forward", "backward"]


@pytest.mark.parametrize("precision", ["no", "fp16", "bf16"])
@pytest.mark.parametrize("attention", ["none", "sdpa"])
@pytest.mark.parametrize("checkpointing", [False, True])
def test_more_to_compute_takes_more(precision: str, attention: str, checkpointing: bool) -> None:
    options: dict[str, Any] = {"mixed_precision": precision, attention: True}
    options["gradient_checkpointing"] = checkpointing

    def forward(size: Any = (1024, 1024), batch: int = 1, **more: Any) -> int:
        return part("activations", "forward", size=size, batch=batch, **{**options, **more})

    sizes = [forward((side, side)) for side in (512, 768, 1024, 1536)]
    assert sizes == sorted(set(sizes))
    batches = [forward(batch=batch) for batch in (1, 2, 3, 8)]
    assert batches == sorted(set(batches))
    assert forward((1024, 1024)) > forward((832, 1216)) > forward((768, 768))
    assert forward(max_token_length=225) > forward()
    assert forward(max_token_length=255) == forward(max_token_length=225)


def test_each_saving_saves() -> None:
    top = {
        key: part("activations", "forward", **dict.fromkeys(key, True))
        for key in ((), ("sdpa",), ("gradient_checkpointing",), ("sdpa", "gradient_checkpointing"))
    }
    assert list(top.values()) == sorted(top.values(), reverse=True)
    for option in ("xformers", "mem_eff_attn"):
        assert part("activations", "forward", **{option: True}) == top[("sdpa",)]
    assert part("activations", "forward", xformers=True, diffusers_xformers=True) == top[()]


def test_half_copies_are_of_the_weights_that_autocast_casts() -> None:
    copies = part("half copies", "forward")
    assert 0.95 * 2 * UNET < copies < 2 * (UNET + TEXT1 + TEXT2)
    assert part("half copies", "forward", mixed_precision="no") == 0
    assert part("half copies", "forward", full_fp16=True) < 0.01 * copies
    assert part("half copies", "backward") == copies - part(
        "half copies", "forward", train_text_encoder=False
    )


@pytest.mark.parametrize("written", [1024, [1024, 1024], [1024], "1024,1024", "1024"])
def test_a_resolution_is_read_as_sd_scripts_reads_it(written: Any) -> None:
    wanted = needed()
    assert of(TRAIN, {"resolution": written}) == wanted
    if isinstance(written, str):  # a training option is text
        assert of({**TRAIN, "resolution": written, "train_batch_size": 1}, {}) == wanted


def test_the_table_has_each_part_and_the_total() -> None:
    found = needed()
    head, *rows, total = str(found).splitlines()
    assert head.split() == ["GiB", "image", "forward", "backward", "step"]
    assert total.split()[0] == "total"
    assert f"{found.total / GIB:.1f}" in total.split()
    assert not any(row.startswith("EMA") for row in rows)
    assert found.total == sum(found.parts.values()) == max(m.total for m in found.moments)


@pytest.mark.parametrize("name", SHIPPED_NAMES)
def test_a_shipped_preset_needs_what_it_says(name: str, shipped: Catalogue) -> None:
    preset = shipped.load(name)
    needed = estimate.of(settings_of(preset))
    assert needed is not None
    assert preset.vram_gib is not None
    assert needed.total <= preset.vram_gib * GIB
    assert not list(estimate.problems(preset, settings_of(preset), preset.vram_gib))


def test_a_preset_that_needs_too_much_gets_a_setting_that_helps(shipped: Catalogue) -> None:
    preset = dataclasses.replace(shipped.load("skynet"), vram_gib=48)
    here, there = estimate.problems(preset, settings_of(preset), 24.0)
    assert (here.code, there.code) == ("memory-preset", "memory-gpu")
    assert here.severity == there.severity == "warning"
    assert "48" in here.message
    assert "24" in there.message
    assert here.hint is not None
    assert "--set train." in here.hint


def test_validate_warns_of_it_unless_told_not_to(shipped: Catalogue) -> None:
    made = shipped.load("adacoor", overrides=["train.gradient_checkpointing=false"])
    report = everything.loaded(made, against("v0.10.1", gpu_gib=24))
    assert set(estimate.CODES) <= {problem.code for problem in report.problems}
    ignored = everything.loaded(made, against("v0.10.1", ignore=frozenset(estimate.CODES)))
    assert not {problem.code for problem in ignored.problems} & set(estimate.CODES)


def test_the_memory_of_a_preset_is_estimated_once(
    shipped: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    real = estimate.of
    monkeypatch.setattr(estimate, "of", lambda s: asked.append(s) or real(s))
    report = everything.loaded(shipped.load("skynet"), against("v0.10.1", gpu_gib=100))
    assert report.memory is not None
    assert len(asked) == 1


def test_the_peak_is_told_in_a_line() -> None:
    told = estimate.summary(needed(), 80)
    assert told.startswith(f"GPU memory: about {needed().total / GIB:.1f} of 80 GiB (")
    assert "EMA" not in told
    assert "\n" not in told


def test_a_gpu_with_enough_is_no_problem(shipped: Catalogue) -> None:
    lion = shipped.load("lion")
    assert not list(estimate.problems(lion, settings_of(lion), 80.0))


@pytest.mark.parametrize(
    "changed",
    [{"script": "sdxl_train_network.py"}, {"train": {**TRAIN, "deepspeed": True}}],
)
def test_nothing_is_said_of_what_is_not_estimated(
    changed: dict[str, Any], shipped: Catalogue
) -> None:
    preset = dataclasses.replace(shipped.load("skynet"), **changed)
    assert not list(estimate.problems(preset, settings_of(preset), 8.0))
    assert (estimate.of(settings_of(preset)) is None) == ("script" in changed)


def test_the_facts_say_what_made_them_and_fit_what_was_measured() -> None:
    facts = json.loads(memory_parts.FACTS.read_text("utf-8"))
    assert facts["generator"] == "tools/memory/measure.py"
    assert facts["error"] < 0.2 * GIB
    assert set(PARTS) == set(facts["trained"])
    assert set(states.ALIASES.values()) < set(facts["optimizers"])
