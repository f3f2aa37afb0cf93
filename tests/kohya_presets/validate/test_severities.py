"""What is an error in a file of sd-scripts, and what sd-scripts only ignores."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from kohya_presets.problems import Severity
from kohya_presets.sdscripts import options
from kohya_presets.validate import choices, config_files, everything
from kohya_presets.validate.report import Report, assumes_model
from tests.sheets import GOOD, Make, against, spoiled
from wrapper.planning import subjects

XL = 'pretrained_model_name_or_path = "sd_xl_base_1.0.safetensors"\noutput_dir = "o"\n'
WHOLE = XL + 'train_data_dir = "d"\nresolution = "1024,1024"\ncaption_extension = ".txt"\n'
LONG = "max_train_epochs = 10\n"


def report(folder: Path, text: str, release: str = "v0.10.1", script: str | None = None) -> Report:
    file = folder / "one" / "two" / "a.toml"  # what folders are called may tell the model
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, "utf-8")
    return config_files.file(file, against(release), script=script)


def told(found: Report, *without: str) -> list[tuple[str, Severity]]:
    """Return the codes with their severities, those of advice and of `without` left out."""
    return [
        (p.code, p.severity)
        for p in found.problems
        if p.severity != "advice" and p.code not in without
    ]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("scale_weight_norms = 1.0", ("other-script", "warning")),
        ('network_weights = ""', ("other-script", "note")),
        ("lerning_rate = 1e-5", ("unknown-option", "error")),
        ("sdp = true", ("unknown-option", "error")),
        ("lr_warmup = 100", ("unknown-option", "error")),
        ('optimizer = "Lion"', ("unknown-option", "error")),
        ("batch_size = 2", ("dataset-option", "error")),
        ("batch_size = 2\ntrain_batch_size = 2", ("dataset-option", "warning")),
        ("batch_size = 1", ("dataset-option", "warning")),  # as by default
        ("grad_accum = 2", ("unknown-option", "error")),
        ("grad_accum = 1", ("unknown-option", "warning")),
        ("enable_ema = true", ("missing-patch", "error")),
        ("enable_ema = false", ("missing-patch", "note")),
        ("vae_dtype = 'fp16'", ("unknown-option", "warning")),
        ("remarks = 'for Anna'", ("unknown-option", "warning")),
        ("epochs = 20", ("unknown-option", "warning")),  # beside max_train_epochs
    ],
)
def test_what_sd_scripts_ignores_is_an_error_where_it_is_clear_what_was_meant(
    line: str, expected: tuple[str, Severity], tmp_path: Path
) -> None:
    assert told(report(tmp_path, WHOLE + LONG + line + "\n")) == [expected]


def test_a_renamed_option_that_is_not_set_is_an_error(tmp_path: Path) -> None:
    (found,) = told(report(tmp_path, WHOLE + "epochs = 20\n"), "left-open")
    assert found == ("unknown-option", "error")


@pytest.mark.parametrize("key", ["network_dim = 8", "vae_dtype = 'fp16'", "loss_tipe = 'l2'"])
def test_in_a_preset_each_of_them_is_an_error(key: str, make: Make) -> None:
    text = spoiled(("learning_rate = 1e-6", f"learning_rate = 1e-6\n{key}"))
    found = everything.preset("mine", make(mine=text), against("v0.10.1"))
    assert {p.severity for p in found.problems if p.code in ("other-script", "unknown-option")} == {
        "error"
    }


NEWER = [
    ("loss_type = 'l2'", "v0.8.5", "note"),
    ("loss_type = 'huber'", "v0.8.5", "error"),
    ("huber_scale = 1.0", "v0.9.1", "note"),
    ("fused_backward_pass = false", "v0.8.8", "note"),
    ("fused_backward_pass = true", "v0.8.8", "error"),
    ("fused_optimizer_groups = 0", "v0.8.8", "note"),
    ("learning_rate_te1 = 0.0", "v0.7.0", "error"),  # which trains it at learning_rate there
]


@pytest.mark.parametrize(("line", "release", "severity"), NEWER)
def test_an_option_of_a_newer_release_is_an_error_if_it_changes_something(
    line: str, release: str, severity: Severity, tmp_path: Path, make: Make
) -> None:
    found = told(report(tmp_path, WHOLE + LONG + line + "\n", release))
    assert ("option-too-new", severity) in found
    text = spoiled(("learning_rate = 1e-6", f"learning_rate = 1e-6\n{line}"))
    of_preset = everything.preset("mine", make(mine=text), against(release))
    assert ("option-too-new", severity) in told(of_preset)


def test_a_newer_option_of_a_tool_or_a_dataset_file_stops_it_whatever_its_value(
    tmp_path: Path,
) -> None:
    text = '[[datasets]]\nresolution = 1024\nresize_interpolation = ""\n'
    text += '[[datasets.subsets]]\nimage_dir = "d"\n'
    assert ("option-too-new", "error") in told(report(tmp_path, text, "v0.9.1"))


@pytest.mark.parametrize(
    ("line", "expected", "words"),
    [
        ("max_token_length = 255", "warning", "counts as 225"),
        ("max_token_length = 100", "warning", "counts as 75"),
        ("max_token_length = 300", "note", "works"),
        ("max_token_length = 75", "note", "leave it out"),
        ("max_token_length = 60", "error", "expected one of 150, 225"),
        ('huber_schedule = "cosine"', "note", "not used without loss_type"),
        ('huber_schedule = "cosine"\nloss_type = "huber"', "error", "expected one of"),
        ('log_with = "mlflow"', "warning", "only if its package"),
        ('log_with = ""', "error", "expected one of"),
        ('sample_sampler = "euler_b"', "note", "not used without sample images"),
        (
            'sample_sampler = "euler_b"\nsample_at_first = true\nsample_prompts = "p.txt"',
            "warning",
            "counts as ddim",
        ),
        ('save_model_as = "Safetensors"', "note", "counts as safetensors"),
        ('save_model_as = "pt"', "warning", "format of Diffusers"),
        ('save_precision = "fp32"', "note", "as they are trained"),
        ('save_precision = "fp8"', "warning", "as they are trained"),
        ('dynamo_backend = "INDUCTOR"\ntorch_compile = true', "note", "counts as inductor"),
        ('dynamo_backend = "no"\ntorch_compile = true', "warning", "turns torch_compile off"),
        ('dynamo_backend = "fast"\ntorch_compile = true', "error", "expected one of"),
        ("zero_stage = 4", "note", "not used without deepspeed"),
        ("zero_stage = 4\ndeepspeed = true", "error", "expected one of"),
        ('console_log_level = "WARN"', "note", "known to Python"),
        ('console_log_level = "info"', "error", "expected one of"),
        ('loss_type = "l3"', "error", "expected one of"),
        ('mixed_precision = "fp32"', "error", "expected one of"),
    ],
)
def test_a_value_outside_the_choices_is_told_by_what_happens(
    line: str, expected: Severity, words: str, tmp_path: Path
) -> None:
    found = report(tmp_path, WHOLE + LONG + line + "\n")
    (problem,) = (p for p in found.problems if p.code in ("wrong-choice", "loose-value"))
    assert problem.severity == expected
    assert words in problem.message


FLUX = WHOLE.replace("sd_xl_base", "flux1-dev") + LONG + 'ae = "a"\nclip_l = "c"\nt5xxl = "t"\n'


@pytest.mark.parametrize(
    ("line", "severity", "words"),
    [
        ("max_token_length = 255", "note", "not used by flux_train.py"),
        ('save_model_as = "pt"', "note", "not used by flux_train.py"),
        ('timestep_sampling = "flux"', "warning", "counts as sigma"),
        ('model_prediction_type = "v"', "warning", "counts as raw"),
        ('weighting_scheme = "logit"', "warning", "counts as uniform"),
        ('model_type = "schnell"', "error", "expected one of"),
    ],
)
def test_choices_of_other_models_are_judged_by_their_code(
    line: str, severity: Severity, words: str, tmp_path: Path
) -> None:
    found = report(tmp_path, FLUX + line + "\n", script="flux_train.py")
    (problem,) = (p for p in found.problems if p.code in ("wrong-choice", "loose-value"))
    assert (problem.severity, words in problem.message) == (severity, True)


def test_a_lora_script_takes_the_ending_from_save_model_as(tmp_path: Path) -> None:
    text = WHOLE + LONG + 'network_module = "networks.lora"\nsave_model_as = "Safetensors"\n'
    (problem,) = (p for p in report(tmp_path, text).problems if p.code == "wrong-choice")
    assert problem.severity == "warning"
    assert '".Safetensors"' in problem.message


@pytest.mark.parametrize(("release", "severity"), [("v0.9.1", "warning"), ("v0.10.1", "error")])
def test_few_tokens_only_cut_captions_in_older_scripts_for_sd(
    release: str, severity: Severity, tmp_path: Path
) -> None:
    text = WHOLE + LONG + 'network_module = "networks.lora"\nmax_token_length = 60\n'
    found = report(tmp_path, text, release, "train_network.py")
    assert ("wrong-choice", severity) in told(found)


def test_every_option_with_choices_is_decided_on() -> None:
    """A new one needs a look at what the code does with other values."""
    stops = {"loss_type", "mixed_precision", "attn_mode", "model_type", "resize_interpolation"}
    trainers = [name for name in options.SCRIPTS if not name.startswith("networks/")]
    known = {o.name for n in trainers for o in options.of(n).values() if o.choices}
    assert known == stops | set(choices.DECIDED)


GUESS = 'output_dir = "o"\ntrain_data_dir = "d"\ncaption_extension = ".txt"\n' + LONG
LORA = 'network_module = "networks.lora"\n'
HALF = 'mixed_precision = "fp16"\nclip_skip = 2\n'


@pytest.mark.parametrize(
    ("text", "assumed"),
    [
        (GUESS + HALF, True),
        (GUESS + LORA + HALF, True),
        (GUESS + LORA + HALF + "unet_lr = 1e-4\n", True),
        (GUESS + LORA + HALF + "cache_text_encoder_outputs = true\n", False),
        (GUESS + LORA + HALF + 'pretrained_model_name_or_path = "ponyXL.safetensors"\n', False),
        (GUESS + LORA + HALF + 'resolution = "1024,1024"\n', False),
        ("# for sdxl_train.py\n" + GUESS + HALF, False),
    ],
)
def test_where_sdxl_is_only_assumed_nothing_of_sdxl_alone_is_held_against_the_file(
    text: str, assumed: bool, tmp_path: Path
) -> None:
    found = report(tmp_path, text)
    assert found.taken_for is not None
    assert assumes_model(found.taken_for) is assumed
    codes = {p.code for p in found.problems}
    assert ({"clip-skip", "half-vae"} <= codes) is not assumed
    assert assumed <= (not any(p.severity == "advice" for p in found.problems))
    said = subjects.text(found)
    assert ("SDXL is assumed" in said) is assumed
    assert "(--script names another)" in said


def test_an_assumed_model_still_has_its_errors_and_the_warnings_of_every_model(
    tmp_path: Path,
) -> None:
    text = GUESS + HALF + 'lr_scheduler = "zzz"\nmax_train_steps = 100\n'
    assert {"unknown-schedule", "steps-overridden"} <= {
        p.code for p in report(tmp_path, text).problems
    }


def test_a_script_that_is_named_is_no_guess(tmp_path: Path) -> None:
    found = report(tmp_path, GUESS + HALF, script="sdxl_train.py")
    assert {"clip-skip", "half-vae"} <= {p.code for p in found.problems}


@pytest.mark.parametrize("more", ["", WHOLE])
def test_a_length_that_a_file_does_not_give_is_left_to_the_command_line(
    more: str, tmp_path: Path
) -> None:
    found = report(tmp_path, more or "learning_rate = 1e-6\n")
    assert {s for _, s in told(found)} == {"note"}
    (note,) = (p for p in found.problems if p.code == "left-open")
    assert "--max_train_epochs (else it stops after 1600 steps)" in note.message
    found = report(tmp_path, WHOLE + "max_train_steps = 100\n")
    assert told(found) == []


def test_a_preset_without_a_length_is_warned(make: Make) -> None:
    text = re.sub(r"max_train_\w+ = \d+\n", "", GOOD)
    found = everything.preset("mine", make(mine=text), against("v0.10.1"))
    assert ("default-steps", "warning") in told(found)
