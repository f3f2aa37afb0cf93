"""Values of the wrong type that sd-scripts takes as they are meant.

A config file does not pass through argparse: its values reach the code as they are, which mostly
asks whether they are true (library/train_util.py, read_config_from_file).
"""

from __future__ import annotations

from typing import Any

from kohya_presets.sdscripts.options import Option

OFF = frozenset({"false", "no", "off", "0", "none", "null", "disabled"})
# Options of which some release asks whether they are None, so that "off" is not what false means.
ASKED_FOR_NONE = frozenset(
    {
        *("adaptive_noise_scale", "clip_skip", "dataset_class", "dataset_config", "in_json"),
        *("face_crop_aug_range", "huggingface_repo_id", "huggingface_path_in_repo", "init_word"),
        *("log_prefix", "log_tracker_config", "log_tracker_name", "log_with", "logging_dir"),
        *("max_timestep", "max_token_length", "min_timestep", "max_train_epochs"),
        *("network_weights", "clip_l"),
        *("output_name", "output_dir", "pretrained_model_name_or_path", "resolution", "seed"),
        *("reg_data_dir", "sample_prompts", "save_model_as", "text_encoder_lr", "unet_lr", "vae"),
        *("stop_text_encoder_training", "vae_batch_size", "wandb_api_key", "weights", "t5xxl"),
        *("train_data_dir", "learning_rate_te", "learning_rate_te1", "learning_rate_te2"),
        *("sample_every_n_epochs", "sample_every_n_steps", "save_every_n_epochs"),
        *("save_every_n_steps", "save_last_n_epochs", "save_last_n_steps", "save_n_epoch_ratio"),
        *("multires_noise_iterations", "noise_offset", "huggingface_repo_visibility"),
    }
)


def taken(option: Option, value: Any) -> str | None:
    """Return how sd-scripts takes a value that is not of the option's type, if it works as meant.

    None if it matters.
    """
    if option.type == "bool":
        return _switch(value)
    if value is False and option.name not in ASKED_FOR_NONE:
        return "counts as not set"
    if value == "" and option.type.endswith("s"):  # a list of which the code takes each item
        return "counts as an empty list"
    return None


def is_usual(option: Option, value: Any) -> bool:
    """Return whether a value does what is done without the option."""
    if isinstance(value, bool) is isinstance(option.default, bool) and value == option.default:
        return True
    is_off = option.default in (None, False) and value in (False, 0)
    return is_off and option.name not in ASKED_FOR_NONE


def _switch(value: Any) -> str | None:
    if isinstance(value, str):
        return None if value.strip().lower() in OFF else f"counts as {_word(value.strip() != '')}"
    return f"counts as {_word(value)}" if _is_number(value) or value == [] else None


def _word(value: Any) -> str:
    return "true" if value else "false"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
