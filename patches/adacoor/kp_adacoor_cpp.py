"""A step of AdaCoor on a CPU, in C++ that is compiled when it is first asked for.

Runs inside sd-scripts: torch and the standard library only, Python 3.10, torch 2.0 and newer.

On a CPU, what torch.compile makes of rounding by chance takes four times as long: it goes over the
bits of numbers one by one (torch 2.13). And it is compiled for seconds, where this takes one.
"""

from __future__ import annotations

import ctypes
import functools
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from .kp_adacoor_source import CPP
from .kp_adacoor_step import Factors, Kernel, Keys, Like, Triple

COMPILERS = ("c++", "g++", "clang++")
# Multiply-adds in one only where the source says so; no errno, which no vector can set.
USUAL = ("-std=c++17", "-O3", "-ffp-contract=off", "-fno-math-errno", "-shared", "-fPIC")
# The first that a compiler knows, and that can be loaded. Not more on a Mac, where a second OpenMP
# beside torch's ends the process; on Windows, MinGW's vectors are not aligned (GCC's bug 54412).
BETTER = (
    *([("-march=native", "-fopenmp")] if sys.platform == "linux" else []),
    *([("-march=native",)] if sys.platform != "win32" else []),
    (),
)
SECONDS = 120.0
DTYPES = (torch.float32, torch.bfloat16)


def kernel(like: Like) -> Kernel:
    """Return the step of tensors of such dtypes.

    Raises:
        RuntimeError: it is not for these, there is no compiler, or what it makes cannot be used.
        OSError: a compiler cannot be started.
        subprocess.TimeoutExpired: it takes too long.
    """
    weights, gradients, sums = (dtype for _, dtype in like)
    if weights != gradients or not {weights, sums} <= set(DTYPES):
        raise RuntimeError(f"on a CPU not for {weights} with sums in {sums}")
    return functools.partial(_step, _compiled(), weights == DTYPES[1], sums == DTYPES[1])


def _step(
    compiled: Callable[..., None],
    small_weights: bool,
    small_sums: bool,
    triples: Sequence[Triple],
    factors: Factors,
    keys: Keys | None,
) -> None:
    addresses = ctypes.c_void_p * len(triples)
    compiled(
        small_weights,
        small_sums,
        len(triples),
        *(addresses(*[t.data_ptr() for t in some]) for some in zip(*triples, strict=True)),
        (ctypes.c_int64 * len(triples))(*[p.numel() for p, _, _ in triples]),
        *factors,
        (ctypes.c_uint32 * 2)(*keys) if keys else None,
        torch.get_num_threads(),
    )


@functools.cache
def _compiled() -> Callable[..., None]:
    named = os.environ.get("CXX")
    compiler = next(filter(None, map(shutil.which, (named,) if named else COMPILERS)), None)
    if compiler is None:
        raise RuntimeError(f"there is no C++ compiler: {named or ', '.join(COMPILERS)}")
    for better in BETTER:
        try:
            return _built(compiler, better)
        except RuntimeError as error:
            last = error
    raise last


def _built(compiler: str, better: Sequence[str]) -> Callable[..., None]:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        made = Path(folder) / "kp_adacoor.so"
        words = [compiler, *USUAL, *better, "-x", "c++", "-", "-o", str(made)]
        done = subprocess.run(words, input=CPP.encode(), capture_output=True, timeout=SECONDS)
        if done.returncode:
            said = done.stderr.decode(errors="replace").strip().splitlines()
            raise RuntimeError(f"{compiler} says: {said[0] if said else 'nothing'}")
        try:
            function = ctypes.CDLL(str(made)).kp_adacoor  # which stays, without its file
        except (OSError, AttributeError) as error:  # a runtime that the loader does not find
            raise RuntimeError(f"what {compiler} made cannot be loaded: {error}") from error
    flag, address, number = ctypes.c_bool, ctypes.c_void_p, ctypes.c_float
    function.argtypes = (
        *(flag, flag, ctypes.c_int64),
        *(address, address, address, address),
        *(number, number, number),
        *(address, ctypes.c_int),
    )
    function.restype = None
    return function
