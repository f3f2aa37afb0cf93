"""Arguments of schedules and optimizers, and what a schedule does in a run and in a resumed one."""

from __future__ import annotations

from kohya_presets.problems import did_you_mean
from kohya_presets.sdscripts import optimizers, options, releases
from kohya_presets.sdscripts.scripts import makes_lora
from kohya_presets.training.settings import Settings
from kohya_presets.training.trained import arguments
from kohya_presets.validate.rules.rule import MODEL_LOADED, NEVER, Finding, Rule, only_with

COUNTS_ON = "v0.9.0"  # the first release whose LoRA scripts write train_state.json


def unknown_argument(s: Settings) -> Finding | None:
    known = optimizers.ARGUMENTS.get(s.training.optimizer)
    if known is None:  # a class of somebody, or of a patch
        return None
    unknown = [name for name in s.training.optimizer_args if name not in known | {"lr"}]
    if not unknown:
        return None
    message = f"{s.training.optimizer_name} has no argument {unknown[0]!r}"
    hint = did_you_mean(unknown[0], known) or f"Use some of: {', '.join(sorted(known))}."
    return Finding("train", "optimizer_args", message, hint)


def trailing_comma(s: Settings) -> Finding | None:
    for name, value in s.training.optimizer_args.items():
        if isinstance(value, tuple) and len(value) == 1:
            message = f"{name}={value[0]}, with a comma is a tuple, which counts as true"
            hint = f'Take the comma away: "{name}={value[0]}"'
            return Finding("train", "optimizer_args", message, hint)
    return None


def missing_argument(s: Settings) -> Finding | None:
    if s.train("lr_scheduler_type") or s.training.optimizer.endswith("schedulefree"):
        return None
    given = arguments(s.given("train", "lr_scheduler_args"))
    name = s.training.schedule
    if name == "piecewise_constant" and "step_rules" not in given:
        hint = "Set lr_scheduler_args = [\"step_rules='1:1000,0.1:2000,0.01'\"]."
        return Finding("train", "lr_scheduler", f"{name} needs step_rules", hint)
    least = s.given("train", "lr_scheduler_min_lr_ratio")
    if name == "cosine_with_min_lr" and least is None and "min_lr" not in given:
        hint = "Set lr_scheduler_min_lr_ratio, such as 0.1: a share of the learning rate."
        return Finding("train", "lr_scheduler", f"{name} needs the lowest rate", hint)
    return None


def unknown_class(s: Settings) -> Finding | None:
    name = s.given("train", "lr_scheduler_type")
    if not name or "." in name or name in optimizers.TORCH_SCHEDULES:
        return None
    hint = did_you_mean(name, optimizers.TORCH_SCHEDULES)
    if name.lower() in optimizers.SCHEDULES:
        hint = f'Use lr_scheduler = "{name}" instead: lr_scheduler_type is a class of torch.'
    message = f"torch.optim.lr_scheduler has no class {name!r}"
    return Finding("train", "lr_scheduler_type", message, hint)


def share_of_steps(s: Settings) -> Finding | None:
    for key in ("lr_warmup_steps", "lr_decay_steps"):
        value, option = s.given("train", key), s.known("train").get(key)
        if option and option.type == "int or float" and isinstance(value, float) and value >= 1:
            message = f"{key} = {value} is a share: {value:g} times all steps"
            hint = f"For steps, write a whole number: {key} = {value:.0f}."
            return Finding("train", key, message, hint)
    return None


def warmup_too_long(s: Settings) -> Finding | None:
    steps, whole = s.train("lr_warmup_steps"), s.given("train", "max_train_steps")
    if not steps or not isinstance(steps, int) or not whole or s.train("max_train_epochs"):
        return None  # in epochs, the number of steps depends on the images
    if s.training.schedule in ("constant", "adafactor") or steps <= whole:
        return None
    message = f"the warm-up takes {steps} steps, the training {whole}: the rate only gets to "
    message += f"{whole / steps:.0%}"
    return Finding("train", "lr_warmup_steps", message, "Use fewer lr_warmup_steps.")


def resumed_count(s: Settings) -> Finding | None:
    if not s.given("train", "resume") or _counts_on(s):
        return None
    message = f"{s.script} counts steps from 0 again when it resumes from a state"
    steady = ("constant", "constant_with_warmup")
    if s.training.schedule in steady and not s.train("lr_scheduler_type"):
        hint = "Reduce max_train_epochs by the epochs that are already trained."
        return Finding("train", "resume", message, hint)
    message += f", but {s.train('lr_scheduler_type') or s.training.schedule} goes on in the state"
    hint = (
        "Keep max_train_epochs, which shapes the schedule. Stop when the missing epochs are done."
    )
    return Finding("train", "resume", message, hint)


