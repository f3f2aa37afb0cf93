"""Which Python modules the settings of a preset need in the trainer environment."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from kohya_presets.presets.preset import Table
from kohya_presets.sdscripts import optimizers

# Options that are on or off, and the package that each needs.
_SWITCHES = {
    "use_8bit_adam": "bitsandbytes",
    "use_lion_optimizer": "lion_pytorch",
    "optimizer_schedulefree_wrapper": "schedulefree",
    "deepspeed": "deepspeed",
}
_LOGGERS = {
    "tensorboard": ("tensorboard",),
    "wandb": ("wandb",),
    "all": ("tensorboard", "wandb"),
}
_CLASSES = ("optimizer_type", "lr_scheduler_type", "dataset_class")  # may be package.module.Class
_OWN = ("networks", "library")  # packages of sd-scripts itself


class Wanted(NamedTuple):
    """A module, and the setting that needs it; `module` may end in ":Class", as `kp_probe` says."""

    module: str
    option: str
    setting: str  # as a person reads it
    package: str | None  # to install; None where only its module is known


def by(train: Table) -> Iterator[Wanted]:
    """Yield the modules that the training options need beside those that every training needs."""
    for option in _CLASSES:
        name = train.get(option)
        if isinstance(name, str) and name:
            yield from _named(option, name)
    for option, package in _SWITCHES.items():
        if train.get(option):
            yield Wanted(package, option, option, package)
    module = train.get("network_module")
    if isinstance(module, str) and module.split(".")[0] not in _OWN:
        yield Wanted(module, "network_module", f"network_module {module}", None)
    # With a folder and no name, accelerate writes for tensorboard.
    log = train.get("log_with") or ("tensorboard" if train.get("logging_dir") else None)
    for package in _LOGGERS.get(str(log), ()):
        yield Wanted(package, "log_with", f"log_with {log}", package)


def _named(option: str, name: str) -> Iterator[Wanted]:
    known = optimizers.named(name) if option == "optimizer_type" else None
    setting = f"{option} {name}"
    module, _, attribute = name.rpartition(".")
    if known:
        if known.package:
            yield Wanted(known.package, option, setting, known.package)
    elif module:
        yield Wanted(f"{module}:{attribute}", option, setting, None)
    elif option == "optimizer_type" and name in optimizers.TORCH:  # an older torch lacks some
        yield Wanted(f"torch.optim:{name}", option, setting, None)
