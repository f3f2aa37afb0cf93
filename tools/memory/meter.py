"""Count the bytes of tensors that hold no data, as they would lie in a GPU's memory.

Runs in a trainer environment, on any machine: models are built in full size under FakeTensorMode,
run for real, and a `Meter` watches their tensors come and go. What is counted is what torch's
allocator hands out; not what a kernel uses inside, nor what the allocator keeps in reserve.

The tensors say they are on the CPU, because autograd runs nowhere else without a GPU. `as_on_cuda`
gives the CPU's autocast the rules of CUDA's. Forward passes counted so have the same bytes, to the
last one, as on fake CUDA tensors with a CUDA build (torch 2.13.0, SDXL's U-Net in fp16, bf16, fp32
and all in half, with and without checkpointing).
"""

from __future__ import annotations

import warnings
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter

aten = torch.ops.aten
FLASH_WIDEST = 256  # of one head; torch's flash attention takes no wider one


class Moment(NamedTuple):
    """Bytes at one time, weights apart; `copies` of weights in half precision are in no other."""

    gradients: int
    copies: int
    others: int

    @property
    def rest(self) -> int:
        """Everything but gradients."""
        return self.copies + self.others


class Meter(TorchDispatchMode):
    """Watches tensors inside its block. `moments` has one entry for each tensor that was made."""

    def __init__(self, weights: Sequence[Tensor] = (), free: Sequence[Tensor] = ()) -> None:
        """Count nothing for `weights` and `free`, but know a copy of one of the first."""
        super().__init__()
        self._sizes = {_key(t): 0 for t in (*weights, *free)}
        self._weights = {_key(t) for t in weights}
        self._kinds: dict[int, str] = {}
        self._now = {"gradients": 0, "copies": 0, "others": 0}
        self.moments: list[Moment] = [self.now]

    @property
    def now(self) -> Moment:
        """What is there at this time."""
        return Moment(**self._now)

    def arrived(self, parameter: Tensor) -> None:
        """Count the gradient of `parameter` as one; a hook for `post_accumulate_grad`."""
        assert parameter.grad is not None
        self._become(_key(parameter.grad), "gradients")

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        if func is aten._local_scalar_dense.default and not _has_data(args[0]):
            return _number(args[0].dtype)
        made = func(*args, **(kwargs or {}))
        copy = func is aten._to_copy.default and _key(args[0]) in self._weights
        for tensor in tree_iter(made):
            if isinstance(tensor, Tensor):
                self._see(tensor, "copies" if copy else "others")
        return made

    def _see(self, tensor: Tensor, kind: str) -> None:
        storage = tensor.untyped_storage()
        key = storage._cdata
        if key in self._sizes:
            return
        self._sizes[key], self._kinds[key] = storage.nbytes(), kind
        self._now[kind] += storage.nbytes()
        weakref.finalize(storage, self._gone, key)
        self.moments.append(self.now)

    def _gone(self, key: int) -> None:
        self._now[self._kinds.pop(key)] -= self._sizes.pop(key)

    def _become(self, key: int, kind: str) -> None:
        self._now[self._kinds[key]] -= self._sizes[key]
        self._now[kind] += self._sizes[key]
        self._kinds[key] = kind
        self.moments.append(self.now)


@contextmanager
def as_on_cuda() -> Iterator[None]:
    """Run the block with CUDA's autocast rules and CUDA's choice of attention kernels."""
    library = torch.library.Library("aten", "IMPL")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that a kernel is overridden
        for name, kernel in _IN_FP32.items():
            library.impl(name, _without_autocast(kernel), "AutocastCPU")
    with _Attention():
        yield
    library._destroy()


def _in_fp32(operator: Any) -> Callable[..., Any]:
    def kernel(*args: Any, **named: Any) -> Any:
        return operator(*map(_float, args), **{k: _float(v) for k, v in named.items()})

    return kernel


def _softmax(x: Tensor, dim: int, dtype: Any = None) -> Any:
    if x.dtype == torch.float16:  # CUDA's kernel reads fp16 and writes fp32, with no copy between
        return aten._softmax(x, dim, True)
    return aten.softmax.int(_float(x), dim, dtype)


# What CUDA's autocast runs in fp32 and the CPU's does not, as far as SDXL has it.
_IN_FP32: Mapping[str, Callable[..., Any]] = {
    "softmax.int": _softmax,
    "layer_norm": _in_fp32(aten.layer_norm.default),
    "group_norm": _in_fp32(aten.group_norm.default),
}


def _without_autocast(kernel: Callable[..., Any]) -> Callable[..., Any]:
    keys = torch._C.DispatchKeySet(torch._C.DispatchKey.AutocastCPU)

    def guarded(*args: Any, **named: Any) -> Any:
        with torch._C._ExcludeDispatchKeyGuard(keys):
            return kernel(*args, **named)

    return guarded


class _Attention(TorchFunctionMode):
    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if func is functional.scaled_dot_product_attention:
            return _attention(*args, **kwargs)
        return func(*args, **kwargs)


def _attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
) -> Tensor:
    half = query.dtype != torch.float32
    if half and attn_mask is None and query.shape[-1] <= FLASH_WIDEST:
        flash = aten._scaled_dot_product_flash_attention
        result = flash(query, key, value, dropout_p, is_causal, scale=scale)
        return result[0]
    if attn_mask is not None:
        attn_mask = attn_mask.to(query.dtype).expand(*query.shape[:-1], key.shape[-2])
    efficient = aten._scaled_dot_product_efficient_attention
    result = efficient(query, key, value, attn_mask, True, dropout_p, is_causal, scale=scale)
    return result[0]


def _float(value: Any) -> Any:
    floating = isinstance(value, Tensor) and value.is_floating_point()
    return value.float() if floating else value


def _key(tensor: Tensor) -> int:
    key: int = tensor.untyped_storage()._cdata
    return key


def _number(dtype: torch.dtype) -> bool | int | float:
    """Return a number to read from a tensor without any: as good as most."""
    if dtype == torch.bool:
        return True
    return 0.5 if dtype.is_floating_point else 1


def _has_data(tensor: Tensor) -> bool:
    from torch._subclasses.fake_tensor import FakeTensor  # private: only where it is needed

    return not isinstance(tensor, FakeTensor)
