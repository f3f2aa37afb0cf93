"""AdaCoor is what was published, and what follows from it."""

from __future__ import annotations

import copy
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install -e '.[test]'")
from patches.adacoor import kp_adacoor  # noqa: E402

AdaCoor = kp_adacoor.AdaCoor

pytestmark = pytest.mark.trainer
EPSILON = 1e-8
SHAPES = ((7, 5), (300, 400), (11,), (3, 2, 3, 3), ())  # the second is worked on in parts


@pytest.fixture(autouse=True)
def parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the parts be small, so that one of the shapes has several."""
    monkeypatch.setitem(kp_adacoor.AT_A_TIME, "cpu", 2**16)


def params(dtype: Any = None, seed: int = 0) -> list[Any]:
    draw = torch.Generator().manual_seed(seed)
    made = (torch.randn(shape, generator=draw).to(dtype or torch.float32) for shape in SHAPES)
    return [torch.nn.Parameter(p) for p in made]


def give_gradients(made: list[Any], seed: int) -> None:
    draw = torch.Generator().manual_seed(seed)
    for p in made:
        p.grad = (torch.randn(p.shape, generator=draw) * 0.01).to(p.dtype)


def published(p: Any, g: Any, v: Any, lr: float, epsilon: float) -> None:
    """The published step, a line for each of its two; v in bfloat16, rounded once."""
    v.copy_(v.float().addcmul_(g, g, value=epsilon))
    p.addcdiv_(g, v.float().sqrt() + epsilon, value=-lr * epsilon)


def test_in_bfloat16_it_is_the_published_formula_bit_for_bit() -> None:
    ours, theirs = params(), params()
    sums = [torch.zeros_like(p, dtype=torch.bfloat16) for p in theirs]
    optimizer = AdaCoor(ours)
    for step in range(50):
        give_gradients(ours, step)
        optimizer.step()
        with torch.no_grad():
            for p, mine, v in zip(theirs, ours, sums, strict=True):
                published(p, mine.grad, v, 1.0, EPSILON)
    for p, mine, v in zip(theirs, ours, sums, strict=True):
        assert torch.equal(p, mine)
        assert torch.equal(optimizer.state[mine]["sum"], v)
        assert optimizer.state[mine]["sum"].dtype == torch.bfloat16


@pytest.mark.parametrize("lr", [1.0, 0.3])
def test_with_an_exact_state_it_is_adagrad(lr: float) -> None:
    ours, theirs = params(), params()
    adacoor = AdaCoor(ours, lr=lr, state_dtype="float32")
    adagrad = torch.optim.Adagrad(theirs, lr=lr * EPSILON**0.5, eps=EPSILON**0.5)
    begin = [p.detach().clone() for p in ours]
    for step in range(200):
        for made in (ours, theirs):
            give_gradients(made, step)
        adacoor.step()
        adagrad.step()
    for mine, other, was in zip(ours, theirs, begin, strict=True):
        assert float((mine - was).detach().abs().max()) > 1e-5
        torch.testing.assert_close(mine, other, rtol=1e-6, atol=1e-8)


def test_in_bfloat16_the_rate_has_a_floor_and_stochastic_rounding_has_none() -> None:
    """A sum of like increments stops at 256 to 512 of them, or grows on, on average."""
    sums = {}
    for name, options in {
        "published": {},
        "exact": {"state_dtype": "float32"},
        "stochastic": {"stochastic_rounding": True},
    }.items():
        torch.manual_seed(0)
        p = torch.nn.Parameter(torch.zeros(10_000))
        optimizer = AdaCoor([p], **options)
        for _ in range(1000):
            p.grad = torch.full_like(p, 0.01)
            optimizer.step()
        sums[name] = float(optimizer.state[p]["sum"].float().mean()) / (EPSILON * 0.01**2)
    assert 256 <= sums["published"] <= 512
    assert sums["exact"] == pytest.approx(1000, rel=1e-3)
    assert sums["stochastic"] == pytest.approx(1000, rel=0.01)


def test_bfloat16_weights_keep_small_steps_with_stochastic_rounding_only() -> None:
    moved = {}
    for stochastic in (False, True):
        torch.manual_seed(0)
        p = torch.nn.Parameter(torch.ones(10_000, dtype=torch.bfloat16))
        optimizer = AdaCoor([p], state_dtype="float32", stochastic_rounding=stochastic)
        for _ in range(20):
            p.grad = torch.full_like(p, 0.01)
            optimizer.step()
        moved[stochastic] = float(1 - p.detach().float().mean())
    expected = 1e-4 * sum((n + 1) ** -0.5 for n in range(20))
    assert moved[False] == 0
    assert moved[True] == pytest.approx(expected, rel=0.15)


def test_weight_decay_is_decoupled_and_off_by_default() -> None:
    plain, decayed = params(), params()
    for made, options in ((plain, {}), (decayed, {"weight_decay": 0.1})):
        give_gradients(made, 1)
        AdaCoor(made, lr=0.5, **options).step()
    for p, q, was in zip(plain, decayed, params(), strict=True):
        torch.testing.assert_close(q - p, -0.05 * was, rtol=1e-3, atol=1e-6)


def test_groups_have_rates_of_their_own_and_no_gradient_no_step() -> None:
    moved, still, idle = params()[:3]
    optimizer = AdaCoor([{"params": [moved], "lr": 1.0}, {"params": [still, idle], "lr": 0.0}])
    before = [p.detach().clone() for p in (moved, still, idle)]
    for p in (moved, still):
        p.grad = torch.ones_like(p)
    assert optimizer.step(lambda: 3) == 3
    assert not torch.equal(moved, before[0])
    assert torch.equal(still, before[1])
    assert torch.equal(idle, before[2])
    assert idle not in optimizer.state


def test_sdxl_trainers_call_it_with_a_flat_list_too() -> None:
    made = params()  # v0.7.0
    give_gradients(made, 0)
    AdaCoor(made, lr=1.0, epsilon=1e-8).step()


@pytest.mark.parametrize("weights", ["float32", "bfloat16"])
@pytest.mark.parametrize("state", ["float32", "bfloat16"])
def test_training_goes_on_from_a_saved_state(weights: str, state: str) -> None:
    dtype = getattr(torch, weights)
    through, stopped = params(dtype), params(dtype)
    first, second = (AdaCoor(made, state_dtype=state) for made in (through, stopped))
    for step in range(6):
        for made, optimizer in ((through, first), (stopped, second)):
            give_gradients(made, step)
            optimizer.step()
        if step == 2:
            saved = copy.deepcopy(second.state_dict())
            second = AdaCoor(stopped, state_dtype=state)
            second.load_state_dict(saved)
    for a, b in zip(through, stopped, strict=True):
        assert torch.equal(a, b)
        assert first.state[a]["sum"].dtype == second.state[b]["sum"].dtype == getattr(torch, state)


@pytest.mark.parametrize(
    "wrong",
    [{"epsilon": 0.0}, {"lr": -1.0}, {"weight_decay": -0.1}, {"state_dtype": "fp16"}],
    ids=str,
)
def test_impossible_options_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(wrong))}.* must be"):
        AdaCoor(params(), **wrong)


class Scheduler:
    """Holds its optimizer as accelerate's scheduler does."""

    def __init__(self, optimizer: Any) -> None:
        self.optimizers = [optimizer]


