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
# Arguments of the constructors, besides the parameters and the rate, in any version that a release
# of sd-scripts asks for: torch 2.0 to 2.13, bitsandbytes 0.35 to 0.50, lion-pytorch 0.0.6 to 0.2,
# transformers 4.30 to 4.54, prodigyopt 1.0 and 1.1, dadaptation 3.1 and 3.2, schedulefree 1.4.
_STEP = ("foreach", "maximize", "capturable", "differentiable", "fused")
_ADAM = frozenset({"betas", "eps", "weight_decay", "amsgrad", "decoupled_weight_decay", *_STEP})
_OF_BITS = frozenset(
    {
        *("weight_decay", "args", "min_8bit_size", "percentile_clipping", "block_wise"),
        *("optim_bits", "is_paged", "max_unorm"),
    }
)
_FREE = frozenset({"eps", "weight_decay", "warmup_steps", "r", "weight_lr_power", "foreach"})
_ADAPTIVE = frozenset(
    {
        *("betas", "eps", "weight_decay", "decouple", "use_bias_correction", "d0", "growth_rate"),
        *("fsdp_in_use", "log_every"),
    }
)
ARGUMENTS: Mapping[str, frozenset[str]] = {  # by name in lower case
    "adamw": _ADAM,
    **dict.fromkeys(
        ("adamw8bit", "pagedadamw", "pagedadamw8bit", "pagedadamw32bit"),
        _OF_BITS | {"betas", "eps", "amsgrad"},
    ),
    "lion": frozenset({"betas", "weight_decay", "use_triton", "decoupled_weight_decay"}),
    **dict.fromkeys(("lion8bit", "pagedlion8bit"), _OF_BITS | {"betas"}),
    "sgdnesterov": frozenset({"momentum", "dampening", "weight_decay", "nesterov", *_STEP}),
    "sgdnesterov8bit": _OF_BITS | {"momentum", "dampening", "nesterov"},
    "adafactor": frozenset(
        {
            *("eps", "clip_threshold", "decay_rate", "beta1", "weight_decay", "scale_parameter"),
            *("relative_step", "warmup_init"),
        }
    ),
    "prodigy": _ADAPTIVE | {"beta3", "safeguard_warmup", "d_coef", "slice_p"},
    **dict.fromkeys(
        (name for name in EVERY if name.startswith("dadapt")),
        _ADAPTIVE | {"momentum", "no_prox"},
    ),
    **dict.fromkeys(
        ("radamschedulefree", "adamwschedulefree"), _FREE | {"betas", "silent_sgd_phase"}
    ),
    "sgdschedulefree": _FREE | {"momentum"},
}
TORCH_SCHEDULES = (  # classes of torch.optim.lr_scheduler, 2.0 to 2.13
    *("LambdaLR", "MultiplicativeLR", "StepLR", "MultiStepLR", "ConstantLR", "LinearLR"),
    *("ExponentialLR", "SequentialLR", "CosineAnnealingLR", "ChainedScheduler", "CyclicLR"),
    *("CosineAnnealingWarmRestarts", "OneCycleLR", "PolynomialLR", "ReduceLROnPlateau"),
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


def named(name: str) -> Optimizer | None:
    """Return the optimizer that sd-scripts knows as `name`, in any case."""
    return EVERY.get(name.lower())
