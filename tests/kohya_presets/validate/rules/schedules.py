"""Options of optimizers and schedules, and the error that validate finds in each; None: it runs.

tests/upstream/test_schedules.py asks sd-scripts itself.
"""

from __future__ import annotations

from typing import Any

from kohya_presets.training.settings import Settings
from kohya_presets.validate import rules

Options = dict[str, Any]
WHOLE: Options = {"resolution": "64,64", "max_train_steps": 100, "learning_rate": 1e-6}


def _optimizer(name: str, *arguments: str, **more: Any) -> Options:
    return {"optimizer_type": name, "optimizer_args": list(arguments), **more}


def _schedule(name: str, *arguments: str, **more: Any) -> Options:
    return {"lr_scheduler": name, "lr_scheduler_args": list(arguments), **more}


def _class(name: str, *arguments: str) -> Options:
    return {"lr_scheduler_type": name, "lr_scheduler_args": list(arguments)}


_RULES = "step_rules='1:10,0.1:20,0.01'"
ASKED: list[tuple[Options, str | None]] = [
    (_optimizer("AdamW", "weight_decay=0.1", "betas=0.9,0.99"), None),
    (_optimizer("AdamW", "wieght_decay=0.1"), "optimizer-argument"),
    (_optimizer("AdamW", "decoupled_weight_decay=True"), "optimizer-argument"),
    (_optimizer("AdamW", "lr=1e-5"), "optimizer-argument"),
    (_optimizer("AdamW", "weight_decay=0.1,"), "optimizer-argument"),
    (_optimizer("AdamW", "weight_decay='0.1'"), "optimizer-argument"),
    (_optimizer("RAdam", "wieght_decay=0.1"), "optimizer-argument"),
    (_optimizer("torch.optim.NAdam", "momentum=0.1"), "optimizer-argument"),
    (_optimizer("torch.optim.NAdam", "momentum_decay=0.1"), None),
    (_optimizer("SGDNesterov", "momentum=0.8"), None),
    (_optimizer("SGDNesterov", "nesterov=True"), "optimizer-argument"),
    (_optimizer("Lion", "betas=(0.9,0.99)"), None),
    (_optimizer("Lion", "eps=1e-8"), "optimizer-argument"),
    (_optimizer("Prodigy", "d_coef=0.5", "safeguard_warmup=True", learning_rate=1.0), None),
    (_optimizer("Prodigy", "log_every=1", learning_rate=1.0), "optimizer-argument"),
    (_optimizer("SGDScheduleFree", "betas=(0.9,0.9)"), "optimizer-argument"),
    (_optimizer("AdamWScheduleFree", "silent_sgd_phase=True"), "optimizer-argument"),
    (_optimizer("AdamWScheduleFree", lr_scheduler_type="zzz", lr_warmup_steps=10), None),
    (_optimizer("SparseAdam"), "unusable-optimizer"),
    (_optimizer("LBFGS"), "unusable-optimizer"),
    (_optimizer("Adafactor", "relative_step=False,"), None),
    (_optimizer("Adafactor", "relative_step=False", lr_scheduler="adafactor:5e-6"), None),
    (
        _optimizer("Adafactor", "relative_step=False", lr_scheduler="adafactor"),
        "adafactor-schedule",
    ),
    (_optimizer("Adafactor", **_class("CosineAnnealingLR", "T_max=10")), "adafactor-schedule"),
    (_schedule("constant", "gamma=0.9"), "schedule-argument"),
    (_schedule("cosine", "num_cycles=0.4"), None),
    (_schedule("cosine", "gamma=0.9"), "schedule-argument"),
    (_schedule("cosine_with_restarts", "num_cycles=2"), "schedule-argument"),
    (_schedule("polynomial", "lr_end=1e-8"), None),
    (_schedule("polynomial", "power=2"), "schedule-argument"),
    (_schedule("polynomial", "lr_end=1e-5"), "schedule-argument"),
    (_schedule("polynomial", learning_rate=1e-7), "schedule-argument"),
    (_schedule("piecewise_constant", _RULES, lr_warmup_steps=50), None),
    (_schedule("piecewise_constant"), "schedule-argument"),
    (_schedule("piecewise_constant", "step_rules='1:10,0.1:20'"), "schedule-argument"),
    (_schedule("cosine_with_min_lr", lr_scheduler_min_lr_ratio=0.1), None),
    (_schedule("cosine_with_min_lr", "min_lr=1e-7"), None),
    (_schedule("cosine_with_min_lr"), "schedule-argument"),
    (_schedule("cosine_with_min_lr", "min_lr_rate=0.1"), "schedule-argument"),
    (
        _schedule("cosine_with_min_lr", "min_lr=1e-7", lr_scheduler_min_lr_ratio=0.1),
        "schedule-argument",
    ),
    (_schedule("warmup_stable_decay", "decay_type='linear'", lr_decay_steps=20), None),
    (_schedule("inverse_sqrt", lr_warmup_steps=10), None),
    (_schedule("cosine:1"), "unknown-schedule"),
    (_schedule("Cosine"), "unknown-schedule"),
    (_class("CosineAnnealingLR", "T_max=10"), None),
    (_class("torch.optim.lr_scheduler.StepLR", "step_size=9"), None),
    (_class("OneCycleLR", "max_lr=1e-6", "total_steps=200"), None),
    (_class("CosineAnnealingLR"), "schedule-argument"),
    (_class("StepLR", "step_size=10", "gama=0.1"), "schedule-argument"),
    (_class("OneCycleLR", "max_lr=1e-6"), "schedule-argument"),
    (_class("cosine"), "schedule-class"),
    (_class("LambdaLR"), "schedule-class"),
    (_class("ReduceLROnPlateau"), "schedule-class"),
]


def errors(options: Options, release: str) -> list[str]:
    """Return the codes of the errors that the rules find."""
    found = rules.check(Settings({"train": WHOLE | options}, release=release))
    return [problem.code for problem in found if problem.severity == "error"]
