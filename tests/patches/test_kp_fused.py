"""A step inside of the backward pass is the step after it; what cannot be so is refused."""

from __future__ import annotations

import argparse
import copy
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install -e '.[test]'")
from torch.utils.checkpoint import checkpoint  # noqa: E402

from patches.adacoor.kp_adacoor import AdaCoor  # noqa: E402
from patches.ema import kp_ema  # noqa: E402
from patches.fused_step import kp_alone, kp_fused  # noqa: E402

pytestmark = pytest.mark.trainer
STEPS = 12


class Lion(torch.optim.Optimizer):  # type: ignore[misc, name-defined, unused-ignore]
    """lion_pytorch 0.2.3, as its step is written there."""

    __module__ = "lion_pytorch.lion_pytorch"

    def __init__(self, params: Any, lr: float, weight_decay: float = 0.0, **more: Any) -> None:
        super().__init__(params, {"lr": lr, "betas": (0.9, 0.99), "weight_decay": weight_decay})
        self.decoupled_wd, self._init_lr = more.get("decoupled_weight_decay", False), lr

    @torch.no_grad()  # type: ignore[untyped-decorator, unused-ignore]
    def step(self, closure: Any = None) -> None:
        for group in self.param_groups:
            lr, (beta1, beta2), wd = group["lr"], group["betas"], group["weight_decay"]
            wd = wd / self._init_lr if self.decoupled_wd else wd
            for p in (p for p in group["params"] if p.grad is not None):
                state = self.state[p]
                if not state:
                    state["exp_avg"] = torch.zeros_like(p)
                average = state["exp_avg"]
                p.data.mul_(1.0 - lr * wd)
                update = average.clone().mul_(beta1).add(p.grad, alpha=1.0 - beta1).sign_()
                p.add_(update, alpha=-lr)
                average.mul_(beta2).add_(p.grad, alpha=1.0 - beta2)


Make = Callable[[Any], Any]
OPTIMIZERS: dict[str, Make] = {
    "AdaCoor": lambda groups: AdaCoor(groups, epsilon=1e-2, weight_decay=0.01),
    "AdaCoor float32": lambda groups: AdaCoor(groups, epsilon=1e-2, state_dtype="float32"),
    "AdamW": lambda groups: torch.optim.AdamW(groups, lr=1e-3),
    "AdamW foreach": lambda groups: torch.optim.AdamW(groups, lr=1e-3, foreach=True),
    "Lion": lambda groups: Lion(groups, lr=1e-4, weight_decay=0.1),
}
EACH = pytest.mark.parametrize("name", OPTIMIZERS)


class Net(torch.nn.Module):  # type: ignore[misc, name-defined, unused-ignore]
    """Two layers and a frozen one; `again` computes the first twice, from checkpoints."""

    def __init__(self, dtype: Any, again: bool | None = None) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second = torch.nn.Linear(8, 8), torch.nn.Linear(8, 3)
        self.frozen = torch.nn.Linear(8, 8).requires_grad_(False)
        self.again = again
        self.to(dtype)

    def forward(self, x: Any) -> Any:
        if self.again is None:
            return self.second(self.frozen(self.first(x)).tanh())
        for _ in range(2):
            x = checkpoint(self.first, x, use_reentrant=self.again)
        return self.second(x.tanh())


def accelerator(accumulation: int = 1, **more: Any) -> Any:
    usual = {"sync_gradients": True, "scaler": None, "num_processes": 1, "print": print}
    return SimpleNamespace(**{**usual, "gradient_accumulation_steps": accumulation, **more})


def args(*options: str, **more: Any) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    kp_fused.add_arguments(parser)
    usual = {
        "optimizer_type": "AdamW",
        "max_grad_norm": 0.0,
        "seed": 1,
        "mixed_precision": "no",
        "gradient_checkpointing": False,
    }
    return argparse.Namespace(**vars(parser.parse_args(options)), **{**usual, **more})


FUSED, ROUNDING, KAHAN = kp_fused.FUSED, kp_fused.ROUNDING, kp_fused.KAHAN


