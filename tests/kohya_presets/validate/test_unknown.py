"""A key that is no option: what is meant, where it belongs, or nothing rather than a wrong name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kohya_presets.problems import Problem
from kohya_presets.sdscripts import arguments, options, other_names
from kohya_presets.sdscripts.scripts import KNOWN
from kohya_presets.validate import config_files, unknown
from tests.sheets import against

NOTHING = unknown.Meant("")
LORA, FINE_TUNE = options.of("sdxl_train_network.py"), options.of("sdxl_train.py")
WHOLE = 'pretrained_model_name_or_path = "m"\noutput_dir = "o"\ntrain_data_dir = "d"\n'


def problem_of(line: str, script: str, file: Path, more: str = "") -> Problem:
    """Return what is said of one line of a config for a script."""
    file.write_text(f"{WHOLE}{more}{line}\n", "utf-8")
    report = config_files.file(file, against("v0.10.1"), script=script)
    (found,) = (p for p in report.problems if p.where.key == line.split(" ")[0])
    return found


@pytest.mark.parametrize(
    ("key", "value", "hint"),
    [
        ("conv_alpha", 16, 'network_args = ["conv_alpha=16"]'),
        ("conv_dim", 8, 'network_args = ["conv_dim=8"]'),
        ("algo", "lokr", 'network_args = ["algo=lokr"]'),
        ("lycoris_algo", "loha", 'network_args = ["algo=loha"]'),
        ("rank_dropout", 0.1, 'network_args = ["rank_dropout=0.1"]'),
        ("rank_dropout_scale", True, 'network_args = ["rank_dropout_scale=True"]'),
        ("module_dropout", 0.1, 'network_args = ["module_dropout=0.1"]'),
        ("weight_decay", 0.01, 'optimizer_args = ["weight_decay=0.01"]'),
        ("adam_weight_decay", 0.01, 'optimizer_args = ["weight_decay=0.01"]'),
        ("betas", [0.9, 0.99], 'optimizer_args = ["betas=0.9,0.99"]'),
        ("betas", "0.9,0.99", 'optimizer_args = ["betas=0.9,0.99"]'),
        ("beta1", 0.9, 'optimizer_args = ["betas=BETA1,BETA2"]'),
        ("eps", 1e-8, 'optimizer_args = ["eps=1e-08"]'),
        ("d_coef", 2.0, 'optimizer_args = ["d_coef=2.0"]'),
        ("relative_step", False, 'optimizer_args = ["relative_step=False"]'),
        ("step_rules", "1:10,0.1", """lr_scheduler_args = ["step_rules='1:10,0.1'"]"""),
        ("min_lr", 1e-6, "lr_scheduler_min_lr_ratio"),
        ("lr_restart_cycles", 1, "Use lr_scheduler_num_cycles."),
        ("num_processes", 2, "accelerate launch --num_processes=2"),
        ("multi_gpu", True, "accelerate launch --multi_gpu"),
        ("main_process_port", 0, "Leave it out: it is an option of accelerate launch"),
        ("sample_steps", 20, "for sample_prompts: --s 20"),
        ("dataloader_num_workers", 4, "Use max_data_loader_n_workers."),
        ("checkpointing_steps", 500, "Use save_every_n_steps."),
        ("save_every", 200, "Use save_every_n_epochs or save_every_n_steps."),
        ("validation_prompts", ["a"], "Use sample_prompts."),
        ("prodigy_decouple", True, 'optimizer_args = ["decouple=True"]'),
        ("use_xformers", True, "Did you mean 'xformers'?"),
        ("lumina_cache_latents", True, "Did you mean 'cache_latents'?"),
        ("sdxl_no_half_vae", True, "Did you mean 'no_half_vae'?"),
        ("max-train-epochs", 10, "Did you mean 'max_train_epochs'?"),
        ("maxTrainEpochs", 10, "Did you mean 'max_train_epochs'?"),
    ],
)
def test_where_it_belongs_is_sure(key: str, value: Any, hint: str) -> None:
    assert hint in (unknown.meant(key, LORA, {key: value}) or NOTHING).todo


def test_all_arguments_of_a_list_are_shown_together() -> None:
    def of(key: str) -> str:
        return (unknown.meant(key, LORA, given) or NOTHING).todo

    given: dict[str, Any] = {"conv_dim": 8, "weight_decay": 0.1, "conv_alpha": 4, "alpha": 1}
    expected = 'It belongs in network_args: network_args = ["conv_dim=8", "conv_alpha=4"].'
    assert of("conv_dim") == expected
    assert of("conv_alpha") == expected
    given["network_args"] = ["algo=loha"]
    expected = 'It belongs in network_args: add "conv_dim=8" and "conv_alpha=4" there.'
    assert of("conv_alpha") == expected
    given["network_args"] = ["algo=loha", "conv_dim=8"]
    assert of("conv_dim") == "Leave it out: network_args has it."


def test_what_is_there_under_its_own_name_is_left_out() -> None:
    found = unknown.meant("learning_rate_te1", LORA, {"text_encoder_lr": 1e-5})
    assert found == unknown.Meant("Leave it out: text_encoder_lr is set.")


@pytest.mark.parametrize("key", ["conv_dim", "algo", "rank_dropout"])
def test_arguments_of_a_network_belong_nowhere_without_one(key: str) -> None:
    assert unknown.meant(key, FINE_TUNE, {key: 1}) is None


@pytest.mark.parametrize(
    ("key", "hint"),
    [
        ("learning_rat", "Did you mean 'learning_rate'?"),
        ("lerning_rate", "Did you mean 'learning_rate'?"),
        ("min_snr_gama", "Did you mean 'min_snr_gamma'?"),
        ("mixed_precison", "Did you mean 'mixed_precision'?"),
        ("grad_accumulation_steps", "Did you mean 'gradient_accumulation_steps'?"),
        ("run_name", "Did you mean 'wandb_run_name'?"),
        # One word shared, or a beginning, is not enough.
        ("type", None),
        ("_learning_rate", None),  # taken out on purpose
        ("lora_type", None),
        ("allow_tf32", None),
        ("dataset_name", None),
        ("model_train_type", None),
        ("weight_decays", None),
        ("use_shell", None),
        ("config_dir", None),
        ("vae_dir", None),
        ("vae_dtype", None),
        ("class_prompt", None),
        ("te_lr_ratio", None),
        ("main_process_ports", None),
        ("log_tracker_config_dir", None),
        ("anima_noise_offset", None),
        ("save_starting_epoch", None),
        ("text_encoder_path", None),
        ("train_on_main_process_only", None),
        ("print_hyperparameter", None),
        # Nor is what would turn it round.
        ("max_snr_gamma", None),
        ("half_vae", None),
    ],
)
def test_a_name_is_proposed_only_where_it_is_nearly_the_same(key: str, hint: str | None) -> None:
    assert unknown.meant(key, LORA) is None
    assert (unknown.near(key, LORA) or unknown.Meant("")).todo == (hint or "")


@pytest.mark.parametrize(
    ("line", "more", "is_lost"),
    [
        ("epochs = 3", "", True),
        ("epochs = 0", "", False),
        ("epochs = 3", "max_train_epochs = 3", False),
        ("lr_restart_cycles = 3", "", True),
        ("lr_restart_cycles = 1", "", False),  # as without it
        ("grad_norm = 0", "", True),  # which is 1 without it
        ("grad_norm = 1.0", "", False),
        ("learnin_rate = 1e-5", "", True),
        ("learnin_rate = 1e-5", "learning_rate = 1e-5", False),
        ("conv_dim = 8", "", True),
        ("conv_dim = 8", 'network_args = ["algo=loha"]', True),
        ("conv_dim = 8", 'network_args = ["conv_dim=8"]', False),
        ("conv_dim = 0", "", False),
        ("relative_step = false", "", True),
        ("min_lr = 0", "", False),
        ("min_lr = 1e-6", "", True),
        ("num_processes = 2", "", False),
        ("bucket_resolutions = [[512, 512]]", "", False),
        ("print_hyperparameter = true", "", False),
    ],
)
def test_it_is_an_error_only_if_something_is_lost(
    line: str, more: str, is_lost: bool, tmp_path: Path
) -> None:
    found = problem_of(line, "sdxl_train_network.py", tmp_path / "a.toml", f"{more}\n")
    assert (found.code, found.severity) == ("unknown-option", "error" if is_lost else "warning")


def test_every_name_that_is_proposed_exists() -> None:
    every = {name for script in options.SCRIPTS for name in options.of(script)}
    every |= options.dataset().keys()
    assert {name for names in other_names.RENAMED.values() for name in names} <= every
    options_of_sd_scripts = {name for script in KNOWN for name in options.of(script)}
    assert not options_of_sd_scripts & other_names.OF_LAUNCH.keys()
    assert not options_of_sd_scripts & other_names.ADVICE.keys()
    for argument in other_names.ARGUMENTS.values():
        assert arguments.lists_of(argument)


def test_an_option_of_train_db_is_not_called_unknown(tmp_path: Path) -> None:
    found = problem_of("learning_rate_te = 1e-6", "sdxl_train.py", tmp_path / "a.toml")
    assert found.code == "other-script"
    assert found.message == "learning_rate_te is no option of sdxl_train.py, which ignores it"
    assert (found.hint or "").startswith("Use learning_rate_te1 and learning_rate_te2.")


@pytest.mark.parametrize(
    ("line", "script", "nearest"),
    [
        ('ae = "a"', "sd3_train_network.py", "flux_train_network.py"),
        ('ae = "a"', "sd3_train.py", "flux_train.py"),
        ("fp8_base_unet = true", "flux_train.py", "flux_train_network.py"),
        ("scale_weight_norms = 1.0", "sdxl_train.py", "sdxl_train_network.py"),
        ("learning_rate_te1 = 1e-6", "sdxl_train_network.py", "sdxl_train.py"),
    ],
)
def test_a_script_of_the_same_kind_is_named_first(
    line: str, script: str, nearest: str, tmp_path: Path
) -> None:
    found = problem_of(line, script, tmp_path / "a.toml")
    assert found.message.endswith(f"is no option of {script}, which ignores it")
    assert f"add --script {nearest}." in (found.hint or "")


def test_a_script_of_another_kind_is_not_proposed(tmp_path: Path) -> None:
    found = problem_of("learning_rate_te = 1e-6", "sdxl_train_network.py", tmp_path / "a.toml")
    assert found.hint == "Use text_encoder_lr."


@pytest.mark.parametrize(
    ("more", "code"),
    [("", "unknown-option"), ('network_args = ["loraplus_lr_ratio=4"]\n', "gui-key")],
)
def test_a_ratio_of_the_gui_is_lost_if_it_is_no_argument(
    more: str, code: str, tmp_path: Path
) -> None:
    script, file = "sdxl_train_network.py", tmp_path / "a.toml"
    found = problem_of("loraplus_lr_ratio = 4", script, file, more)
    assert found.code == code
    assert problem_of("loraplus_lr_ratio = 0", script, file, more).code == "gui-key"
