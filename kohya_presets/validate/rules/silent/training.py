"""Settings of length, rates, memory and saving that sd-scripts does not follow."""

from __future__ import annotations

from kohya_presets.training.settings import Settings
from kohya_presets.validate.rules.rule import FINE_TUNE, NEVER, SDXL, Finding, Rule, only_with

LENGTH = ("max_train_epochs", "max_train_steps")


def steps_overridden(s: Settings) -> Finding | None:
    if s.changed("train", "max_train_steps") is None or not s.train("max_train_epochs"):
        return None
    message = "max_train_steps has no effect with max_train_epochs"
    return Finding("train", "max_train_steps", message, "Leave max_train_steps out.")


def default_steps(s: Settings) -> Finding | None:
    given = (s.given("train", key) for key in LENGTH)
    if s.kind == "config" or any(value is not None for value in given):
        return None  # a file may leave it to the command line, see `config_files`
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


def _is_rounded(s: Settings) -> bool:
    """Return whether a training with stochastic_rounding has anything in bfloat16."""
    state = s.training.optimizer_args.get("state_dtype", "bfloat16")
    return bool(s.train("full_bf16")) or (s.training.optimizer == "adacoor" and state != "float32")


def _saves_between(s: Settings) -> bool:
    every = ("save_every_n_epochs", "save_every_n_steps", "save_n_epoch_ratio")
    return any(s.train(key) for key in every)


_VERIFY = "library/train_util.py, verify_training_args"
_VERIFY_SDXL = "library/sdxl_train_util.py, verify_sdxl_training_args"
_SCHEDULE = "library/train_util.py, get_scheduler_fix"
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
        "rounding-idle",
        "warning",
        "stochastic_rounding needs full_bf16, or AdaCoor with its state in bfloat16",
        only_with(("stochastic_rounding",), _is_rounded, "without full_bf16"),
        "patches/fused_step/kp_fused.py, Steps: says it",
        fails=NEVER,
        options=("stochastic_rounding", "full_bf16"),
        scripts=FINE_TUNE,
    ),
    Rule(
        "kahan-idle",
        "warning",
        "kahan_summation needs full_bf16",
        only_with(("kahan_summation",), lambda s: bool(s.train("full_bf16")), "without full_bf16"),
        "patches/fused_step/kp_fused.py, Steps: says it",
        fails=NEVER,
        options=("kahan_summation", "full_bf16"),
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
