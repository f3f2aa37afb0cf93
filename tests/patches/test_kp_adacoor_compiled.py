"""AdaCoor's compiled step is its usual step, compiled once, and done without where it cannot be.

What is for a GPU is tried on the CPU, where torch.compile makes C++ of it instead of Triton.
"""

from __future__ import annotations

import itertools
import logging
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.usually import usually

torch = pytest.importorskip("torch", reason="torch is not installed: pip install -e '.[test]'")
from patches.adacoor import kp_adacoor, kp_adacoor_cpp, kp_adacoor_triton  # noqa: E402
from patches.adacoor import kp_adacoor_compiled as kp_compiled  # noqa: E402
from patches.fused_step.kp_alone import Alone  # noqa: E402
from patches.fused_step.kp_rounding import Rounding  # noqa: E402

AdaCoor = kp_adacoor.AdaCoor

pytestmark = [
    pytest.mark.trainer,
    pytest.mark.xdist_group("compiled"),  # the first one of a process waits for the compiler
    # Torch's own as it compiles, which differ from one release to the next.
    pytest.mark.filterwarnings("ignore"),
]
compiler = pytest.mark.skipif(
    not any(map(shutil.which, ("c++", "g++", "clang++"))), reason="there is no C++ compiler"
)
EPSILON = 1e-8
# Large and small, some of a kind, more than go into one call of what torch compiles; one that is
# left to the usual step; and of no vector's width.
SHAPES = ((70_000,), (300, 400), (), (1,), *((5, 7 + n % 4) for n in range(20)), (3, 2, 3, 3))


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    kp_compiled._kernel.cache_clear()
    kp_compiled._warn.cache_clear()
    yield
    torch._dynamo.reset()


@pytest.fixture(params=["C++", "torch.compile"])
def by_each(request: pytest.FixtureRequest) -> None:
    """By what it is compiled on a CPU."""
    if request.param == "torch.compile":
        request.getfixturevalue("by_torch")


@pytest.fixture
def by_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kp_adacoor_cpp, "kernel", kp_adacoor_triton.kernel)


def params(dtype: Any) -> list[Any]:
    draw = torch.Generator().manual_seed(0)
    made = (torch.randn(shape, generator=draw).to(dtype) for shape in SHAPES)
    return [torch.nn.Parameter(p) for p in made]


def give_gradients(made: list[Any], seed: int) -> None:
    draw = torch.Generator().manual_seed(seed)
    for p in made:
        p.grad = (torch.randn(p.shape, generator=draw) * 0.01).to(p.dtype)


def both(dtype: str, steps: int = 20, **options: Any) -> tuple[Any, Any]:
    """Train with a compiled optimizer and a usual one; the rate changes at every step."""
    pair = [AdaCoor(params(getattr(torch, dtype)), **options, compiled=c) for c in (True, False)]
    for step in range(steps):
        for optimizer in pair:
            give_gradients(optimizer.param_groups[0]["params"], step)
            optimizer.param_groups[0]["lr"] = 1 / (1 + step)
            optimizer.step()
    return pair[0], pair[1]


DTYPES = ("float32", "bfloat16")
EVERY = tuple(itertools.product(DTYPES, DTYPES, (0.0, 0.1)))  # torch compiles each for seconds
USUAL = tuple(x for x in EVERY if (x[0] == x[1]) == (x[2] == 0))  # any two values meet in one


def pairs(one: Any, other: Any) -> Iterator[tuple[Any, Any]]:
    """Yield what is alike in two optimizers: their weights, and their sums."""
    made = (o.param_groups[0]["params"] for o in (one, other))
    for p, q in zip(*made, strict=True):
        yield p.detach(), q.detach()
        yield one.state[p]["sum"], other.state[q]["sum"]


@compiler
@pytest.mark.parametrize(("weights", "state", "decay"), EVERY)
def test_on_a_cpu_it_is_the_usual_step(
    weights: str, state: str, decay: float, caplog: pytest.LogCaptureFixture
) -> None:
    is_the_usual_step(weights, state, decay, caplog, differ=1e-5)


