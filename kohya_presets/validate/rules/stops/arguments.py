"""Combinations of training options that stop sd-scripts, most of them at once."""

from __future__ import annotations

from kohya_presets.training.settings import Settings, sides
from kohya_presets.validate.rules.rule import (
    AT_ONCE,
    FINE_TUNE,
    FIRST_SAVE,
    LOADING,
    MODEL_LOADED,
    SDXL,
    Finding,
    Rule,
    excludes,
    needs,
)
from kohya_presets.validate.rules.stops.images import CACHES_TEXT

BLOCKS = 23  # parts of SDXL's U-Net that block_lr gives a rate each


def bad_resolution(s: Settings) -> Finding | None:
    text = s.given("train", "resolution")
    if text is None or s.given("dataset", "resolution") is not None or sides(text):
        return None
    return Finding("train", "resolution", f'expected "1024" or "1024,1024", found {text!r}')


def bad_face_crop(s: Settings) -> Finding | None:
    text = s.given("train", "face_crop_aug_range")
    if text is None:
        return None
    try:
        low, high = map(float, text.split(","))
    except ValueError:
        low, high = 1.0, 0.0
    if low <= high:
        return None
    message = f'expected two numbers such as "2.0,4.0", the smaller first, found {text!r}'
    return Finding("train", "face_crop_aug_range", message)


def weighted_captions_cached(s: Settings) -> Finding | None:
    return excludes("weighted_captions", *CACHES_TEXT)(s)


def weighted_captions(s: Settings) -> Finding | None:
    if not s.train("weighted_captions"):
        return None
    message = "this sd-scripts release does not support weighted_captions with SDXL"
    hint = "Use v0.10.0 or newer, or leave weighted_captions out."
    return Finding("train", "weighted_captions", message, hint)


def cached_text_trained(s: Settings) -> Finding | None:
    cached = next((key for key in CACHES_TEXT if s.train(key)), None)
    if not cached or not s.train("train_text_encoder"):
        return None
    message = f"{cached} does not work with train_text_encoder"
    hint = "Delete one of the two: cached outputs cannot change during training."
    return Finding("train", cached, message, hint)


def block_rates(s: Settings) -> Finding | None:
    text = s.given("train", "block_lr")
    if not text:
        return None
    try:
        count = len([float(rate) for rate in text.split(",")])
    except ValueError:
        count = 0
    if count == BLOCKS:
        return None
    found = f"{count}" if count else repr(text)
    message = f"expected {BLOCKS} numbers separated by commas, found {found}"
    return Finding("train", "block_lr", message)


def no_log_folder(s: Settings) -> Finding | None:
    tool = s.train("log_with")
    if tool not in ("tensorboard", "all") or s.train("logging_dir"):
        return None
    message = f"log_with {tool!r} needs logging_dir"
    return Finding("train", "log_with", message, "Set logging_dir to a folder for the logs.")


def workers_persist(s: Settings) -> Finding | None:
    workers = s.train("max_data_loader_n_workers")
    if not s.train("persistent_data_loader_workers") or workers != 0:
        return None
    message = "persistent_data_loader_workers needs max_data_loader_n_workers of 1 or more, found 0"
    hint = "Leave it out, or set max_data_loader_n_workers to 1 or more."
    return Finding("train", "persistent_data_loader_workers", message, hint)


def save_every_zero(s: Settings) -> Finding | None:
    for key in ("save_every_n_epochs", "save_every_n_steps"):
        if s.given("train", key) == 0:
            message = f"expected {key} of 1 or more, found 0"
            return Finding("train", key, message, f"Leave {key} out.")
    return None


def version_2(s: Settings) -> Finding | None:
    if not s.train("v2"):
        return None
    return Finding("train", "v2", "v2 is for Stable Diffusion 2", "Leave v2 out.")


def nothing_trained(s: Settings) -> Finding | None:
    if s.train("learning_rate") != 0 or any(s.training.text_encoders):
        return None
    message = "nothing is trained: learning_rate is 0, and the text encoders are not trained"
    hint = "Set learning_rate above 0."
    return Finding("train", "learning_rate", message, hint)