def trained(
    make: Make,
    *options: str,
    dtype: Any = torch.float32,
    accumulation: int = 1,
    again: bool | None = None,
    net: Any = None,
    prepared: Any = None,
    **more: Any,
) -> tuple[Any, Any]:
    """Train as the script does; return the net and the optimizer."""
    net = net or Net(dtype, again)
    parts = (net.first, net.second)
    groups = [
        {"params": list(part.parameters()), "lr": lr}
        for part, lr in zip(parts, (1e-3, 5e-4), strict=True)
    ]
    inner = make(groups)
    schedule = torch.optim.lr_scheduler.LambdaLR(inner, lambda step: 1 / (1 + step))
    wrapped = SimpleNamespace(optimizer=inner, step=inner.step, zero_grad=inner.zero_grad)
    mine, current = accelerator(accumulation), SimpleNamespace(value=0)
    given = args(*options, **more)
    kp_fused.begin(given).start(mine, wrapped, [net], current)
    draw = torch.Generator().manual_seed(5)
    for batch in range(STEPS * accumulation):
        mine.sync_gradients = (batch + 1) % accumulation == 0
        loss = net(torch.randn(4, 8, generator=draw).to(dtype)).square().mean() / accumulation
        loss.backward()
        if mine.sync_gradients:
            wrapped.step()
            schedule.step()
            wrapped.zero_grad(set_to_none=True)
            current.value += 1
    return net, inner


def assert_same(one: tuple[Any, Any], other: tuple[Any, Any]) -> None:
    for (name, p), q in zip(one[0].named_parameters(), other[0].parameters(), strict=True):
        assert torch.equal(p, q), name
    states = [optimizer.state_dict() for _, optimizer in (one, other)]
    assert states[0]["param_groups"] == states[1]["param_groups"]
    for number, state in states[0]["state"].items():
        for key, value in state.items():
            assert torch.equal(
                torch.as_tensor(value), torch.as_tensor(states[1]["state"][number][key])
            )
    assert states[0]["state"].keys() == states[1]["state"].keys()


@EACH
@pytest.mark.parametrize("accumulation", [1, 3])
def test_inside_is_after_bit_for_bit(name: str, accumulation: int) -> None:
    after = trained(OPTIMIZERS[name], accumulation=accumulation)
    inside = trained(OPTIMIZERS[name], FUSED, accumulation=accumulation)
    assert_same(inside, after)
    assert not torch.equal(after[0].first.weight, Net(torch.float32).first.weight)
    assert all(p.grad is None for p in inside[0].parameters())


@EACH
@pytest.mark.parametrize("option", [ROUNDING, KAHAN])
def test_rounded_as_well(name: str, option: str) -> None:
    after = trained(OPTIMIZERS[name], option, dtype=torch.bfloat16)
    inside = trained(OPTIMIZERS[name], option, FUSED, dtype=torch.bfloat16)
    assert_same(inside, after)
    nearest = trained(OPTIMIZERS[name], dtype=torch.bfloat16)
    assert not torch.equal(after[0].first.weight, nearest[0].first.weight)


def by_hand(make: Make, most: float) -> Any:
    """Train with each gradient clipped by itself, after the backward pass."""
    net = Net(torch.float32)
    inner = make([{"params": [*net.first.parameters(), *net.second.parameters()], "lr": 1e-3}])
    draw = torch.Generator().manual_seed(5)
    for _ in range(STEPS):
        net(torch.randn(4, 8, generator=draw)).square().mean().backward()
        for p in net.parameters():
            if p.grad is not None:
                p.grad.mul_(torch.clamp(most / (p.grad.norm() + 1e-6), max=1))
        inner.step()
        inner.zero_grad()
    return net


def test_each_gradient_is_clipped_by_itself() -> None:
    def make(groups: Any) -> Any:
        every = [p for group in groups for p in group["params"]]
        return torch.optim.SGD(every, lr=0.1)

    class Ours(torch.optim.SGD):  # type: ignore[misc, name-defined, unused-ignore]
        def step_param(self, p: Any, group: Any, store: Any) -> None:
            p.data.add_(p.grad, alpha=-0.1)

    net, _ = trained(
        lambda groups: Ours([p for g in groups for p in g["params"]], lr=0.1),
        *(FUSED,),
        max_grad_norm=0.01,
    )
    expected = by_hand(make, 0.01)
    for p, q in zip(net.parameters(), expected.parameters(), strict=True):
        torch.testing.assert_close(p, q, rtol=1e-6, atol=1e-8)
    assert not torch.equal(net.first.weight, by_hand(make, 1e9).first.weight)