@compiler
@pytest.mark.usefixtures("by_torch")
@pytest.mark.parametrize(("weights", "state", "decay"), usually(EVERY, USUAL))
def test_for_a_gpu_it_is_the_usual_step(
    weights: str, state: str, decay: float, caplog: pytest.LogCaptureFixture
) -> None:
    # One multiply-add rounds once or twice, as the compiler likes: seldom, that tips a bfloat16.
    is_the_usual_step(weights, state, decay, caplog, differ=1e-3)


def is_the_usual_step(
    weights: str, state: str, decay: float, caplog: pytest.LogCaptureFixture, *, differ: float
) -> None:
    compiled, usual = both(weights, state_dtype=state, weight_decay=decay)
    assert kp_compiled.__name__ not in [record.name for record in caplog.records]
    for number, (found, expected) in enumerate(pairs(compiled, usual)):
        kind, atol = ((weights, 1e-6), (state, 0.0))[number % 2]
        assert found.dtype == expected.dtype == getattr(torch, kind)
        if kind == "bfloat16":
            torch.testing.assert_close(found, expected, rtol=2**-7, atol=0)
            assert int((found != expected).sum()) <= differ * found.numel()
        else:
            torch.testing.assert_close(found, expected, rtol=1e-6, atol=atol)


@compiler
def test_what_is_not_finite_is_the_usual_step_too() -> None:
    """Of every kind of number: those that no gradient should have, and any bits at all."""
    draw = torch.Generator().manual_seed(0)
    any_bits = torch.randint(-(2**15), 2**15, (3, 100_000), generator=draw, dtype=torch.int16)
    begin, gradient, total = any_bits.view(torch.bfloat16)
    found = []
    for compiled in (True, False):
        p = torch.nn.Parameter(begin.clone())
        p.grad = gradient
        optimizer = AdaCoor([p], compiled=compiled)
        optimizer.state[p]["sum"] = total.clone()
        optimizer.step()
        found.append((p.detach(), optimizer.state[p]["sum"]))
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0, equal_nan=True)
        assert int(one.isfinite().sum()) > 20_000  # a sum below 0 has no root


@compiler
@pytest.mark.usefixtures("by_torch")
def test_neither_shapes_nor_rates_nor_decay_compile_it_again() -> None:
    counted = torch._dynamo.utils.counters["stats"]
    counted.clear()
    both("float32", steps=3)
    assert counted["unique_graphs"] == 2  # for 16 tensors, and for one
    other = [torch.nn.Parameter(torch.randn(64, 3, 3, 3 + n % 5)) for n in range(40)]
    other += [torch.nn.Parameter(torch.randn(500 + n, 400)) for n in range(3)]
    optimizer = AdaCoor(other, lr=0.3, epsilon=1e-6, weight_decay=0.1, compiled=True)
    give_gradients(other, 0)
    optimizer.step()
    assert counted["unique_graphs"] == 2


@compiler
def test_it_is_compiled_once_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    kp_adacoor_cpp._compiled.cache_clear()
    calls = []
    run = kp_adacoor_cpp.subprocess.run
    counted = lambda *a, **k: calls.append(a) or run(*a, **k)  # noqa: E731
    monkeypatch.setattr(kp_adacoor_cpp.subprocess, "run", counted)
    for dtype in DTYPES:
        both(dtype, steps=2)
    assert len(calls) == 1


@compiler
@pytest.mark.parametrize("threads", [1, 3])
def test_threads_make_no_difference(threads: int) -> None:
    usual = torch.get_num_threads()
    found = []
    for count in (2, threads):
        torch.set_num_threads(count)
        try:
            p = torch.nn.Parameter(torch.linspace(-1, 1, 200_003, dtype=torch.bfloat16))
            p.grad = torch.full_like(p, 0.01)
            optimizer, rounding = AdaCoor([p], compiled=True), Rounding(0)
            rounding.begin(0, 0, p.device)
            Alone(optimizer, rounding).step(p, 0)
        finally:
            torch.set_num_threads(usual)
        found.append((p.detach(), optimizer.state[p]["sum"]))
    assert all(map(torch.equal, *found))