def resumed_on(s: Settings) -> Finding | None:
    if not s.given("train", "resume") or not _counts_on(s):
        return None
    message = (
        f"{s.script} counts on from the state: max_train_epochs is the length of the whole run"
    )
    return Finding("train", "resume", message)


def _counts_on(s: Settings) -> bool:
    """Return whether a script knows from a state how many steps are done."""
    here = releases.order(options.nearest_release(s.release))
    return makes_lora(s.script) and here >= releases.order(COUNTS_ON)


def _follows(*schedules: str):  # type: ignore[no-untyped-def]
    return lambda s: not s.train("lr_scheduler_type") and s.training.schedule in schedules


_SCHEDULE = "library/train_util.py (optimizer.py from v0.11.0), get_scheduler_fix"
_OPTIMIZER = "library/train_util.py (optimizer.py from v0.11.0), get_optimizer"
RULES = (
    Rule(
        "optimizer-argument",
        "error",
        "optimizer_args must be arguments of the optimizer",
        unknown_argument,
        f"{_OPTIMIZER}: hands them on, which raises TypeError",
        fails=MODEL_LOADED,
        options=("optimizer_args", "optimizer_type"),
    ),
    Rule(
        "trailing-comma",
        "warning",
        "no comma at the end of a value in optimizer_args",
        trailing_comma,
        f"{_OPTIMIZER}: ast.literal_eval",
        fails=NEVER,
        options=("optimizer_args",),
    ),
    Rule(
        "schedule-argument",
        "error",
        "piecewise_constant needs step_rules, cosine_with_min_lr needs lr_scheduler_min_lr_ratio",
        missing_argument,
        f"{_SCHEDULE}: TypeError, ValueError",
        fails=MODEL_LOADED,
        options=("lr_scheduler", "lr_scheduler_args", "lr_scheduler_min_lr_ratio"),
    ),
    Rule(
        "schedule-class",
        "error",
        "lr_scheduler_type must be a class of torch.optim.lr_scheduler, or module.Class",
        unknown_class,
        f"{_SCHEDULE}: getattr raises AttributeError",
        fails=MODEL_LOADED,
        options=("lr_scheduler_type",),
    ),
    Rule(
        "share-of-steps",
        "warning",
        "lr_warmup_steps and lr_decay_steps with a decimal point are a share of all steps",
        share_of_steps,
        f"{_SCHEDULE}: multiplies a float by the number of steps",
        fails=NEVER,
        options=("lr_warmup_steps", "lr_decay_steps"),
    ),
    Rule(
        "warmup-too-long",
        "warning",
        "lr_warmup_steps must be fewer than max_train_steps",
        warmup_too_long,
        f"{_SCHEDULE}: the rate rises over the warm-up",
        fails=NEVER,
        options=("lr_warmup_steps", "max_train_steps"),
    ),
    Rule(
        "decay-idle",
        "warning",
        "lr_decay_steps needs lr_scheduler warmup_stable_decay",
        only_with(
            ("lr_decay_steps",),
            _follows("warmup_stable_decay"),
            "unless lr_scheduler is warmup_stable_decay",
        ),
        _SCHEDULE,
        fails=NEVER,
        options=("lr_decay_steps", "lr_scheduler"),
    ),
    Rule(
        "min-ratio-idle",
        "warning",
        "lr_scheduler_min_lr_ratio needs cosine_with_min_lr or warmup_stable_decay",
        only_with(
            ("lr_scheduler_min_lr_ratio",),
            _follows("cosine_with_min_lr", "warmup_stable_decay"),
            "unless lr_scheduler is cosine_with_min_lr or warmup_stable_decay",
        ),
        _SCHEDULE,
        fails=NEVER,
        options=("lr_scheduler_min_lr_ratio", "lr_scheduler"),
    ),
    Rule(
        "resumed-count",
        "warning",
        "resume counts steps from 0 again",
        resumed_count,
        "sd-scripts issues 1559, 1999, 2248, 1959, 1520",
        fails=NEVER,
        options=("resume", "max_train_epochs", "lr_scheduler"),
    ),
    Rule(
        "resumed-on",
        "note",
        "a LoRA script counts on from the state",
        resumed_on,
        "train_network.py, train: steps_from_state",
        fails=NEVER,
        options=("resume", "max_train_epochs"),
    ),
)
