"""What rounding takes from a weight is kept, added later, and survives a stop."""

from __future__ import annotations

import argparse
import io
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install -e '.[test]'")

from patches.adacoor.kp_adacoor import AdaCoor  # noqa: E402
from patches.fused_step import kp_alone, kp_fused, kp_kahan, kp_rounding  # noqa: E402

pytestmark = pytest.mark.trainer
STEPS = 20
OPTIMIZERS: dict[str, Callable[[Any], Any]] = {
    "AdaCoor": lambda weights: AdaCoor(weights, lr=0.1),
    "AdamW": lambda weights: torch.optim.AdamW(weights, lr=1e-5),
}


def kahan(optimizer: Any) -> Any:
    return kp_kahan.Kahan(optimizer, kp_rounding.Rounding(3))


def nothing_done(weights: Any) -> Any:
    return SimpleNamespace(state={weights: {}})


class Training:
    """Steps of two weights, as kp_fused takes them, with the same gradients each time."""

    def __init__(self, name: str, *options: str, seed: int = 1) -> None:
        dice = torch.Generator().manual_seed(0)
        made = (torch.randn(size, generator=dice) for size in ((40, 30), (7,)))
        self.weights = [torch.nn.Parameter(w.bfloat16()) for w in made]
        self.inner = OPTIMIZERS[name](self.weights)
        self.wrapped = SimpleNamespace(optimizer=self.inner, step=self.inner.step)
        parser = argparse.ArgumentParser()
        kp_fused.add_arguments(parser)
        args = parser.parse_args(options)
        vars(args).update(optimizer_type=name, mixed_precision="bf16", max_grad_norm=0.0, seed=seed)
        self.steps, self.done = kp_fused.begin(args), SimpleNamespace(value=0)
        self.said: list[str] = []

    def start(self) -> None:
        mine = SimpleNamespace(
            sync_gradients=True,
            scaler=None,
            num_processes=1,
            gradient_accumulation_steps=1,
            print=self.said.append,
        )
        self.steps.start(mine, self.wrapped, [], self.done)

    def go(self, until: int) -> Any:
        for step in range(self.done.value, until):
            dice = torch.Generator().manual_seed(step)
            for w in self.weights:
                w.grad = torch.randn(w.shape, generator=dice).bfloat16()
            self.wrapped.step()
            self.done.value += 1
        return self

    def saved(self) -> bytes:
        file = io.BytesIO()
        torch.save(([w.detach() for w in self.weights], self.inner.state_dict()), file)
        return file.getvalue()

    def load(self, saved: bytes, step: int) -> None:
        weights, state = torch.load(io.BytesIO(saved), weights_only=True)
        for own, other in zip(self.weights, weights, strict=True):
            own.data.copy_(other)
        self.inner.load_state_dict(state)
        self.done.value = step


def test_steps_that_bfloat16_cannot_show_add_up() -> None:
    """Also those of weights near 1, whose rest would stop growing if it were cut to the nearest."""
    dice = torch.Generator().manual_seed(0)
    begin = torch.cat([torch.randn(2000, generator=dice) * 0.05, torch.ones(2000)]).bfloat16()
    weights, exact, nearest = begin.clone(), begin.float(), begin.clone()
    sums = kahan(nothing_done(weights))
    for step in range(2000):
        sums._rounding.begin(step, 0, weights.device)
        sums.begin(weights)
        sums.store([weights.float() + 1e-6], [weights])
        nearest.copy_(nearest.float() + 1e-6)
        exact += 1e-6
    assert torch.equal(nearest[2000:], begin[2000:])  # what rounding to the nearest does
    rest = sums._optimizer.state[weights][kp_kahan.KEY]
    assert rest.dtype == torch.bfloat16
    off = (weights.float() + rest.float() - exact).abs()
    assert float(off[:2000].max()) < 2e-4
    assert abs(float((weights.float() + rest.float() - exact)[2000:].mean())) < 2e-5
    # Each weight by itself is where its exact sum is, as near as bfloat16 can be.
    unit = torch.exp2(torch.floor(torch.log2(exact.abs().clamp_min(1e-6))) - 7)
    assert float(((weights.float() - exact).abs() / unit)[2000:].max()) <= 0.55
    by_chance = begin.clone()
    rounding = kp_rounding.Rounding(3)
    for step in range(2000):
        rounding.begin(step, 0, by_chance.device)
        rounding.store([by_chance.float() + 1e-6], [by_chance])
    spread = (by_chance.float() - exact).square().mean()
    assert float((weights.float() - exact).square().mean()) < 0.3 * float(spread)


