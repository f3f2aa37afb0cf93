"""Settings of the loss, the noise and the time steps that sd-scripts does not follow."""

from __future__ import annotations

import re

from kohya_presets.training.settings import Settings
from kohya_presets.validate.rules.rule import NEVER, SDXL, Finding, Rule, only_with


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


_NO_V = "Leave v_parameterization out, unless your base model predicts v."
_VERIFY = "library/train_util.py, verify_training_args"
_VERIFY_SDXL = "library/sdxl_train_util.py, verify_sdxl_training_args"
_NOISE = "library/train_util.py, get_noise_noisy_latents_and_timesteps"
RULES = (
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
        "timesteps-reversed",
        "warning",
        "min_timestep must be below max_timestep",
        timesteps,
        _NOISE,
        fails=NEVER,
        options=("min_timestep", "max_timestep"),
    ),
)
