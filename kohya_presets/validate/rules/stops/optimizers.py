"""Optimizers, schedules and precision: sd-scripts finds most of this only with the model loaded."""

from __future__ import annotations

from collections.abc import Mapping

from kohya_presets.problems import did_you_mean
from kohya_presets.sdscripts import arguments, optimizers, options, releases
from kohya_presets.training.settings import Settings
from kohya_presets.training.trained import FREE, literal
from kohya_presets.validate.rules.rule import (
    FINE_TUNE,
    FIRST_STEP,
    LOADING,
    MODEL_LOADED,
    NO_EMBEDDING,
    Finding,
    Rule,
    excludes,
)


def unknown_optimizer(s: Settings) -> Finding | None:
    name = s.given("train", "optimizer_type")
    if not name or "." in name or s.additions.undeclared(s.patches):
        return None  # a class of the user, or of the user's patch
    known = [
        *_since({o.name: o.since for o in optimizers.EVERY.values()}, s),
        *s.additions.optimizers(s.patches),
    ]
    if name.lower() in map(str.lower, known) or name in optimizers.TORCH:
        return None
    if patch := s.additions.patch_with_optimizer(name):
        message = f"the optimizer {name} needs the patch {patch!r}"
        hint = f'Add patches = ["{patch}"] to [preset], or run: kohya-presets patch apply {patch}'
        return Finding("train", "optimizer_type", message, hint)
    if later := optimizers.named(name):
        message = f"the optimizer {name} needs sd-scripts {later.since} or newer"
        hint = f"Use --release {later.since} or newer."
    else:
        message = f"unknown optimizer {name!r}"
        hint = (
            did_you_mean(name, [*known, *optimizers.TORCH])
            or "For an optimizer of another package write package.Class."
        )
    return Finding("train", "optimizer_type", message, hint)


def unusable_optimizer(s: Settings) -> Finding | None:
    name = s.given("train", "optimizer_type")
    if name not in optimizers.UNUSABLE:
        return None
    message = f"{name} wants more at each step than sd-scripts gives it"
    return Finding("train", "optimizer_type", message, 'Use another one, such as "AdamW".')


def adacoor_with_deepspeed(s: Settings) -> Finding | None:
    if s.training.optimizer != "adacoor" or not s.train("deepspeed"):
        return None
    message = "AdaCoor does not work with deepspeed, which steps parts of weights in one tensor"
    return Finding("train", "optimizer_type", message, 'Use another one, such as "AdamW".')


def optimizer_args(s: Settings) -> Finding | None:
    return _pairs(s, "optimizer_args")


def scheduler_args(s: Settings) -> Finding | None:
    return _pairs(s, "lr_scheduler_args")


def _pairs(s: Settings, key: str) -> Finding | None:
    for item in s.given("train", key) or ():
        name, _, value = item.partition("=")
        unread = isinstance(literal(value), str) and value[:1] not in "\"'"
        if item.count("=") != 1 or not name.isidentifier() or unread:
            message = f'expected "name=value" with a Python value, found {item!r}'
            hint = f"Write one name=value per item. Put strings in quotes: {name or 'name'}='text'"
            return Finding("train", key, message, hint)
    return None


def unknown_scheduler(s: Settings) -> Finding | None:
    name = s.given("train", "lr_scheduler")
    known = _since(optimizers.SCHEDULES, s)
    if name is None or s.train("lr_scheduler_type") or _free(s):
        return None
    if name in known or name.startswith("adafactor"):
        return None  # "adafactor:RATE" is judged below
    later = optimizers.SCHEDULES.get(name)
    message = f"unknown lr_scheduler {name!r}"
    if later:
        message = f"lr_scheduler {name} needs sd-scripts {later} or newer"
    hint = f"Use --release {later} or newer." if later else did_you_mean(name, known)
    return Finding("train", "lr_scheduler", message, hint)


def needless_warmup(s: Settings) -> Finding | None:
    steps, name = s.train("lr_warmup_steps"), s.training.schedule
    other = s.train("lr_scheduler_type")
    if not steps or _free(s) or not (other or name.startswith("adafactor") or name == "constant"):
        return None
    message = f"lr_warmup_steps is {steps}, but {other or name} has no warm-up"
    hint = 'Leave lr_warmup_steps out, or use lr_scheduler = "constant_with_warmup".'
    return Finding("train", "lr_warmup_steps", message, hint)


def adafactor_schedule(s: Settings) -> Finding | None:
    name, other = s.given("train", "lr_scheduler"), s.train("lr_scheduler_type")
    if other and s.training.sets_rate and arguments.of_schedule_class(other):
        message = f"Adafactor sets its own rate, so that {other} finds none"
        hint = 'Set optimizer_args = ["relative_step=False"], or leave lr_scheduler_type out.'
        return Finding("train", "lr_scheduler_type", message, hint)
    if not name or not name.startswith("adafactor") or other or _free(s):
        return None
    own = s.training.optimizer == "adafactor"
    if own and (":" in name or s.training.sets_rate):
        return None  # relative_step replaces the name
    message = "lr_scheduler adafactor works only with Adafactor and relative_step"
    return Finding("train", "lr_scheduler", message, 'Use lr_scheduler = "constant".')


