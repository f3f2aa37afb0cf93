"""Settings that sd-scripts accepts, with at most a line in its log, but does not follow."""

from __future__ import annotations

import re

from kohya_presets.training.settings import Settings
from kohya_presets.validate.rules.rule import FINE_TUNE, NEVER, SDXL, Finding, Rule, only_with


def steps_overridden(s: Settings) -> Finding | None:
    if s.changed("train", "max_train_steps") is None or not s.train("max_train_epochs"):
        return None
    message = "max_train_steps has no effect with max_train_epochs"
    return Finding("train", "max_train_steps", message, "Leave max_train_steps out.")


def default_steps(s: Settings) -> Finding | None:
    given = (s.given("train", key) for key in ("max_train_steps", "max_train_epochs"))
    if any(value is not None for value in given):
        return None
    parts = ("pretrained_model_name_or_path", "output_dir")
    if not s.is_whole or (s.kind == "config" and any(s.given("train", p) is None for p in parts)):
        return None  # the command line says the rest
    message = f"no length is set: the training stops after {s.train('max_train_steps')} steps"
    return Finding("train", "max_train_epochs", message, "Set max_train_epochs.")


def cache_implied(s: Settings) -> Finding | None:
    for key in ("cache_latents", "cache_text_encoder_outputs"):
        disk = f"{key}_to_disk"
        if s.train(disk) and not s.train(key):
            return Finding("train", disk, f"{disk} also turns on {key}", f"Set {key} = true.")
    return None


def two_attentions(s: Settings) -> Finding | None:
    chosen = [key for key in ("mem_eff_attn", "xformers", "sdpa") if s.train(key)]
    if len(chosen) < 2:
        return None
    message = f"{chosen[1]} has no effect with {chosen[0]}"
    return Finding("train", chosen[1], message, "Delete one of the two.")


def own_step_size(s: Settings) -> Finding | None:
    if not s.training.sets_rate:
        return None
    message = "Adafactor sets its own rate and schedule; learning_rate is only the first rate"
    hint = 'To set the rate: optimizer_args = ["relative_step=False", "scale_parameter=False"].'
    return Finding("train", "optimizer_type", message, hint)


def timesteps(s: Settings) -> Finding | None:
    low, high = s.train("min_timestep") or 0, s.train("max_timestep")
    if high is None or low < high:
        return None
    message = f"min_timestep is {low}, but must be below max_timestep ({high})"
    hint = "Use a lower min_timestep: sd-scripts would stop, or train only at max_timestep."
    return Finding("train", "min_timestep", message, hint)


def v_prediction(s: Settings) -> Finding | None:
    if not s.train("v_parameterization") or _named_for_v(s):
        return None
    message = "v_parameterization is only for a base model that predicts v; SDXL itself does not"
    return Finding("train", "v_parameterization", message, _NO_V)


def base_predicts_v(s: Settings) -> Finding | None:
    if s.train("v_parameterization") or not _named_for_v(s):
        return None
    message = "the base model predicts v, as its name says, but is trained to predict the noise"
    hint = "Set v_parameterization = true, and zero_terminal_snr = true if the base needs it."
    return Finding("train", "pretrained_model_name_or_path", message, hint)


def _named_for_v(s: Settings) -> bool:
    base = str(s.given("train", "pretrained_model_name_or_path") or "")
    return re.search(r"v[-_ ]?pred", base, re.IGNORECASE) is not None


def _huber(s: Settings) -> bool:
    return s.train("loss_type") in ("huber", "smooth_l1")


def _saves_between(s: Settings) -> bool:
    every = ("save_every_n_epochs", "save_every_n_steps", "save_n_epoch_ratio")
    return any(s.train(key) for key in every)