def test_gradients_never_exist_all_at_once() -> None:
    net, alive = Net(torch.float32), []

    class Watching(AdaCoor):
        def step_param(self, p: Any, group: Any, store: Any = None) -> None:
            alive.append(sum(q.grad is not None for q in net.parameters()))
            super().step_param(p, group, store)

    trained(Watching, FUSED, net=net)
    assert len(alive) == 4 * STEPS
    assert max(alive) <= 2  # a weight and its bias


def test_the_effective_rate_in_the_log_is_the_same() -> None:
    shown = {}
    for name, options in (("after", ()), ("inside", (FUSED,))):
        rates: list[Any] = []

        def make(groups: Any, rates: list[Any] = rates) -> Any:
            optimizer = AdaCoor(groups)
            optimizer.rates = [None, None]
            rates.append(optimizer)
            return optimizer

        trained(make, *options)
        shown[name] = [float(rate) for rate in rates[0].rates]
    assert shown["inside"] == shown["after"]
    assert all(rate > 0 for rate in shown["after"])


def test_the_steps_computed_here_are_the_optimizers_own() -> None:
    """With nothing to round, in fp32, within what the order of two operations makes."""

    def exact(values: Any, into: Any) -> None:
        for value, target in zip(values, into, strict=True):
            target.copy_(value)

    for name, make in (
        ("AdamW", lambda ps: torch.optim.AdamW(ps, lr=1e-3, weight_decay=0.1, eps=1e-6)),
        ("Lion", lambda ps: Lion(ps, lr=1e-3, weight_decay=0.1)),
        ("Lion", lambda ps: Lion(ps, lr=1e-3, weight_decay=0.1, decoupled_weight_decay=True)),
    ):
        draw = torch.Generator().manual_seed(1)
        ours, theirs = (torch.nn.Parameter(torch.linspace(-1, 1, 3000)) for _ in range(2))
        mine, own = make([ours]), make([theirs])
        for _ in range(20):
            ours.grad = torch.randn(3000, generator=draw) * 0.01
            theirs.grad = ours.grad.clone()
            with torch.no_grad():
                kp_alone._FORMULAS[name](mine, ours, mine.param_groups[0], exact)
            own.step()
        torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-7)
        for key, value in own.state[theirs].items():
            found = mine.state[ours][key]
            torch.testing.assert_close(found, value, rtol=1e-5, atol=1e-9, msg=key)