def half_precision(s: Settings) -> Finding | None:
    for key, mixed in (("full_fp16", "fp16"), ("full_bf16", "bf16")):
        if s.train(key) and s.train("mixed_precision") not in (mixed, None):
            message = f'{key} needs mixed_precision = "{mixed}", not "{s.train("mixed_precision")}"'
            hint = f'Set mixed_precision = "{mixed}", or leave {key} out.'
            return Finding("train", key, message, hint)
    return None


def _free(s: Settings) -> bool:
    """Return whether the optimizer is schedule-free: it takes no schedule at all."""
    return s.training.schedule == FREE


def _since(names: Mapping[str, str], s: Settings) -> list[str]:
    here = releases.order(options.nearest_release(s.release))
    return [name for name, tag in names.items() if releases.order(tag) <= here]


_OPTIMIZER = "library/train_util.py (optimizer.py from v0.11.0), get_optimizer"
_SCHEDULE = "library/train_util.py (optimizer.py from v0.11.0), get_scheduler_fix"
RULES = (
    Rule(
        "half-precision",
        "error",
        "full_fp16 and full_bf16 need the same mixed_precision",
        half_precision,
        "library/sdxl_train_util.py, load_target_model, and the other scripts' train: assert it",
        fails=LOADING,
        options=("full_fp16", "full_bf16", "mixed_precision"),
        scripts=NO_EMBEDDING,
    ),
    Rule(
        "two-optimizers",
        "error",
        "use_8bit_adam does not work with optimizer_type and use_lion_optimizer",
        excludes("use_8bit_adam", "use_lion_optimizer", "optimizer_type"),
        f"{_OPTIMIZER}: asserts one of them",
        fails=MODEL_LOADED,
        options=("use_8bit_adam", "optimizer_type", "use_lion_optimizer"),
    ),
    Rule(
        "two-optimizers-lion",
        "error",
        "use_lion_optimizer does not work with optimizer_type",
        excludes("use_lion_optimizer", "optimizer_type"),
        f"{_OPTIMIZER}: asserts one of them",
        fails=MODEL_LOADED,
        options=("use_lion_optimizer", "optimizer_type"),
    ),
    Rule(
        "unknown-optimizer",
        "error",
        "optimizer_type must be a known name, a name of torch.optim, or package.Class",
        unknown_optimizer,
        f"{_OPTIMIZER}: getattr(torch.optim, ...)",
        fails=MODEL_LOADED,
        options=("optimizer_type",),
    ),
    Rule(
        "unusable-optimizer",
        "error",
        "optimizer_type must not be LBFGS or SparseAdam",
        unusable_optimizer,
        "torch.optim: LBFGS wants a function, SparseAdam sparse gradients",
        fails=FIRST_STEP,
        options=("optimizer_type",),
    ),
    Rule(
        "optimizer-args-form",
        "error",
        "optimizer_args must be name=value with Python values, one per item",
        optimizer_args,
        f'{_OPTIMIZER}: split("="), ast.literal_eval',
        fails=MODEL_LOADED,
        options=("optimizer_args",),
    ),
    Rule(
        "unknown-schedule",
        "error",
        "lr_scheduler must be a known name",
        unknown_scheduler,
        f"{_SCHEDULE}: SchedulerType(name)",
        fails=MODEL_LOADED,
        options=("lr_scheduler",),
    ),
    Rule(
        "schedule-args-form",
        "error",
        "lr_scheduler_args must be name=value with Python values, one per item",
        scheduler_args,
        f'{_SCHEDULE}: split("="), ast.literal_eval',
        fails=MODEL_LOADED,
        options=("lr_scheduler_args",),
    ),
    Rule(
        "needless-warmup",
        "error",
        "lr_warmup_steps needs an lr_scheduler that warms up",
        needless_warmup,
        f"{_SCHEDULE}: raises unless it is 0",
        fails=MODEL_LOADED,
        options=("lr_warmup_steps", "lr_scheduler"),
    ),
    Rule(
        "adafactor-schedule",
        "error",
        "lr_scheduler adafactor needs optimizer_type Adafactor",
        adafactor_schedule,
        f"{_SCHEDULE}: asserts the optimizer",
        fails=MODEL_LOADED,
        options=("lr_scheduler", "optimizer_type"),
    ),
    Rule(
        "adacoor-deepspeed",
        "error",
        "AdaCoor does not work with deepspeed",
        adacoor_with_deepspeed,
        "patches/adacoor/kp_adacoor.py, check: raises",
        fails=MODEL_LOADED,
        options=("optimizer_type", "deepspeed"),
        scripts=FINE_TUNE,
    ),
)
