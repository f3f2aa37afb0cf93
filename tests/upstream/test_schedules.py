"""What is said of optimizers and schedules is what sd-scripts' own functions do.

`get_optimizer` and `get_scheduler_fix` run with one weight for a few steps, as in a training.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from kohya_presets.sdscripts import optimizers
from tests.kohya_presets.validate.rules.schedules import ASKED, Options, errors
from tests.upstream.asking import ask
from tests.usually import usually
from wrapper.checkouts.checkout import Checkout

pytestmark = [
    pytest.mark.upstream,
    pytest.mark.xdist_group("upstream"),  # they share one home
    pytest.mark.trainer,
]
RELEASES = ["v0.8.7", "v0.10.1", "v0.11.1"]
STEPS, EPOCHS, DONE = 12, 10, 4
BEGIN = """
from argparse import Namespace
import torch
from library import train_util
try:
    from library import optimizer as made  # from v0.11.0 on
    made.get_optimizer
except (ImportError, AttributeError):
    made = train_util

USUAL = dict(
    optimizer_type="AdamW", use_8bit_adam=False, use_lion_optimizer=False, optimizer_args=None,
    fused_backward_pass=False, gradient_accumulation_steps=1, learning_rate=1e-6,
    max_grad_norm=1.0, lr_scheduler="constant", lr_scheduler_type="", lr_scheduler_args=None,
    lr_warmup_steps=0, lr_decay_steps=0, max_train_steps=100, lr_scheduler_num_cycles=1,
    lr_scheduler_power=1, lr_scheduler_timescale=None, lr_scheduler_min_lr_ratio=None,
    fused_optimizer_groups=None,
)

def begin(options, **more):
    args = Namespace(**{**USUAL, **options, **more})
    weight = torch.nn.Parameter(torch.ones(4, 4))
    group = {"params": [weight], "lr": args.learning_rate}
    optimizer = made.get_optimizer(args, [group])[2]
    return weight, optimizer, made.get_scheduler_fix(args, optimizer, 1)

def train(weight, optimizer, schedule, steps):
    rates = []
    for _ in range(steps):
        rates.append(optimizer.param_groups[0]["lr"])
        weight.grad = torch.full_like(weight, 0.01)
        optimizer.step()
        schedule.step()
    return rates
"""
ASK = """
def outcome(options):
    try:
        train(*begin(options), int(sys.argv[2]))
    except ImportError:
        return "not installed"
    except Exception as error:
        return f"{type(error).__name__}: {error}"

tell([outcome(options) for options in json.loads(sys.argv[1])])
"""
RESUME = """
names, (planned, done) = json.loads(sys.argv[1]), json.loads(sys.argv[2])

def rates(options):
    whole = begin(options, max_train_steps=planned)
    expected = train(*whole, planned)[done:]
    first = begin(options, max_train_steps=planned)
    train(*first, done)
    state = [part.state_dict() for part in first[1:]]
    found = []
    for length in (planned, planned - done):
        again = begin(options, max_train_steps=length)
        for part, kept in zip(again[1:], state):
            part.load_state_dict(kept)
        found.append(train(*again, planned - done) == expected)
    return found

tell([rates(options) for options in names])
"""


@pytest.fixture
def asked(upstream: Callable[[str], Checkout]) -> Callable[..., Any]:
    """Return a function that runs one of the texts above on a release, and gives its answer."""

    def get(release: str, text: str, *arguments: str) -> Any:
        return ask(upstream(release), BEGIN + text, *arguments)

    return get


@pytest.mark.parametrize("release", usually(RELEASES, ["v0.10.1"]))
def test_sd_scripts_stops_where_there_is_an_error_and_nowhere_else(
    release: str, asked: Callable[..., Any]
) -> None:
    every = [options for options, _ in ASKED]
    said = asked(release, ASK, json.dumps(every), str(STEPS))
    known = [(o, what) for o, what in zip(every, said, strict=True) if what != "not installed"]
    assert len(known) > len(every) / 2
    wrong = [(o, what) for o, what in known if bool(what) != bool(errors(o, release))]
    assert wrong == []


RESUMED: list[Options] = [
    *({"lr_scheduler": name} for name in ("constant", "linear", "cosine", "polynomial")),
    {"lr_scheduler": "cosine_with_restarts", "lr_scheduler_num_cycles": 2},
    {"lr_scheduler": "constant_with_warmup", "lr_warmup_steps": 6},
    {"lr_scheduler": "piecewise_constant", "lr_scheduler_args": ["step_rules='1:5,0.5:8,0.1'"]},
    {"lr_scheduler_type": "StepLR", "lr_scheduler_args": ["step_size=3"]},
    {"lr_scheduler_type": "CosineAnnealingLR", "lr_scheduler_args": ["T_max=10"]},
    {"lr_scheduler_type": "OneCycleLR", "lr_scheduler_args": ["max_lr=1e-6", "total_steps=20"]},
]
SINCE_0_9: list[Options] = [
    {"lr_scheduler": "inverse_sqrt", "lr_warmup_steps": 2},
    {"lr_scheduler": "cosine_with_min_lr", "lr_scheduler_min_lr_ratio": 0.1},
    {"lr_scheduler": "warmup_stable_decay", "lr_decay_steps": 0.5},
]


@pytest.mark.parametrize("release", usually(RELEASES, ["v0.10.1"]))
def test_the_rates_of_a_resumed_run_are_those_that_the_advice_promises(
    release: str, asked: Callable[..., Any]
) -> None:
    """With the length kept all go on as if nothing had been; with fewer steps, those not shaped."""
    every = RESUMED + (SINCE_0_9 if release != "v0.8.7" else [])
    said = asked(release, RESUME, json.dumps(every), json.dumps([EPOCHS, DONE]))
    for options, (kept, reduced) in zip(every, said, strict=True):
        assert kept, options
        assert reduced is (options.get("lr_scheduler") not in optimizers.SHAPED), options
