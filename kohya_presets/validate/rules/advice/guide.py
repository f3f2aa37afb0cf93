"""The guide's experience with training options, in our words; `guide_dataset` has the rest."""

from __future__ import annotations

from collections.abc import Callable

from kohya_presets.sdscripts.optimizers import SCHEDULES
from kohya_presets.training import saves
from kohya_presets.training.settings import Settings
from kohya_presets.validate.rules.rule import FINE_TUNE, NEVER, Finding, Rule

HIGHEST = {  # highest learning rate of the guide, by optimizer
    **dict.fromkeys(
        ("adamw", "adamw8bit", "pagedadamw", "pagedadamw8bit", "pagedadamw32bit"), 1e-6
    ),
    **dict.fromkeys(("lion", "lion8bit", "pagedlion8bit"), 1e-7),
}
MOST_EPOCHS = 100
MOST_SAVES = 5
SAVED_GB = 6.9  # an SDXL checkpoint in fp16
GOOD_GAMMA = 5
TIMESTEPS = 1000  # of SDXL: a max_timestep of 1000 leaves none out
_FEWER_TIMESTEPS = "leaving out some timesteps makes results worse"


def given(key: str, message: str, hint: str) -> Callable[[Settings], Finding | None]:
    """Return a check that the training option `key` is not switched on."""
    return lambda s: Finding("train", key, message, hint) if s.train(key) else None


def adaptive(s: Settings) -> Finding | None:
    if not s.training.optimizer.startswith(("dadapt", "prodigy")):
        return None
    message = f"{s.train('optimizer_type')} raises its learning rate and never lowers it"
    hint = "Use AdamW with learning_rate = 1e-6, as in the guide."
    return Finding("train", "optimizer_type", message, hint)


def paged_adamw(s: Settings) -> Finding | None:
    if s.training.optimizer != "pagedadamw8bit":
        return None
    message = "PagedAdamW8bit takes about twice as long as AdamW8bit"
    return Finding("train", "optimizer_type", message, "Use AdamW, or AdamW8bit to save memory.")


def high_rate(s: Settings) -> Finding | None:
    rate, highest = s.train("learning_rate"), HIGHEST.get(s.training.optimizer)
    if highest is None or rate is None or rate <= highest:
        return None
    name = s.training.optimizer_name
    message = f"learning_rate {rate:g} is too high for {name} and ruins the model"
    return Finding("train", "learning_rate", message, f"Use learning_rate = {highest:g}.")


def warmup(s: Settings) -> Finding | None:
    if not s.train("lr_warmup_steps") or s.training.schedule in ("constant", "adafactor"):
        return None
    message = "a warm-up has the same effect as a lower learning_rate"
    return Finding("train", "lr_warmup_steps", message, "Use lr_warmup_steps = 0.")


def schedule(s: Settings) -> Finding | None:
    known = (
        s.training.schedule.split(":")[0] in SCHEDULES
    )  # "piecewise_constant:..." has its rules on
    if s.training.schedule in ("constant", "adafactor") or not known:
        return None
    message = f"{s.training.schedule} has the same effect as a lower learning_rate"
    return Finding("train", "lr_scheduler", message, 'Use lr_scheduler = "constant".')


def many_epochs(s: Settings) -> Finding | None:
    epochs = s.train("max_train_epochs")
    if not epochs or epochs <= MOST_EPOCHS:
        return None
    message = f"after {MOST_EPOCHS} epochs the model hardly learns anything more"
    return Finding("train", "max_train_epochs", message, f"Use max_train_epochs = {MOST_EPOCHS}.")


def counted_in_steps(s: Settings) -> Finding | None:
    if not s.given("train", "max_train_steps") or s.train("max_train_epochs"):
        return None
    hint = "Use max_train_epochs. Other options count in epochs too."
    message = "this number of steps may not be a whole number of epochs"
    return Finding("train", "max_train_steps", message, hint)


def many_saves(s: Settings) -> Finding | None:
    every, epochs = s.given("train", "save_every_n_epochs"), s.train("max_train_epochs")
    if not every or not epochs:
        return None
    count = saves.kept(epochs, every, s.train("save_last_n_epochs")) + 1
    if count <= MOST_SAVES:
        return None
    message = f"{count} checkpoints are kept: {count * SAVED_GB:.0f} GB in fp16"
    hint = "Leave it out to save only the last one, or set save_last_n_epochs."
    return Finding("train", "save_every_n_epochs", message, hint)


def cached_latents(s: Settings) -> Finding | None:
    if not s.train("cache_latents") or s.dataset("random_crop"):
        return None
    message = "with cache_latents every image is always cropped in the same way"
    return Finding("train", "cache_latents", message, "Use random_crop instead, as in the guide.")


def full_fp16(s: Settings) -> Finding | None:
    if not s.train("full_fp16") or s.training.optimizer == "adamw8bit":
        return None
    message = f"full_fp16 with {s.training.optimizer_name} ends in NaN"
    hint = "Leave full_fp16 out. It works only with AdamW8bit."
    return Finding("train", "full_fp16", message, hint)


def full_half(s: Settings) -> Finding | None:
    key = next((key for key in ("full_fp16", "full_bf16") if s.train(key)), None)
    if key is None:
        return None
    message = f"{key} saves memory but makes the quality much worse"
    return Finding("train", key, message, f"Leave {key} out.")