@compiler
@pytest.mark.usefixtures("by_torch")
@pytest.mark.parametrize("drawn", [0, -1], ids=["always cut off", "always up"])
def test_a_kernel_that_does_not_round_by_chance_is_not_used(
    drawn: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    noise = lambda like, keys: torch.full_like(like, drawn, dtype=torch.int32)  # noqa: E731
    monkeypatch.setattr(kp_adacoor_triton, "_noise", noise)
    like = tuple((torch.device("cpu"), torch.bfloat16) for _ in range(3))
    with caplog.at_level(logging.WARNING):
        assert kp_compiled._tried(like, True) is None
    assert "does not round by chance" in caplog.text


@compiler
@pytest.mark.usefixtures("by_each")
def test_a_state_of_another_shape_is_an_error_and_no_write_elsewhere() -> None:
    p = torch.nn.Parameter(torch.ones(4096))
    optimizer = AdaCoor([p], compiled=True)
    optimizer.state[p]["sum"] = torch.zeros(8, dtype=torch.bfloat16)
    p.grad = torch.ones_like(p)
    with pytest.raises(RuntimeError, match="size of tensor"):
        optimizer.step()


@compiler
def test_what_is_not_contiguous_takes_the_usual_step() -> None:
    draw = torch.randn(64, 32, 3, 3).to(memory_format=torch.channels_last)
    one, other = ([torch.nn.Parameter(draw.clone()) for _ in range(16)] for _ in range(2))
    for made, compiled in ((one, True), (other, False)):
        optimizer = AdaCoor(made, compiled=compiled)
        for p in made:
            p.grad = torch.full_like(p, 0.01)
        optimizer.step()
        assert all(p.grad.stride() == p.stride() for p in made)
    assert all(torch.equal(p, q) for p, q in zip(one, other, strict=True))


@compiler
@pytest.mark.usefixtures("by_each")
@pytest.mark.parametrize("weights", DTYPES)
def test_one_by_one_it_is_the_same_step_bit_for_bit(weights: str) -> None:
    """As fused-step takes it."""
    together, alone = (
        AdaCoor(params(getattr(torch, weights)), weight_decay=0.1, compiled=True) for _ in range(2)
    )
    for step in range(5):
        for optimizer in (together, alone):
            give_gradients(optimizer.param_groups[0]["params"], step)
        together.step()
        for p in alone.param_groups[0]["params"]:
            alone.step_param(p, alone.param_groups[0])
    assert all(torch.equal(*pair) for pair in pairs(together, alone))


@compiler
@pytest.mark.usefixtures("by_each")
def test_it_steps_inside_of_the_backward_pass() -> None:
    """As with --fused_optimizer_groups."""
    made = [torch.nn.Parameter(torch.ones(1000 + n)) for n in range(kp_adacoor_triton.TOGETHER)]
    optimizer = AdaCoor(made, compiled=True)
    if not hasattr(made[0], "register_post_accumulate_grad_hook"):
        pytest.skip("this torch has no such hook")
    left = {id(p) for p in made}

    def step(p: Any) -> None:
        left.remove(id(p))
        if not left:
            optimizer.step()

    for p in made:
        p.register_post_accumulate_grad_hook(step)
    sum((p * 0.01).sum() for p in made).backward()
    expected = 1 - EPSILON * 0.01 / ((EPSILON * 0.01**2) ** 0.5 + EPSILON)
    for p in made:
        torch.testing.assert_close(p.detach(), torch.full_like(p, expected), rtol=1e-5, atol=0)


@compiler
@pytest.mark.usefixtures("by_each")
@pytest.mark.parametrize(("weights", "state"), [("bfloat16", "bfloat16"), ("float32", "bfloat16")])
def test_rounded_by_chance_it_is_unbiased_and_depends_on_seed_step_and_tensor_only(
    weights: str, state: str
) -> None:
    size, dtype = 10**6 + 7, getattr(torch, weights)
    draw = torch.Generator().manual_seed(0)
    begin = torch.randn(size, generator=draw).to(dtype)
    grad = (torch.randn(size, generator=draw) * 0.01).to(dtype)
    sums = (torch.rand(size, generator=draw) * 1e-10).to(getattr(torch, state))

    def stepped(compiled: bool, seed: int = 1, step: int = 2, number: int = 3) -> Any:
        p = torch.nn.Parameter(begin.clone())
        p.grad = grad
        optimizer = AdaCoor([p], state_dtype=state, compiled=compiled)
        optimizer.state[p]["sum"] = sums.clone()
        rounding = Rounding(seed)
        rounding.begin(step, number, p.device)
        Alone(optimizer, rounding).step(p, 0)
        return p.detach(), optimizer.state[p]["sum"]

    found = stepped(True)
    assert [x.dtype for x in found] == [dtype, sums.dtype]
    assert all(map(torch.equal, found, stepped(True)))
    for other in ({"seed": 2}, {"step": 3}, {"number": 4}):
        assert not any(map(torch.equal, found, stepped(True, **other)))
    for mine, usual in zip(found, stepped(False), strict=True):
        # Up or down from the same numbers: at most a last bit apart, and as often up as down.
        torch.testing.assert_close(mine, usual, rtol=2**-6, atol=1e-3)
        assert not torch.equal(mine, usual)
    # What was added is added on average, and w is as far moved as v says.
    exact = sums.double() + EPSILON * grad.double().square()
    off = (found[1].double() - exact) / exact
    assert abs(float(off.mean())) < 4 * float(off.std()) / size**0.5
    assert float(off.abs().max()) < 2**-7
    g, v = grad.double(), found[1].double()
    off = found[0].double() - (begin.double() - EPSILON * g / (v.sqrt() + EPSILON))
    assert abs(float(off.mean())) < max(4 * float(off.std()) / size**0.5, 1e-9)


@compiler
@pytest.mark.usefixtures("by_each")
def test_rounded_by_chance_what_is_not_finite_stays_what_it_is() -> None:
    top = float(torch.finfo(torch.bfloat16).max)
    values = [float("nan"), float("inf"), -float("inf"), top, -top, 0.0, -0.0, 1.0] * 100
    p = torch.nn.Parameter(torch.tensor(values, dtype=torch.bfloat16))
    p.grad = torch.zeros_like(p)
    optimizer, rounding = AdaCoor([p], compiled=True), Rounding(0)
    for step in range(3):
        rounding.begin(step, 0, p.device)
        Alone(optimizer, rounding).step(p, 0)
    expected = torch.tensor(values, dtype=torch.bfloat16)
    torch.testing.assert_close(p.detach(), expected, rtol=0, atol=0, equal_nan=True)
    p.grad.fill_(3e38)  # whose square is more than there is
    Alone(optimizer, rounding).step(p, 0)
    assert torch.isinf(optimizer.state[p]["sum"]).all()


@compiler
def test_rounded_by_chance_it_is_unbiased_at_every_magnitude() -> None:
    """As what is not compiled: within 4 standard errors, the smallest and the largest included."""
    top = float(torch.finfo(torch.bfloat16).max)
    draw = torch.Generator().manual_seed(0)
    for number, size in enumerate((0.0, 1e-40, 1e-38, 1e-20, 1e-3, 1.0, 1e20, top / 4)):
        # A sum that is moved by far less than its last bit, on average by a tenth of it.
        total = (torch.rand(10**6, generator=draw) * size).bfloat16()
        bits = total.view(torch.int16)
        above = (bits + 1).view(torch.bfloat16).double() - total.double()
        p = torch.nn.Parameter(torch.zeros(10**6, dtype=torch.bfloat16))
        p.grad = (0.1 * above * 1e8).sqrt().bfloat16()
        optimizer, rounding = AdaCoor([p], compiled=True), Rounding(number)
        optimizer.state[p]["sum"] = total.clone()
        rounding.begin(0, 0, p.device)
        Alone(optimizer, rounding).step(p, 0)
        moved = (optimizer.state[p]["sum"].double() - total.double()) / above
        single = (total.float() + torch.tensor(EPSILON) * p.grad.float() * p.grad.float()).double()
        off = moved - (single - total.double()) / above
        assert set(moved.unique().tolist()) <= {0.0, 1.0}
        assert abs(float(off.mean())) < 4 * float(off.std()) / 1000, size


def fails(*_: Any, **__: Any) -> Any:
    raise RuntimeError("Windows not yet supported\nfor torch.compile")


def does_nothing(*_: Any) -> None:
    """As a kernel that was compiled wrong."""


def breaks_the_tail(function: Any, **_: Any) -> Any:
    def step(*args: Any) -> None:
        function(*args)
        for p in args[0] if isinstance(args[0], list) else args[:1]:
            p[-31:] = float("nan")

    return step


def without_compiling(caplog: pytest.LogCaptureFixture) -> str:
    """Take the usual step, since nothing can be compiled; return the one warning."""
    with caplog.at_level(logging.WARNING):
        for dtype in ("float32", "bfloat16"):
            assert all(torch.equal(*pair) for pair in pairs(*both(dtype, steps=3)))
    (said,) = caplog.messages
    return said


WRONG = "ArithmeticError: the compiled step is not the step"
HERE = "AdaCoor runs without compiled=True, which does not work here ({})"


@pytest.mark.usefixtures("by_torch")
@pytest.mark.parametrize(
    ("compile_", "why"),
    [
        (fails, "RuntimeError: Windows not yet supported"),
        (lambda *_, **__: fails, "RuntimeError: Windows not yet supported"),
        (lambda *_, **__: does_nothing, WRONG),
        (breaks_the_tail, WRONG),
    ],
    ids=["no torch.compile", "no compiler", "a wrong kernel", "a wrong tail"],
)
def test_where_torch_cannot_compile_it_warns_once_and_takes_the_usual_step(
    compile_: Any, why: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(torch, "compile", compile_)
    assert without_compiling(caplog) == HERE.format(why)


def test_without_a_compiler_it_warns_once_and_takes_the_usual_step(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    kp_adacoor_cpp._compiled.cache_clear()  # after which it is compiled again
    monkeypatch.setenv("CXX", "no-such-compiler")
    why = "RuntimeError: there is no C++ compiler: no-such-compiler"
    assert without_compiling(caplog) == HERE.format(why)


@pytest.mark.skipif(os.name == "nt", reason="the compiler here is a shell script")
@compiler
def test_a_compiler_that_knows_less_is_asked_for_less(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    kp_adacoor_cpp._compiled.cache_clear()
    own = tmp_path / "own compiler"
    own.write_text(
        "#!/bin/sh\n"
        'case "$*" in *-march*|*-fopenmp*) echo "unknown argument" >&2; exit 1;; esac\n'
        'exec c++ "$@"\n'
    )
    own.chmod(0o755)
    monkeypatch.setenv("CXX", str(own))
    is_the_usual_step("bfloat16", "bfloat16", 0.0, caplog, differ=1e-3)
    kp_adacoor_cpp._compiled.cache_clear()
    kp_compiled._kernel.cache_clear()
    own.write_text('#!/bin/sh\necho "no space left" >&2; exit 1\n')
    why = f"RuntimeError: {own} says: no space left"
    assert without_compiling(caplog) == HERE.format(why)


def test_a_wrong_kernel_is_not_used(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(kp_adacoor_cpp, "_compiled", lambda: does_nothing)
    assert without_compiling(caplog) == HERE.format(WRONG)


@compiler
def test_other_dtypes_take_the_usual_step(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert all(torch.equal(*pair) for pair in pairs(*both("float16", steps=3)))
    why = "RuntimeError: on a CPU not for torch.float16 with sums in torch.bfloat16"
    assert caplog.messages == [HERE.format(why)]


def test_it_excludes_stochastic_rounding() -> None:
    with pytest.raises(ValueError, match="without stochastic_rounding"):
        AdaCoor(params(torch.float32), compiled=True, stochastic_rounding=True)