@pytest.mark.parametrize("name", ["AdamW", "Lion"])
def test_parts_of_a_large_weight_are_stepped_as_one(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = trained(OPTIMIZERS[name], ROUNDING, dtype=torch.bfloat16)
    monkeypatch.setitem(kp_alone.AT_A_TIME, "cpu", 10)
    parts = trained(OPTIMIZERS[name], ROUNDING, dtype=torch.bfloat16)
    off = (whole[0].first.weight.float() - parts[0].first.weight.float()).detach().abs()
    assert float(off.max()) < 0.01  # other random numbers, the same step
    if name == "AdamW":
        assert float(parts[1].state[parts[0].first.weight]["step"]) == STEPS


@pytest.mark.parametrize("name", ["AdamW", "Lion"])
def test_a_state_is_the_optimizers_own(name: str) -> None:
    net, optimizer = trained(OPTIMIZERS[name], ROUNDING, FUSED, dtype=torch.bfloat16)
    fresh = OPTIMIZERS[name](
        [{"params": list(part.parameters())} for part in (net.first, net.second)]
    )
    fresh.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    net.second.weight.grad = torch.ones_like(net.second.weight)
    before = net.second.weight.detach().clone()
    for group in fresh.param_groups:
        group["lr"] = 0.1
    fresh.step()
    assert not torch.equal(net.second.weight, before)


def test_a_weight_that_is_used_twice_is_right_or_stops_the_training() -> None:
    expected = trained(OPTIMIZERS["AdamW"], again=False)
    assert_same(trained(OPTIMIZERS["AdamW"], FUSED, again=False), expected)
    x = torch.nn.Parameter(torch.ones(1))  # what reentrant checkpoints need: an input to train

    class Embedded(Net):
        def forward(self, batch: Any) -> Any:
            return super().forward(batch * x)

    with pytest.raises(RuntimeError, match="gradient in two parts"):
        trained(OPTIMIZERS["AdamW"], FUSED, net=Embedded(torch.float32, again=True))
    tied = Net(torch.float32)
    tied.frozen.weight = tied.first.weight
    with pytest.raises(ValueError, match="1 weights are used by several layers"):
        trained(OPTIMIZERS["AdamW"], FUSED, net=tied, gradient_checkpointing=True)


def test_views_of_one_storage_are_taken_apart() -> None:
    """As the text encoder's query, key and value weights are on a CPU."""

    def viewed() -> Any:
        net = Net(torch.float32)
        one = torch.cat([net.first.weight.detach(), net.second.weight.detach()])
        net.first.weight.data, net.second.weight.data = one[:8], one[8:]
        return net

    assert viewed().first.weight.untyped_storage().size() == 11 * 8 * 4
    assert_same(
        trained(OPTIMIZERS["AdamW"], FUSED, net=viewed()),
        trained(OPTIMIZERS["AdamW"], net=viewed()),
    )


REFUSED = {
    "fp16": ({"mixed_precision": "fp16"}, {}, "do not work with fp16"),
    "full fp16": ({"full_fp16": True}, {}, "do not work with fp16"),
    "groups": ({"fused_optimizer_groups": 4}, {}, "--fused_optimizer_groups"),
    "deepspeed": ({"deepspeed": True}, {}, "--deepspeed"),
    "scaler": ({}, {"scaler": object()}, "do not work with fp16"),
    "processes": ({}, {"num_processes": 2}, "several processes"),
    "adafactor": ({"optimizer_type": "AdaFactor"}, {}, "needs sd-scripts v0.9.0"),
}


@pytest.mark.parametrize("which", REFUSED)
@pytest.mark.parametrize("option", [FUSED, ROUNDING, KAHAN])
def test_what_cannot_work_is_refused(which: str, option: str) -> None:
    given, found, words = REFUSED[which]
    if option != FUSED and which == "processes":
        return  # all processes round alike
    if option != FUSED and which == "adafactor":
        words = f"{option} does not work with Adafactor"
    net = Net(torch.float32)
    optimizer = SimpleNamespace(optimizer=torch.optim.AdamW(net.first.parameters()))
    with pytest.raises(ValueError, match=words):
        kp_fused.begin(args(option, **given)).start(
            accelerator(**found), optimizer, [net], SimpleNamespace(value=0)
        )


def test_processes_are_refused_before_anything_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ValueError, match="several processes"):
        kp_fused.begin(args(FUSED))
    kp_fused.begin(args(ROUNDING))
    kp_fused.begin(args(KAHAN))  # all processes round alike


@pytest.mark.parametrize("option", [FUSED, ROUNDING, KAHAN])
def test_an_optimizer_that_is_none_of_these_is_refused(option: str) -> None:
    with pytest.raises(ValueError, match=r"AdaCoor, AdamW and Lion, not with torch\.optim\.sgd"):
        trained(lambda groups: torch.optim.SGD(groups, lr=0.1), option)


@pytest.mark.parametrize("argument", ["amsgrad", "maximize"])
@pytest.mark.parametrize("option", [ROUNDING, KAHAN])
def test_arguments_that_rounding_does_not_know_are_refused(argument: str, option: str) -> None:
    with pytest.raises(ValueError, match=f"{option} does not work with AdamW's {argument}=True"):
        trained(lambda groups: torch.optim.AdamW(groups, **{argument: True}), option)
    trained(lambda groups: torch.optim.AdamW(groups, **{argument: True}), FUSED)


def test_without_the_options_nothing_is_touched() -> None:
    given = args()
    kp_fused.begin(given).start(None, None, None, None)
    assert given.steps_in_backward is False
    given = args(FUSED)
    kp_fused.begin(given)
    assert given.fused_backward_pass is False  # sd-scripts' own code is not to do it as well
    assert any(getattr(given, name, False) for name in kp_ema.IN_BACKWARD)


def test_a_release_that_has_the_option_keeps_its_own() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument(FUSED, action="store_true", help="theirs")
    kp_fused.add_arguments(parser)
    assert parser.parse_args([FUSED]).fused_backward_pass
