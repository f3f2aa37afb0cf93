"""Products with large matrices are right, by whichever library and however the matrix lies."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install -e '.[test]'")
from patches.fast_lora import kp_products  # noqa: E402

SIDE = 768  # times 16 rows, that is worth oneDNN


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[Any, Any]]]:
    """Yield what oneDNN is asked for; whether there is one is found out anew."""
    calls: list[tuple[Any, Any]] = []
    real = kp_products._onednn

    def counted(rows: Any, matrix: Any) -> Any:
        calls.append((rows, matrix))
        return real(rows, matrix)

    monkeypatch.setattr(kp_products, "_onednn", counted)
    kp_products._by_onednn.cache_clear()
    yield calls
    kp_products._by_onednn.cache_clear()


def made(*shape: int) -> Any:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


LIES: dict[str, tuple[Callable[[], Any], bool]] = {
    "as rows": (lambda: made(SIDE, SIDE), True),
    "as columns": (lambda: made(SIDE, SIDE).T, True),
    "rows of a larger one": (lambda: made(2 * SIDE, SIDE)[SIDE:], True),
    "columns of a larger one": (lambda: made(SIDE, 2 * SIDE)[:, SIDE:], False),
    "small": (lambda: made(SIDE, 8), False),
}


def most_off(rows: Any, matrix: Any) -> Any:
    """Return by how much a product in fp32 may be off, element by element.

    However n products are added up, each is rounded n times at most: the sum is off by no more than
    n u / (1 - n u) times that of their sizes, u = 2^-24 (Higham, Accuracy and Stability of
    Numerical Algorithms, 3.1). Here that is 0.02 to 0.04, where bf16 would be off by 0.2.
    """
    rounded = rows.shape[1] * 2**-24
    return rounded / (1 - rounded) * (rows.double().abs() @ matrix.double().abs())


@pytest.mark.parametrize("lies", LIES)
@pytest.mark.parametrize("count", [16, kp_products.FEW + 1])
def test_it_is_the_product(lies: str, count: int, asked: list[tuple[Any, Any]]) -> None:
    make, fits = LIES[lies]
    matrix, rows = make(), made(count, SIDE)
    has = kp_products._by_onednn()
    asked.clear()
    found = kp_products.times(rows, matrix)
    off = (found.double() - rows.double() @ matrix.double()).abs()
    assert bool((off <= most_off(rows, matrix)).all())
    assert found.is_contiguous()
    assert len(asked) == (has and fits)  # of any other strides, it takes a thousand times as long


@pytest.mark.parametrize("count", [1, kp_products.PIECE, kp_products.PIECE + 1, 200])
@pytest.mark.parametrize("rows", [lambda n: made(n, SIDE), lambda n: made(SIDE, n).T])
def test_the_lower_triangle_of_a_gram_matrix(count: int, rows: Callable[[int], Any]) -> None:
    found = kp_products.lower_gram(rows(count)).tril()
    exact = rows(count).double()
    torch.testing.assert_close(found.double(), (exact @ exact.T).tril(), rtol=0, atol=1e-3)


@pytest.mark.parametrize("error", [AttributeError("no such operator"), RuntimeError("schema")])
def test_where_there_is_no_onednn_torch_multiplies(
    error: Exception, monkeypatch: pytest.MonkeyPatch, asked: list[tuple[Any, Any]]
) -> None:
    def fails(*_: Any) -> Any:
        raise error

    monkeypatch.setattr(kp_products, "_onednn", fails)
    rows, matrix = made(16, SIDE), made(SIDE, SIDE)
    assert torch.equal(kp_products.times(rows, matrix), rows @ matrix)
    assert not asked