_ONLY_V = "Leave it out: it is only for models that predict v."
_TRAIN = "sdxl_train.py, train"
_VERIFY = "library/train_util.py, verify_training_args"
_PREPARE = "library/train_util.py, prepare_dataset_args"
RULES = (
    Rule(
        "adaptive-noise",
        "error",
        "adaptive_noise_scale needs noise_offset",
        needs("adaptive_noise_scale", "noise_offset"),
        f"{_VERIFY}: raises without noise_offset",
        fails=AT_ONCE,
        options=("adaptive_noise_scale", "noise_offset"),
    ),
    Rule(
        "scale-v-pred",
        "error",
        "scale_v_pred_loss_like_noise_pred needs v_parameterization",
        needs("scale_v_pred_loss_like_noise_pred", "v_parameterization", _ONLY_V),
        f"{_VERIFY}: raises without v_parameterization",
        fails=AT_ONCE,
        options=("scale_v_pred_loss_like_noise_pred", "v_parameterization"),
    ),
    Rule(
        "v-pred-like-loss",
        "error",
        "v_pred_like_loss does not work with v_parameterization",
        excludes("v_pred_like_loss", "v_parameterization"),
        f"{_VERIFY}: raises with v_parameterization",
        fails=AT_ONCE,
        options=("v_pred_like_loss", "v_parameterization"),
    ),
    Rule(
        "resolution-form",
        "error",
        "resolution in [train] must be one or two whole numbers",
        bad_resolution,
        f"{_PREPARE}: one or two whole numbers",
        fails=AT_ONCE,
        options=("resolution",),
    ),
    Rule(
        "face-crop-form",
        "error",
        "face_crop_aug_range must be two numbers, the smaller first",
        bad_face_crop,
        f"{_PREPARE}: two numbers in order",
        fails=AT_ONCE,
        options=("face_crop_aug_range",),
    ),
    Rule(
        "v2-on-sdxl",
        "error",
        "v2 is not for SDXL",
        version_2,
        "library/sdxl_train_util.py, verify_sdxl_training_args: asserts not v2",
        fails=AT_ONCE,
        options=("v2",),
        scripts=SDXL,
    ),
    Rule(
        "weighted-captions",
        "error",
        "weighted_captions does not work with SDXL",
        weighted_captions,
        "library/sdxl_train_util.py, verify_sdxl_training_args: asserts not weighted_captions",
        releases="<0.10.0",
        fails=AT_ONCE,
        options=("weighted_captions",),
        scripts=SDXL,
    ),
    Rule(
        "weighted-captions-cached",
        "error",
        "weighted_captions does not work with cache_text_encoder_outputs",
        weighted_captions_cached,
        f"{_TRAIN}: asserts not both",
        releases=">=0.10.0",
        fails=AT_ONCE,
        options=("weighted_captions", "cache_text_encoder_outputs"),
        scripts=FINE_TUNE,
    ),
    Rule(
        "cached-text-trained",
        "error",
        "cache_text_encoder_outputs does not work with train_text_encoder",
        cached_text_trained,
        f"{_TRAIN}: asserts not both",
        fails=AT_ONCE,
        options=("cache_text_encoder_outputs", "train_text_encoder"),
        scripts=FINE_TUNE,
    ),
    Rule(
        "block-rates",
        "error",
        "block_lr must be 23 numbers",
        block_rates,
        f"{_TRAIN}: 23 values",
        fails=AT_ONCE,
        options=("block_lr",),
        scripts=FINE_TUNE,
    ),
    Rule(
        "no-log-folder",
        "error",
        "log_with tensorboard needs logging_dir",
        no_log_folder,
        "library/train_util.py, prepare_accelerator: raises without logging_dir",
        fails=LOADING,
        options=("log_with", "logging_dir"),
    ),
    Rule(
        "workers-persist",
        "error",
        "persistent_data_loader_workers needs max_data_loader_n_workers of 1 or more",
        workers_persist,
        "torch.utils.data.DataLoader: persistent_workers needs num_workers > 0",
        fails=MODEL_LOADED,
        options=("persistent_data_loader_workers", "max_data_loader_n_workers"),
    ),
    Rule(
        "nothing-trained",
        "error",
        "learning_rate 0 needs train_text_encoder",
        nothing_trained,
        "torch.optim.Optimizer: raises for an empty list of parameters",
        fails=MODEL_LOADED,
        options=("learning_rate", "train_text_encoder"),
        scripts=FINE_TUNE,
    ),
    Rule(
        "save-every-zero",
        "error",
        "save_every_n_epochs and save_every_n_steps must be 1 or more",
        save_every_zero,
        f"{_TRAIN}, and save_sd_model_on_epoch_end_or_stepwise_common: divide by it",
        fails=FIRST_SAVE,
        options=("save_every_n_epochs", "save_every_n_steps"),
    ),
)
