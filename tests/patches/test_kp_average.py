"""The average is what its formula says, wherever it lives and whatever the weights' dtype."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install -e '.[test]'")
from patches.ema import kp_average, kp_moving  # noqa: E402

Average = kp_average.Average

pytestmark = pytest.mark.trainer


class Model(torch.nn.Module):  # type: ignore[misc, name-defined]
    """Some weights, one of them used twice, and one that is not trained."""

    def __init__(self, dtype: Any) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first = torch.nn.Linear(64, 96, dtype=dtype)
        self.tied = torch.nn.Linear(64, 96, dtype=dtype)
        self.tied.weight = self.first.weight
        self.big = torch.nn.Parameter(torch.randn(70_000).to(dtype))
        self.frozen = torch.nn.Parameter(torch.ones(3), requires_grad=False)


@pytest.fixture(autouse=True)
def small_buffers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kp_moving, "STAGING", 2**15)
    monkeypatch.setattr(kp_moving, "IN_CACHE", 2**15)
    kp_moving._buffer.cache_clear()


def drift(models: list[Model]) -> None:
    with torch.no_grad():
        for p in (p for model in models for p in model.parameters() if p.requires_grad):
            p.add_(torch.randn_like(p) * 0.1)


def expected(averages: list[Any], models: list[Model], decay: float) -> list[Any]:
    weights = [p.detach().double() for p in kp_average.trained(models).values()]
    return [decay * a + (1 - decay) * w for a, w in zip(averages, weights, strict=True)]


@pytest.mark.parametrize("background", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_it_is_the_average_in_fp32(
    dtype: str, background: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = [Model(getattr(torch, dtype)), Model(torch.float32)]
    average = Average(models)
    average.start()
    if background:  # as if the weights were on a GPU: the same code moves the average
        monkeypatch.setattr(Average, "update", in_background)
    reference = [p.detach().double() for p in average.parameters.values()]
    for step in range(1, 21):
        drift(models)
        decay = kp_average.decay_at(step, decay=0.9, beta=15, steps=20)
        average.update(decay)
        average.wait()
        reference = expected(reference, models, decay)
    for tensor, wanted in zip(average.state().values(), reference, strict=True):
        assert tensor.dtype == torch.float32
        torch.testing.assert_close(tensor.double(), wanted, rtol=1e-6, atol=1e-6)


def in_background(self: Any, decay: float) -> None:
    self.wait()
    pairs = [(self.tensors[name], p.detach()) for name, p in self.parameters.items()]
    self._mover = kp_moving.Mover(pairs, 1 - decay)


def test_an_error_in_the_background_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    average = Average([Model(torch.float32)])
    average.start()
    in_background(average, 0.5)
    average.wait()

    def fail(*_: Any) -> None:
        raise RuntimeError("out of memory")

    monkeypatch.setattr(kp_moving, "lerp", fail)
    in_background(average, 0.5)
    with pytest.raises(RuntimeError, match="out of memory"):
        average.wait()


@pytest.fixture
def threads() -> Iterator[Callable[[int], None]]:
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_several_threads_make_the_same_average(dtype: str, threads: Callable[[int], None]) -> None:
    models = [Model(getattr(torch, dtype)), Model(torch.float32)]
    averages = [Average(models) for _ in range(3)]
    for average in averages:
        average.start()
    for _ in range(5):
        drift(models)
        for count, average in zip((1, 2, 50), averages, strict=True):
            threads(count)
            average.update(0.9)
    one, *others = (average.state() for average in averages)
    for other in others:
        assert all(torch.equal(tensor, other[name]) for name, tensor in one.items())


def test_torch_keeps_its_threads(threads: Callable[[int], None]) -> None:
    average = Average([Model(torch.bfloat16)])
    average.start()
    threads(3)
    kp_moving._pool.cache_clear()
    average.update(0.5)
    found = [torch.get_num_threads()]
    another = threading.Thread(target=lambda: found.append(torch.get_num_threads()))
    another.start()
    another.join()
    assert found == [3, 3]
    assert kp_moving._pool(3).submit(torch.get_num_threads).result() == 1


def test_an_error_in_a_thread_is_told(
    threads: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    average = Average([Model(torch.bfloat16)])
    average.start()
    threads(2)

    def fail(*_: Any) -> None:
        raise RuntimeError("out of memory")

    monkeypatch.setattr(torch, "_foreach_lerp_", fail)
    with pytest.raises(RuntimeError, match="out of memory"):
        average.update(0.5)


def test_each_trained_weight_is_averaged_once() -> None:
    names = list(kp_average.trained([Model(torch.float32), Model(torch.float32)]))
    assert names == [
        f"{n}.{p}" for n in (0, 1) for p in ("big", "first.weight", "first.bias", "tied.bias")
    ]


def test_the_models_hold_the_average_for_a_while() -> None:
    model = Model(torch.bfloat16)
    average = Average([model])
    average.start()
    drift([model])
    average.update(0.5)
    own = copy.deepcopy(model.state_dict())
    parameters = list(model.parameters())
    with average.in_place_of_weights():
        held = model.state_dict()
        assert torch.equal(held["first.weight"], average.tensors["0.first.weight"])
        assert torch.equal(held["tied.weight"], held["first.weight"])
        assert held["big"].dtype == torch.float32  # unrounded
        assert torch.equal(held["frozen"], own["frozen"])
    assert all(a is b for a, b in zip(parameters, model.parameters(), strict=True))
    assert all(torch.equal(value, own[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_failed_save_leaves_the_models_their_own_weights(dtype: str) -> None:
    model = Model(getattr(torch, dtype))
    average = Average([model])
    average.start()
    drift([model])
    own = copy.deepcopy(model.state_dict())
    for swapped in (average.in_place_of_weights, average.computing):
        with pytest.raises(OSError, match="disk"), swapped():
            raise OSError("disk")
        assert all(torch.equal(value, own[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_computing_with_the_average_keeps_the_weights_dtype(dtype: str) -> None:
    model = Model(getattr(torch, dtype))
    average = Average([model])
    average.start()
    drift([model])
    average.update(0.5)
    with average.computing():
        held = model.state_dict()["big"]
        assert held.dtype == getattr(torch, dtype)
        assert torch.equal(held, average.tensors["0.big"].to(held.dtype))
        model.first(torch.ones(1, 64, dtype=held.dtype))


def test_training_goes_on_with_a_saved_average() -> None:
    model = Model(torch.float32)
    average = Average([model])
    average.start()
    drift([model])
    average.update(0.5)
    other = Average([model])
    other.load(copy.deepcopy(average.state()))
    for one in (average, other):
        one.update(0.9)
    assert all(torch.equal(other.tensors[n], t) for n, t in average.tensors.items())


def test_an_average_of_other_weights_is_refused() -> None:
    average = Average([Model(torch.float32)])
    state = {name: p.detach() for name, p in average.parameters.items()}
    state["1.first.bias"] = state.pop("0.first.bias")
    with pytest.raises(ValueError, match=r"of other weights: 2 differ \(0.first.bias\)"):
        average.load(state)


@pytest.mark.parametrize(
    ("step", "options", "decay"),
    [
        (1, {"decay": 0.999, "beta": 0, "steps": 100}, 2 / 11),
        (10**6, {"decay": 0.999, "beta": 0, "steps": 100}, 0.999),
        (1, {"decay": 0.999, "beta": 15, "steps": 15}, 0.999 * (1 - 2.718281828459045**-1)),
        (100, {"decay": 0.999, "beta": 15, "steps": 100}, 0.999 * (1 - 2.718281828459045**-15)),
    ],
)
def test_the_decay_is_that_of_the_pull_request(
    step: int, options: dict[str, float], decay: float
) -> None:
    assert kp_average.decay_at(step, **options) == pytest.approx(decay, rel=1e-12)


def test_what_is_left_of_the_start() -> None:
    assert kp_average.left_of_the_start(100, decay=0.999, beta=1e9) == pytest.approx(0.999**100)
    assert kp_average.left_of_the_start(100, decay=0.999, beta=15) < 1e-3