def mixed_precision(s: Settings) -> Finding | None:
    mixed = s.train("mixed_precision")
    if mixed in ("fp16", None):
        return None
    message = f'mixed_precision "{mixed}" gives worse results than "fp16"'
    return Finding("train", "mixed_precision", message, 'Use "fp16" here and in save_precision.')


def no_min_snr(s: Settings) -> Finding | None:
    gamma = s.train("min_snr_gamma")
    if gamma == GOOD_GAMMA:
        return None
    now = f"min_snr_gamma is {gamma:g}" if gamma else "min_snr_gamma is not set"
    message = f"{now}; {GOOD_GAMMA} clearly improves the likeness"
    return Finding("train", "min_snr_gamma", message, f"Use min_snr_gamma = {GOOD_GAMMA}.")


def text_encoder_off(s: Settings) -> Finding | None:
    if any(s.training.text_encoders):
        return None
    message = "the text encoders are not trained, which makes results much worse"
    return Finding("train", "train_text_encoder", message, "Use train_text_encoder = true.")


def few_timesteps_above(s: Settings) -> Finding | None:
    highest = s.train("max_timestep")
    if highest is None or highest >= TIMESTEPS:
        return None
    return Finding("train", "max_timestep", _FEWER_TIMESTEPS, "Leave max_timestep out.")


def worse(code: str, key: str, message: str, section: str) -> Rule:
    """Return the rule against a training option that the guide found to make results worse."""
    find = given(key, message, f"Leave {key} out.")
    return advice(code, f"no {key}", find, section, options=(key,))


def advice(
    code: str,
    says: str,
    find: Callable[[Settings], Finding | None],
    section: str,
    *,
    options: tuple[str, ...],
) -> Rule:
    """Return advice from a section of the guide, which is about fine-tuning SDXL in full."""
    citation = f"guide: {section}"
    return Rule(
        code, "advice", says, find, citation, fails=NEVER, options=options, scripts=FINE_TUNE
    )


RULES = (
    advice(
        "adaptive-optimizer",
        "do not use an adaptive optimizer_type",
        adaptive,
        "Optimizer",
        options=("optimizer_type",),
    ),
    advice(
        "paged-adamw",
        "PagedAdamW8bit is slow",
        paged_adamw,
        "Optimizer",
        options=("optimizer_type",),
    ),
    advice(
        "rate-too-high",
        "use a learning_rate up to 1e-6 with AdamW, 1e-7 with Lion",
        high_rate,
        "Learning rate, and update after 2023-12-08 (Lion)",
        options=("learning_rate",),
    ),
    advice("warmup", "no lr_warmup_steps", warmup, "LR warmup", options=("lr_warmup_steps",)),
    advice(
        "schedule", "lr_scheduler constant", schedule, "LR scheduler", options=("lr_scheduler",)
    ),
    advice(
        "many-epochs",
        "max_train_epochs up to 100",
        many_epochs,
        "Max Train Epoch",
        options=("max_train_epochs",),
    ),
    advice(
        "counted-in-steps",
        "max_train_epochs rather than max_train_steps",
        counted_in_steps,
        "Max Train Steps",
        options=("max_train_epochs", "max_train_steps"),
    ),
    advice(
        "many-saves",
        "save_every_n_epochs takes 6.9 GB each time",
        many_saves,
        "Save Every N Epochs",
        options=("save_every_n_epochs",),
    ),
    advice(
        "cached-latents",
        "no cache_latents, so that random_crop can be used",
        cached_latents,
        "Cache latents (to disk)",
        options=("cache_latents", "random_crop"),
    ),
    advice(
        "full-fp16",
        "full_fp16 with AdamW8bit only",
        full_fp16,
        "Full fp16 training and full bf16 training",
        options=("full_fp16",),
    ),
    advice(
        "full-half",
        "neither full_fp16 nor full_bf16",
        full_half,
        "Full fp16 training and full bf16 training",
        options=("full_fp16", "full_bf16"),
    ),
    advice(
        "mixed-precision",
        "mixed_precision fp16",
        mixed_precision,
        "Mixed precision and save precision",
        options=("mixed_precision",),
    ),
    advice(
        "min-snr-gamma",
        "min_snr_gamma 5",
        no_min_snr,
        "changelog, 2023-12-08 (corrects Min SNR gamma)",
        options=("min_snr_gamma",),
    ),
    advice(
        "text-encoder-off",
        "train_text_encoder on",
        text_encoder_off,
        "Train text encoder",
        options=("train_text_encoder",),
    ),
    worse(
        "noise-offset",
        "noise_offset",
        "noise_offset improves the light and makes everything else worse",
        "Noise offset, Noise offset type, Adaptive noise scale",
    ),
    worse(
        "v-pred-like",
        "v_pred_like_loss",
        "v_pred_like_loss gives bad results",
        "V pred like loss",
    ),
    worse(
        "cached-text",
        "cache_text_encoder_outputs",
        "caching text encoder outputs costs more quality than the saved memory is worth",
        "Cache text encoder outputs",
    ),
    worse("few-timesteps", "min_timestep", _FEWER_TIMESTEPS, "min timestep and max timestep"),
    advice(
        "few-timesteps-above",
        "max_timestep 1000",
        few_timesteps_above,
        "min timestep and max timestep",
        options=("max_timestep",),
    ),
)
