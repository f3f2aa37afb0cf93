"""Arguments of schedules and optimizers, and what a schedule does in a run and in a resumed one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from kohya_presets.problems import did_you_mean
from kohya_presets.sdscripts import arguments, optimizers, options, releases
from kohya_presets.sdscripts.scripts import makes_lora
from kohya_presets.training import trained
from kohya_presets.training.settings import Settings
from kohya_presets.training.trained import FREE
from kohya_presets.validate.rules.rule import MODEL_LOADED, NEVER, Finding, Rule, only_with

COUNTS_ON = "v0.9.0"  # the first release whose LoRA scripts write train_state.json
LOWEST = 1e-7  # where polynomial ends, unless lr_end says otherwise


def optimizer_argument(s: Settings) -> Finding | None:
    name, given = s.training.optimizer_name, s.training.optimizer_args
    known = arguments.of_optimizer(name)
    if known is None:  # a class of somebody, or of a patch
        return None
    if wrong := known.wrong_name(name, given):
        return Finding("train", "optimizer_args", *wrong)
    for key, value in given.items():
        if (number := arguments.number_within(value)) is not None:
            message = f"{key}={value!r} is not a number"
            hint = f'Write "{key}={number}", without quotes and without a comma.'
            return Finding("train", "optimizer_args", message, hint)
    return None


def trailing_comma(s: Settings) -> Finding | None:
    for name, value in s.training.optimizer_args.items():
        inner = value[0] if isinstance(value, tuple) and len(value) == 1 else value
        if inner is value and value not in ("False", "True", "None"):
            continue
        if inner is value or isinstance(inner, bool):
            what = "text" if inner is value else "a tuple"
            message = f"{name}={value!r} is {what}, which counts as true"
            hint = f'Write "{name}={inner}", without quotes and without a comma.'
            return Finding("train", "optimizer_args", message, hint)
    return None


def schedule_argument(s: Settings) -> Finding | None:
    given = trained.arguments(s.given("train", "lr_scheduler_args"))
    name, of_torch = s.training.schedule, bool(s.train("lr_scheduler_type"))
    known = (arguments.of_schedule_class if of_torch else arguments.of_schedule)(name)
    if known is None:  # of another package, or none that takes arguments
        return None
    if wrong := known.wrong_name(name, given):
        return Finding("train", "lr_scheduler_args", *wrong)
    key = "lr_scheduler_type" if of_torch else "lr_scheduler"
    if missing := sorted(known.needs - given.keys()):
        example = "step_rules='1:1000,0.1:2000,0.01'" if missing == ["step_rules"] else ""
        hint = f'Add "{example or missing[0] + "=VALUE"}" to lr_scheduler_args.'
        return Finding("train", key, f"{name} needs {missing[0]}", hint)
    return None if of_torch else _wrong_value(s, name, given)


def unknown_class(s: Settings) -> Finding | None:
    name = s.given("train", "lr_scheduler_type")
    module, _, bare = (name or "").rpartition(".")
    ours = module in ("", "torch.optim.lr_scheduler")
    if not name or not ours or s.training.schedule == FREE or bare in optimizers.TORCH_SCHEDULES:
        return None
    hint = did_you_mean(bare, optimizers.TORCH_SCHEDULES)
    message = f"torch.optim.lr_scheduler has no class {bare!r}"
    if bare.lower() in optimizers.SCHEDULES:
        hint = f'Use lr_scheduler = "{bare}" instead: lr_scheduler_type is a class of torch.'
    if bare in optimizers.UNUSABLE_SCHEDULES:
        message = f"{bare} needs more than sd-scripts can give it"
        hint = f"Use one of {', '.join(optimizers.TORCH_SCHEDULES)}."
    return Finding("train", "lr_scheduler_type", message, hint)


def _wrong_value(s: Settings, name: str, given: Mapping[str, Any]) -> Finding | None:
    """Return what is wrong with the values that a named schedule gets."""
    least = s.given("train", "lr_scheduler_min_lr_ratio")
    if name == "cosine_with_min_lr" and (least is None) == ("min_lr" not in given):
        message, hint = f"{name} needs the lowest rate", "Set lr_scheduler_min_lr_ratio = 0.1."
        if least is not None:
            message = f"{name} takes min_lr or lr_scheduler_min_lr_ratio, not both"
            hint = "Leave one of them out."
        return Finding("train", "lr_scheduler", message, hint)
    if name == "piecewise_constant" and not arguments.is_step_rules(given["step_rules"]):
        message = f"step_rules {given['step_rules']!r} cannot be read"
        hint = "Write FACTOR:STEP pairs and a last factor: \"step_rules='1:1000,0.1:2000,0.01'\"."
        return Finding("train", "lr_scheduler_args", message, hint)
    rate, end = s.train("learning_rate"), given.get("lr_end", LOWEST)
    numbers = isinstance(rate, int | float) and isinstance(end, int | float)
    if name == "polynomial" and numbers and rate <= end:
        message = f"polynomial goes down to lr_end, {end:g}: learning_rate {rate:g} is not above it"
        hint = f'Set lr_scheduler_args = ["lr_end={rate / 10:g}"], or a higher learning_rate.'
        return Finding("train", "learning_rate", message, hint)
    return None


def schedule_idle(s: Settings) -> Finding | None:
    name, of_class = s.training.schedule, s.train("lr_scheduler_type")
    keys = {
        FREE: ("lr_scheduler_type", "lr_scheduler", "lr_warmup_steps", "lr_scheduler_args"),
        of_class or "": ("lr_scheduler",),
        "piecewise_constant": ("lr_warmup_steps",),
    }.get(name, ())
    for key in keys:
        if s.changed("train", key):
            other = s.training.optimizer_name if name == FREE else name
            message = f"{key} has no effect with {other}"
            return Finding("train", key, message, f"Leave {key} out.")
    return None


def never_decays(s: Settings) -> Finding | None:
    given = s.train("lr_decay_steps") or s.is_malformed("train", "lr_decay_steps")
    if s.training.schedule != "warmup_stable_decay" or given:
        return None
    message = "warmup_stable_decay without lr_decay_steps never lowers the rate"
    hint = "Set lr_decay_steps = 0.2, for the last fifth of all steps."
    return Finding("train", "lr_scheduler", message, hint)


def resumed_count(s: Settings) -> Finding | None:
    if not s.given("train", "resume") or _counts_on(s) or _exact(s):
        return None
    message = f"{s.script} counts steps from 0 again when it resumes from a state"
    if s.training.schedule not in optimizers.SHAPED:
        hint = "Reduce max_train_epochs by the epochs that are already trained."
        return Finding("train", "resume", message, hint)
    message += f", but {s.training.schedule} goes on in the state"
    hint = (
        "Keep max_train_epochs, which shapes the schedule. Stop when the missing epochs are done."
    )
    return Finding("train", "resume", message, hint)


def resumed_on(s: Settings) -> Finding | None:
    own = [s.given("train", key) for key in ("initial_epoch", "initial_step")]
    if not s.given("train", "resume") or not _counts_on(s) or _exact(s) or own != [None, None]:
        return None
    message = (
        f"{s.script} counts on from the state: max_train_epochs is the length of the whole run; "
        "it stops if the state is as long"
    )
    return Finding("train", "resume", message)


def _counts_on(s: Settings) -> bool:
    """Return whether a script knows from a state how many steps are done."""
    here = releases.order(options.nearest_release(s.release))
    return makes_lora(s.script) and here >= releases.order(COUNTS_ON)


def _exact(s: Settings) -> bool:
    """Return whether the patch `resume` counts instead of the script."""
    return bool(s.train("state_every_minutes"))


def _follows(*schedules: str) -> Callable[[Settings], bool]:
    return lambda s: not s.train("lr_scheduler_type") and s.training.schedule in schedules


_SCHEDULE = "library/train_util.py (optimizer.py from v0.11.0), get_scheduler_fix"
_OPTIMIZER = "library/train_util.py (optimizer.py from v0.11.0), get_optimizer"
RULES = (
    Rule(
        "optimizer-argument",
        "error",
        "optimizer_args must be arguments of the optimizer, with numbers where it wants numbers",
        optimizer_argument,
        f"{_OPTIMIZER}: hands them on, which raises TypeError",
        fails=MODEL_LOADED,
        options=("optimizer_args", "optimizer_type"),
    ),
    Rule(
        "trailing-comma",
        "warning",
        "no quotes or comma at True and False in optimizer_args",
        trailing_comma,
        f"{_OPTIMIZER}: ast.literal_eval",
        fails=NEVER,
        options=("optimizer_args",),
    ),
    Rule(
        "schedule-argument",
        "error",
        "lr_scheduler_args must be what the schedule takes, and have what it needs",
        schedule_argument,
        f"{_SCHEDULE}: hands them on, which raises TypeError or ValueError",
        fails=MODEL_LOADED,
        options=(
            *("lr_scheduler", "lr_scheduler_type", "lr_scheduler_args"),
            "lr_scheduler_min_lr_ratio",
        ),
    ),
    Rule(
        "schedule-class",
        "error",
        "lr_scheduler_type must be a class of torch that needs only numbers, or module.Class",
        unknown_class,
        f"{_SCHEDULE}: getattr raises AttributeError",
        fails=MODEL_LOADED,
        options=("lr_scheduler_type",),
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
        "decay-missing",
        "warning",
        "lr_scheduler warmup_stable_decay needs lr_decay_steps",
        never_decays,
        f"{_SCHEDULE}: lr_decay_steps is 0 by default",
        fails=NEVER,
        options=("lr_scheduler", "lr_decay_steps"),
    ),
    Rule(
        "schedule-idle",
        "warning",
        "lr_scheduler and lr_warmup_steps must have an effect",
        schedule_idle,
        f"{_SCHEDULE}: returns before it looks at them",
        fails=NEVER,
        options=("lr_scheduler", "lr_scheduler_type", "lr_warmup_steps", "lr_scheduler_args"),
    ),
    Rule(
        "timescale-idle",
        "warning",
        "lr_scheduler_timescale needs lr_scheduler inverse_sqrt",
        only_with(
            ("lr_scheduler_timescale",),
            _follows("inverse_sqrt"),
            "unless lr_scheduler is inverse_sqrt",
        ),
        _SCHEDULE,
        fails=NEVER,
        options=("lr_scheduler_timescale", "lr_scheduler"),
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
