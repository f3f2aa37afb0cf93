"""Which arguments optimizers, schedules and network modules take: names only.

`tools/make_arguments.py` reads them from the packages' sources, in several versions: what any of
them takes is taken, since nobody knows which one is installed.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from kohya_presets.problems import did_you_mean
from kohya_presets.sdscripts import optimizers

FACTS = Path(__file__).parent / "facts" / "arguments.json"
_TORCH = "torch.optim.lr_scheduler"
# The classes behind sd-scripts' names, where they are called otherwise.
_CLASSES = {
    "sgdnesterov": "torch.optim.SGD",
    "sgdnesterov8bit": "bitsandbytes.optim.SGD8bit",
    "adafactor": "transformers.optimization.Adafactor",
    "dadaptation": "dadaptation.experimental.DAdaptAdamPreprint",
    "dadaptadampreprint": "dadaptation.experimental.DAdaptAdamPreprint",
    "dadaptadanip": "dadaptation.experimental.DAdaptAdanIP",
}
_NESTEROV = MappingProxyType({"lr": "learning_rate", "nesterov": None})
_RATE = MappingProxyType({"lr": "learning_rate"})
# What `get_scheduler_fix` hands to each schedule itself, and the option that it comes from.
_SCHEDULE: Mapping[str, str | None] = MappingProxyType(
    {
        "num_warmup_steps": "lr_warmup_steps",
        "num_training_steps": "max_train_steps",
        "num_decay_steps": "lr_decay_steps",
        "num_stable_steps": None,
        "power": "lr_scheduler_power",
        "timescale": "lr_scheduler_timescale",
        "min_lr_rate": "lr_scheduler_min_lr_ratio",
        "min_lr_ratio": "lr_scheduler_min_lr_ratio",
    }
)
_OF_LYCORIS = ("rank_dropout_scale",)  # as the Kohya GUI writes it; not looked up by that name
_CYCLES = ("cosine_with_restarts", "cosine_with_min_lr", "warmup_stable_decay")  # not cosine
# What the constructor of OneCycleLR wants though it has a default.
_ALSO_NEEDED = {"OneCycleLR": frozenset({"total_steps"})}


class Arguments(NamedTuple):
    """The names that something takes, those it needs, and those that sd-scripts gives it itself.

    The last have the option that they come from, if there is one.
    """

    takes: frozenset[str]
    needs: frozenset[str] = frozenset()
    given: Mapping[str, str | None] = MappingProxyType({})

    def wrong_name(self, what: str, names: Iterable[str]) -> tuple[str, str] | None:
        """Return message and hint for the first of `names` that stops sd-scripts."""
        for name in names:
            if name in self.given:
                option = self.given[name]
                hint = f"Use {option} instead." if option else f"Leave {name} out."
                return f"sd-scripts itself gives {name} to {what}", hint
            if name not in self.takes:
                hint = f"Use some of: {', '.join(sorted(self.takes))}."
                return f"{what} has no argument {name!r}", did_you_mean(name, self.takes) or hint
        return None


def of_optimizer(name: str) -> Arguments | None:
    """Return the arguments of an optimizer, as optimizer_type names it; None: nobody's we know."""
    lower = name.lower()
    known = optimizers.named(name)
    path = name if "." in name else f"torch.optim.{name}"
    if known:
        package = {"bitsandbytes": "bitsandbytes.optim", None: "torch.optim"}
        path = f"{package.get(known.package, known.package)}.{known.name}"
        path = _CLASSES.get(lower, path)
    fact = _facts()["optimizers"].get(path)
    if fact is None:
        return None
    given = _NESTEROV if lower.startswith("sgdnesterov") else _RATE
    return Arguments(frozenset(fact["takes"]) - {*given}, given=given)


def of_schedule(name: str) -> Arguments | None:
    """Return the arguments of one of sd-scripts' named schedules."""
    if not (fact := _facts()["schedules"].get(name)):
        return None
    given = {key: option for key, option in _SCHEDULE.items() if key in fact["takes"]}
    if name in _CYCLES:
        given["num_cycles"] = "lr_scheduler_num_cycles"
    takes, needs = (frozenset(fact[part]) - {*given} for part in ("takes", "needs"))
    return Arguments(takes, needs, given)


def of_schedule_class(name: str) -> Arguments | None:
    """Return the arguments of a class of torch.optim.lr_scheduler, as lr_scheduler_type names it.

    None for a class of another package, and for one that sd-scripts cannot use.
    """
    module, _, bare = name.rpartition(".")
    fact = _facts()["torch_schedules"].get(bare) if module in ("", _TORCH) else None
    if fact is None or bare not in optimizers.TORCH_SCHEDULES:
        return None
    needs = frozenset(fact["needs"]) | _ALSO_NEEDED.get(bare, frozenset())
    return Arguments(frozenset(fact["takes"]), needs)


def of_network(module: str) -> frozenset[str] | None:
    """Return the names that a network module looks for in network_args; None: not known."""
    fact = _facts()["networks"].get(module)
    return frozenset({*fact["takes"], "dropout"}) if fact else None  # train_network.py looks too


@functools.cache
def lists_of(name: str) -> tuple[str, ...]:
    """Return the options in which an argument of this name is written, the likeliest first."""
    kinds = {"network_args": "networks", "optimizer_args": "optimizers"}
    kinds["lr_scheduler_args"] = "schedules"  # torch's classes have too many everyday names
    takes = {
        option: [fact["takes"] for fact in _facts()[kinds[option]].values()] for option in kinds
    }
    takes["network_args"].append(_OF_LYCORIS)
    given = (*_SCHEDULE, "last_epoch", "num_cycles", "args", "defaults")
    found = (option for option, names in takes.items() if any(name in each for each in names))
    return () if name in given else tuple(found)


def number_within(value: Any) -> float | None:
    """Return the number that a text, or a tuple of one item, holds: as such, it is no number."""
    if isinstance(value, tuple) and len(value) == 1:
        value = value[0]
    elif not isinstance(value, str):
        return None
    try:
        return None if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        return None


def is_step_rules(text: Any) -> bool:
    """Return whether piecewise_constant can read it: FACTOR:STEP pairs, and a last factor."""
    *rules, last = str(text).split(",")
    try:
        float(last)
        for factor, step in (rule.split(":") for rule in rules):
            float(factor), int(step)
    except ValueError:
        return False
    return isinstance(text, str)


@functools.cache
def _facts() -> dict[str, Any]:
    facts: dict[str, Any] = json.loads(FACTS.read_text(encoding="utf-8"))
    return facts