def test_what_is_not_finite_stays_what_it_is() -> None:
    odd = torch.tensor([float("nan"), float("inf"), -float("inf"), 1.0]).bfloat16()
    weights = odd.clone()
    sums = kahan(nothing_done(weights))
    sums._rounding.begin(0, 0, weights.device)
    sums.begin(weights)
    for _ in range(3):
        sums.store([weights.float() + 1e-3], [weights])
    assert weights.isnan().tolist() == [True, False, False, False]
    assert weights[1:3].tolist() == [float("inf"), -float("inf")]
    assert sums._optimizer.state[weights][kp_kahan.KEY].isfinite().all()


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("inside", [False, True])
def test_a_training_that_was_stopped_goes_on_bit_for_bit(name: str, inside: bool) -> None:
    options = (kp_fused.KAHAN, *([kp_fused.FUSED] if inside else []))
    whole = Training(name, *options)
    whole.start()
    if inside:  # the hooks step; `go` has no backward pass
        whole.wrapped.step = _stepping(whole)
    whole.go(STEPS)
    first = Training(name, *options)
    first.start()
    if inside:
        first.wrapped.step = _stepping(first)
    saved = first.go(7).saved()
    rest = Training(name, *options)
    rest.load(saved, 7)
    rest.start()
    if inside:
        rest.wrapped.step = _stepping(rest)
    rest.go(STEPS)
    kept = [whole.inner.state[w][kp_kahan.KEY] for w in whole.weights]
    assert all(k.dtype == torch.bfloat16 and k.count_nonzero() for k in kept)
    assert rest.saved() == whole.saved()
    without = Training(name, *options)
    without.load(saved, 7)
    kp_kahan.forget(without.inner)
    without.start()
    if inside:
        without.wrapped.step = _stepping(without)
    assert without.go(STEPS).saved() != whole.saved()  # so what was kept is what counts


def _stepping(training: Training) -> Callable[[], None]:
    """Return what calls the hooks of the backward pass."""
    end = training.wrapped.step

    def step() -> None:
        for w in training.weights:
            for hook in list(w._post_accumulate_grad_hooks.values()):
                hook(w)
        end()

    return step


@pytest.mark.parametrize("options", [(), (kp_fused.ROUNDING,), (kp_fused.FUSED,)])
def test_a_training_without_it_drops_what_was_kept(options: tuple[str, ...]) -> None:
    first = Training("AdamW", kp_fused.KAHAN)
    first.start()
    saved = first.go(5).saved()
    other = Training("AdamW", *options)
    other.load(saved, 5)
    assert kp_kahan.KEY in other.inner.state[other.weights[0]]
    other.start()
    other.go(6)
    assert all(kp_kahan.KEY not in state for state in other.inner.state.values())


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_parts_of_a_large_weight_keep_what_is_theirs(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from patches.adacoor import kp_adacoor

    monkeypatch.setattr(kp_kahan.Kahan, "store", _nearest(kp_kahan.Kahan.store))
    whole, parts = Training(name, kp_fused.KAHAN), Training(name, kp_fused.KAHAN)
    whole.start()
    whole.go(STEPS)
    monkeypatch.setitem(kp_alone.AT_A_TIME, "cpu", 7)
    monkeypatch.setitem(kp_adacoor.AT_A_TIME, "cpu", 7)
    parts.start()
    parts.go(STEPS)
    for one, other in zip(whole.weights, parts.weights, strict=True):
        assert torch.equal(one, other)
        rests = [t.inner.state[p][kp_kahan.KEY] for t, p in ((whole, one), (parts, other))]
        assert rests[0].count_nonzero()
        assert torch.equal(*rests)


def _nearest(store: Any) -> Any:
    """Return a store that draws nothing: parts draw other numbers than the whole."""

    class Nearest:
        def store(self, exact: Any, into: Any) -> None:
            for value, target in zip(exact, into, strict=True):
                target.copy_(value)

    def stored(self: Any, exact: Any, into: Any) -> None:
        self._rounding = Nearest()
        store(self, exact, into)

    return stored


def test_it_says_what_it_does_and_refuses_two_ways_to_round() -> None:
    training = Training("AdamW", kp_fused.KAHAN)
    training.start()
    assert training.said == ["  1207 weights are bfloat16, and summed with what they lose"]
    with pytest.raises(ValueError, match="are two ways to write the weights"):
        Training("AdamW", kp_fused.KAHAN, kp_fused.ROUNDING)
