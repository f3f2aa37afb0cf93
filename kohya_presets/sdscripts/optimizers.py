"""The optimizers and schedules that sd-scripts knows by name, and since which release.

Read in `get_optimizer` and `get_scheduler_fix` (library/train_util.py, library/optimizer.py from
v0.11.0 on).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Optimizer(NamedTuple):
    """A name as sd-scripts writes it; names are compared in lower case.

    `package` is what it needs besides torch; `plain` is the same optimizer without a GPU.
    """

    name: str
    since: str = "v0.7.0"
    package: str | None = None
    plain: str | None = None


_BITS = "bitsandbytes"
EVERY: Mapping[str, Optimizer] = {
    optimizer.name.lower(): optimizer
    for optimizer in (
        Optimizer("AdamW"),
        Optimizer("AdamW8bit", package=_BITS, plain="AdamW"),
        Optimizer("PagedAdamW", "v0.8.0", _BITS, "AdamW"),
        Optimizer("PagedAdamW8bit", package=_BITS, plain="AdamW"),
        Optimizer("PagedAdamW32bit", "v0.8.0", _BITS, "AdamW"),
        Optimizer("Lion", package="lion_pytorch"),
        Optimizer("Lion8bit", package=_BITS, plain="Lion"),
        Optimizer("PagedLion8bit", package=_BITS, plain="Lion"),
        Optimizer("SGDNesterov"),
        Optimizer("SGDNesterov8bit", package=_BITS, plain="SGDNesterov"),
        Optimizer("Adafactor", package="transformers"),
        Optimizer("Prodigy", package="prodigyopt"),
        *(
            Optimizer(name, package="dadaptation")
            for name in (
                *("DAdaptation", "DAdaptAdamPreprint", "DAdaptAdaGrad", "DAdaptAdam"),
                *("DAdaptAdan", "DAdaptAdanIP", "DAdaptLion", "DAdaptSGD"),
            )
        ),
        *(
            Optimizer(name, "v0.10.0", "schedulefree")
            for name in ("RAdamScheduleFree", "AdamWScheduleFree", "SGDScheduleFree")
        ),
    )
}
# Names of torch.optim, where every other name without a dot is looked for, letter by letter.
TORCH = (
    *("ASGD", "Adadelta", "Adagrad", "Adam", "Adamax", "LBFGS", "Muon", "NAdam", "RAdam"),
    *("RMSprop", "Rprop", "SGD", "SparseAdam"),
)
# They want gradients, or a function, that sd-scripts does not give: it stops at the first step.
UNUSABLE = ("LBFGS", "SparseAdam")
# Classes of torch.optim.lr_scheduler that text can describe, 2.0 to 2.13. Others want a function or
# other schedules; ReduceLROnPlateau wants a measure at each step, and sd-scripts gives none.
TORCH_SCHEDULES = (
    *("StepLR", "MultiStepLR", "ConstantLR", "LinearLR", "ExponentialLR", "PolynomialLR"),
    *("CosineAnnealingLR", "CosineAnnealingWarmRestarts", "CyclicLR", "OneCycleLR"),
)
UNUSABLE_SCHEDULES = (
    *("LambdaLR", "MultiplicativeLR", "SequentialLR", "ChainedScheduler", "ReduceLROnPlateau"),
    *("LRScheduler", "_LRScheduler"),
)
SCHEDULES: Mapping[str, str] = {  # of diffusers, and from v0.9.0 on of transformers
    **dict.fromkeys(
        (
            *("linear", "cosine", "cosine_with_restarts", "polynomial", "constant"),
            *("constant_with_warmup", "piecewise_constant", "adafactor"),
        ),
        "v0.7.0",
    ),
    **dict.fromkeys(("inverse_sqrt", "cosine_with_min_lr", "warmup_stable_decay"), "v0.9.0"),
}
# Those that the number of steps shapes. No class of lr_scheduler_type ever learns that number.
SHAPED = (
    *("linear", "cosine", "cosine_with_restarts", "polynomial", "cosine_with_min_lr"),
    "warmup_stable_decay",
)


def named(name: str) -> Optimizer | None:
    """Return the optimizer that sd-scripts knows as `name`, in any case."""
    return EVERY.get(name.lower())