def test_the_log_has_how_far_a_weight_moves() -> None:
    made = [torch.nn.Parameter(torch.zeros(100)), torch.nn.Parameter(torch.zeros(5))]
    optimizer = AdaCoor([{"params": [p]} for p in made])
    for step in range(2):
        for p in made:
            p.grad = torch.full_like(p, 0.01)
        before = made[0].detach().clone()
        optimizer.step()
        logs = {"loss": 1.0, "lr/unet": 1.0, "lr/textencoder": 1.0}
        kp_adacoor.log(logs, Scheduler(optimizer))
        if step == 0:
            assert "lr/d*lr/unet" not in logs  # measured from the second step on
    moved = float((made[0] - before).detach().abs().mean())
    assert logs["lr/d*lr/unet"] == pytest.approx(moved, rel=1e-5)
    assert logs["lr/d*lr/textencoder"] == pytest.approx(moved, rel=1e-5)
    alone = {"loss": 1.0, "lr": 1.0}  # v0.7.0
    kp_adacoor.log(alone, Scheduler(optimizer))
    assert alone["lr/d*lr"] == pytest.approx(moved, rel=1e-5)


def test_the_log_of_other_optimizers_stays_as_it_is() -> None:
    logs = {"lr": 1.0}
    kp_adacoor.log(logs, Scheduler(torch.optim.SGD(params(), lr=1.0)))
    assert logs == {"lr": 1.0}