_NO_V = "Leave v_parameterization out, unless your base model predicts v."
_VERIFY = "library/train_util.py, verify_training_args"
_VERIFY_SDXL = "library/sdxl_train_util.py, verify_sdxl_training_args"
_SCHEDULE = "library/train_util.py, get_scheduler_fix"
_NOISE = "library/train_util.py, get_noise_noisy_latents_and_timesteps"
RULES = (
    Rule(
        "steps-overridden",
        "warning",
        "max_train_epochs replaces max_train_steps",
        steps_overridden,
        "sdxl_train.py, train: max_train_steps is computed anew from max_train_epochs",
        fails=NEVER,
        options=("max_train_epochs", "max_train_steps"),
    ),
    Rule(
        "default-steps",
        "warning",
        "without max_train_epochs or max_train_steps, a training stops after 1600 steps",
        default_steps,
        "library/train_util.py, add_training_arguments; kohya_ss issues 2391, 2371, 2303, 2976",
        fails=NEVER,
        options=("max_train_epochs", "max_train_steps"),
    ),
    Rule(
        "cache-implied",
        "warning",
        "cache_latents_to_disk and cache_text_encoder_outputs_to_disk turn caching on",
        cache_implied,
        f"{_VERIFY}, {_VERIFY_SDXL}",
        fails=NEVER,
        options=("cache_latents_to_disk", "cache_text_encoder_outputs_to_disk"),
    ),
    Rule(
        "zero-snr",
        "warning",
        "zero_terminal_snr is for v_parameterization",
        only_with(
            ("zero_terminal_snr",),
            lambda s: bool(s.train("v_parameterization")),
            "that makes sense without v_parameterization",
        ),
        f"{_VERIFY}: warns",
        fails=NEVER,
        options=("zero_terminal_snr", "v_parameterization"),
    ),
    Rule(
        "clip-skip",
        "warning",
        "clip_skip has no effect with SDXL",
        only_with(("clip_skip",), lambda s: False, "with SDXL"),
        f"{_VERIFY_SDXL}: warns",
        fails=NEVER,
        options=("clip_skip",),
        scripts=SDXL,
    ),
    Rule(
        "base-predicts-v",
        "warning",
        "a base model named for v-prediction needs v_parameterization",
        base_predicts_v,
        "library/train_util.py: the target is v only with v_parameterization",
        fails=NEVER,
        options=("v_parameterization", "pretrained_model_name_or_path"),
    ),
    Rule(
        "v-prediction",
        "warning",
        "v_parameterization is for base models that predict v",
        v_prediction,
        f"{_VERIFY_SDXL}: warns",
        releases="<0.10.0",
        not_in=("8ebe858f8963", "2e0fcc50cb34"),
        fails=NEVER,
        options=("v_parameterization",),
        scripts=SDXL,
    ),
    Rule(
        "text-rates-idle",
        "warning",
        "learning_rate_te1 and learning_rate_te2 need train_text_encoder",
        only_with(
            ("learning_rate_te1", "learning_rate_te2"),
            lambda s: bool(s.train("train_text_encoder")),
            "without train_text_encoder",
        ),
        "sdxl_train.py, train; kohya_ss issues 1696, 1882",
        fails=NEVER,
        options=("learning_rate_te1", "learning_rate_te2", "train_text_encoder"),
        scripts=FINE_TUNE,
    ),
    Rule(
        "two-attentions",
        "warning",
        "only the first of mem_eff_attn, xformers and sdpa has an effect",
        two_attentions,
        "library/train_util.py, replace_unet_modules: the first of mem_eff_attn, xformers, sdpa",
        fails=NEVER,
        options=("mem_eff_attn", "xformers", "sdpa"),
    ),
    Rule(
        "noise-strength-idle",
        "warning",
        "noise_offset_random_strength needs noise_offset",
        only_with(
            ("noise_offset_random_strength",),
            lambda s: bool(s.train("noise_offset")),
            "without noise_offset",
        ),
        _NOISE,
        fails=NEVER,
        options=("noise_offset_random_strength", "noise_offset"),
    ),
    Rule(
        "ip-noise-strength-idle",
        "warning",
        "ip_noise_gamma_random_strength needs ip_noise_gamma",
        only_with(
            ("ip_noise_gamma_random_strength",),
            lambda s: bool(s.train("ip_noise_gamma")),
            "without ip_noise_gamma",
        ),
        _NOISE,
        fails=NEVER,
        options=("ip_noise_gamma_random_strength", "ip_noise_gamma"),
    ),
    Rule(
        "huber-idle",
        "warning",
        "huber_c, huber_scale and huber_schedule need loss_type huber or smooth_l1",
        only_with(
            ("huber_c", "huber_scale", "huber_schedule"),
            _huber,
            "unless loss_type is huber or smooth_l1",
        ),
        "library/train_util.py, get_huber_threshold_if_needed",
        fails=NEVER,
        options=("huber_c", "huber_scale", "huber_schedule", "loss_type"),
    ),
    Rule(
        "cycles-idle",
        "warning",
        "lr_scheduler_num_cycles needs lr_scheduler cosine_with_restarts",
        only_with(
            ("lr_scheduler_num_cycles",),
            lambda s: s.training.schedule.startswith(("cosine_with", "warmup_stable")),
            "with this lr_scheduler",
        ),
        _SCHEDULE,
        fails=NEVER,
        options=("lr_scheduler_num_cycles", "lr_scheduler"),
    ),
    Rule(
        "power-idle",
        "warning",
        "lr_scheduler_power needs lr_scheduler polynomial",
        only_with(
            ("lr_scheduler_power",),
            lambda s: s.training.schedule == "polynomial",
            "unless lr_scheduler is polynomial",
        ),
        _SCHEDULE,
        fails=NEVER,
        options=("lr_scheduler_power", "lr_scheduler"),
    ),
    Rule(
        "adafactor-rate",
        "warning",
        "optimizer_type Adafactor sets its own rate, unless optimizer_args turn that off",
        own_step_size,
        "library/train_util.py (optimizer.py from v0.11.0), get_optimizer",
        fails=NEVER,
        options=("optimizer_type", "optimizer_args"),
    ),
    Rule(
        "timesteps-reversed",
        "warning",
        "min_timestep must be below max_timestep",
        timesteps,
        _NOISE,
        fails=NEVER,
        options=("min_timestep", "max_timestep"),
    ),
    Rule(
        "keep-last-idle",
        "warning",
        "save_last_n_epochs and save_last_n_steps need save_every_n_epochs or save_every_n_steps",
        only_with(
            ("save_last_n_epochs", "save_last_n_steps"),
            _saves_between,
            "without save_every_n_epochs or save_every_n_steps",
        ),
        "library/train_util.py, save_sd_model_on_epoch_end_or_stepwise_common",
        fails=NEVER,
        options=(
            "save_last_n_epochs",
            "save_last_n_steps",
            "save_every_n_epochs",
            "save_every_n_steps",
        ),
    ),
)
