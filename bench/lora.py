"""Time the decompositions that extracting and resizing SDXL LoRAs come down to, on one thread.

One matrix of each shape counts as often as SDXL has it; all 986 together are told, in seconds of
the processor (other programs then make less of a difference). They are made
up: a tuned minus a base weight, both rounded to fp16, whose change has singular values that fall
as real ones do, or is flat noise, the worst there is.

Rivals: the stock scripts' `torch.linalg.svd`, the same without the parts nobody keeps (thin),
`torch.svd_lowrank` as ComfyUI-KJNodes (niter=7), silveroxides' ModelUtils (niter=2) and
sd-scripts' pull request 2240 (twice the rank, niter=2) call it; for resizing, QR and the core's
decomposition (elias-gaeros/resize_lora). A rival that is as near (within 1.001 of the least
possible error, at its worst shape too) and sooner is a failure; so is ours beyond 1.001.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from patches.fast_lora import kp_factors, kp_lowrank

SHAPES = {  # (out, in): how many LoRA modules SDXL has of it, text encoders too
    (1280, 1280): 500,
    (1280, 2048): 120,
    (640, 640): 70,
    (10240, 1280): 60,
    (1280, 5120): 92,
    (640, 2048): 20,
    (5120, 640): 10,
    (640, 2560): 10,
    (768, 768): 48,
    (3072, 768): 12,
    (768, 3072): 12,
    (5120, 1280): 32,
}
RANKS = (16, 32, 64, 128, 256, 512)
RESIZES = ((64, 16), (128, 16), (256, 32), (512, 16), (512, 64))
GOOD = 1.001  # times the least possible error
CHANGE = 3e-4  # root mean square of what fine-tuning changed
COLUMNS = ("seconds", "x ours", "error", "worst")

Shape = tuple[int, int]
Matrices = dict[Shape, Tensor]
Slow = dict[tuple[str, Shape], float]  # by way and shape: seconds
Factors = tuple[Tensor, Tensor]  # up (m x r), down (r x n)


@dataclass(frozen=True)
class Way:
    """A way to do it; `whole`: whatever the rank, so that it is timed for the first one alone."""

    name: str
    run: Callable[[Tensor, int], Factors]
    whole: bool = False


@dataclass
class Score:
    """What a way took for all modules, and how far off it was at the least possible error's."""

    seconds: float = 0.0
    squared: float = 0.0
    least: float = 0.0
    worst: float = 0.0

    def add(self, count: int, error: float, least: float) -> None:
        """Take in one shape."""
        self.squared += count * error**2
        self.least += count * least**2
        self.worst = max(self.worst, error / least)

    @property
    def ratio(self) -> float:
        """Error of the whole LoRA over the least possible."""
        return math.sqrt(self.squared / self.least)


def main() -> None:
    """Run all, print tables, fail where a rival that is as good is sooner."""
    options = _options()
    torch.set_num_threads(1)
    print(f"SDXL's 986 modules, 1 thread, torch {torch.__version__}, {options.rounds} rounds")
    failed: list[str] = []
    for kind in options.kinds:
        matrices = {shape: _change(kind, shape) for shape in SHAPES}
        exact = {shape: _values(matrix) for shape, matrix in matrices.items()}
        slow: Slow = {}
        for rank in options.ranks:
            what = f"rank {rank}, {kind}"
            print(f"\n{what:<26}" + "".join(f"{c:>10}" for c in COLUMNS))
            failed += _extraction(rank, matrices, exact, slow, options.rounds, what)
    failed += _resizing(options.rounds, options.resizes)
    if failed:
        sys.exit("\n" + "\n".join(failed))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--ranks", type=int, nargs="+", default=RANKS)
    add("--kinds", nargs="+", choices=KINDS, default=tuple(KINDS))
    add("--resizes", type=int, default=len(RESIZES), help="how many of them (%(default)s)")
    add("--rounds", type=int, default=3, help="the best of these counts (%(default)s)")
    return parser.parse_args()


def _extraction(
    rank: int, matrices: Matrices, exact: Matrices, slow: Slow, rounds: int, what: str
) -> list[str]:
    """Print what each way took for this rank; return what ours is not ahead of.

    `slow` keeps the times of those whose work is the same for every rank.
    """
    ways = (Way("ours", _ours), *_rivals())
    scores = {way.name: Score() for way in ways}
    for shape, matrix in matrices.items():
        least = max(float(exact[shape][min(rank, *shape) :].sum().sqrt()), 1e-9)
        best = {way.name: slow.get((way.name, shape), math.inf) for way in ways}
        left = [way for way in ways if best[way.name] == math.inf]
        for turn in range(rounds):
            for way in left:
                started = time.thread_time()
                up, down = way.run(matrix, rank)
                best[way.name] = min(best[way.name], time.thread_time() - started)
                if way.whole:
                    slow[way.name, shape] = best[way.name]
                elif not turn:
                    error = float(torch.linalg.matrix_norm(matrix - up @ down))
                    scores[way.name].add(SHAPES[shape], error, least)
        for name, seconds in best.items():
            scores[name].seconds += SHAPES[shape] * seconds
    return list(_told(scores, what))


def _ours(matrix: Tensor, rank: int) -> Factors:
    found = kp_lowrank.truncate(matrix, rank)
    return found.up, found.down


def _rivals() -> Iterator[Way]:
    yield Way("stock: whole svd", _whole, whole=True)
    yield Way("svd, thin", _thin, whole=True)
    yield Way("svd_lowrank, KJNodes", lambda a, r: _lowrank(a, r, 7))
    yield Way("svd_lowrank, silveroxides", lambda a, r: _lowrank(a, r, 2))
    yield Way("svd_lowrank, PR 2240", lambda a, r: _lowrank(a, min(2 * r, *a.shape), 2, keep=r))


def _whole(matrix: Tensor, rank: int) -> Factors:
    left, values, right = torch.linalg.svd(matrix)
    return left[:, :rank] @ torch.diag(values[:rank]), right[:rank]


def _thin(matrix: Tensor, rank: int) -> Factors:
    left, values, right = torch.linalg.svd(matrix, full_matrices=False)
    return left[:, :rank] * values[:rank], right[:rank]


def _lowrank(matrix: Tensor, q: int, niter: int, keep: int | None = None) -> Factors:
    left, values, right = torch.svd_lowrank(matrix, q=min(q, *matrix.shape), niter=niter)
    return left[:, :keep] * values[:keep], right[:, :keep].T


def _told(scores: dict[str, Score], what: str) -> Iterator[str]:
    """Print a line for each way; yield what ours is not ahead of."""
    ours = scores["ours"]
    for name, score in scores.items():
        known = f"{score.ratio:10.4f}{score.worst:10.4f}" if score.least else " " * 20
        print(f"{name:<26}{score.seconds:10.1f}{score.seconds / ours.seconds:10.2f}{known}")
    if ours.worst > GOOD:
        yield f"{what}: ours is off by {ours.worst:.4f} of the least at the worst shape"
    for name, score in scores.items():
        as_good = not score.least or score.worst <= GOOD  # judged as ours is
        if name != "ours" and as_good and score.seconds < ours.seconds:
            yield f"{what}: {name} is as good in {score.seconds / ours.seconds:.2f} of the time"


def _resizing(rounds: int, count: int) -> list[str]:
    failed: list[str] = []
    for had, wanted in RESIZES[:count]:
        seconds = dict.fromkeys(("ours", "QR and core", "stock: product and svd"), 0.0)
        for shape, modules in SHAPES.items():
            for name, taken in _resized(_lora(shape, min(had, *shape)), wanted, rounds).items():
                seconds[name] += modules * taken
        what = f"resize {had} to {wanted}"
        print(f"\n{what:<26}" + "".join(f"{c:>10}" for c in COLUMNS[:2]))
        for name, taken in seconds.items():
            print(f"{name:<26}{taken:10.1f}{taken / seconds['ours']:10.2f}")
            if taken < seconds["ours"]:
                failed.append(f"{what}: {name} is sooner")
    return failed


def _resized(lora: Factors, wanted: int, rounds: int) -> dict[str, float]:
    """Return the seconds that each way takes for one module."""
    up, down = lora
    decompose = kp_factors.decompose
    ways: dict[str, Callable[[], object]] = {
        "ours": lambda: decompose(up, down, wanted),
        "QR and core": lambda: _by_qr(up, down),
        "stock: product and svd": lambda: torch.linalg.svd(up @ down),
    }
    best = dict.fromkeys(ways, math.inf)
    for turn in range(rounds):
        for name, run in ways.items():
            if not turn or not name.startswith("stock"):
                started = time.thread_time()
                run()
                best[name] = min(best[name], time.thread_time() - started)
    return best


def _by_qr(up: Tensor, down: Tensor) -> Factors:
    left, left_core = torch.linalg.qr(up)
    right, right_core = torch.linalg.qr(down.T)
    inner, values, outer = torch.linalg.svd(left_core @ right_core.T)
    return (left @ inner) * values, outer @ right.T


def _falling(shape: tuple[int, int], dice: torch.Generator) -> Tensor:
    """Half of the energy in values that fall as i^-0.7, half in flat noise."""
    count = min(shape) // 4
    left, right = (torch.linalg.qr(torch.randn(n, count, generator=dice)).Q for n in shape)
    part = (left * torch.arange(1, count + 1) ** -0.7) @ right.T
    return part / part.norm() + _flat(shape, dice) / math.sqrt(math.prod(shape))


def _flat(shape: tuple[int, int], dice: torch.Generator) -> Tensor:
    return torch.randn(shape, generator=dice)


KINDS = {"falling": _falling, "flat": _flat}


def _change(kind: str, shape: tuple[int, int]) -> Tensor:
    dice = torch.Generator().manual_seed(sum(shape))
    change = KINDS[kind](shape, dice)
    change *= CHANGE * math.sqrt(math.prod(shape)) / change.norm()
    base = torch.randn(shape, generator=dice) * 0.6 / math.sqrt(shape[1])
    return (base + change).half().float() - base.half().float()


def _values(matrix: Tensor) -> Tensor:
    """Return the squared singular values, largest first."""
    exact = matrix.double()
    gram = exact.T @ exact if matrix.shape[0] >= matrix.shape[1] else exact @ exact.T
    return torch.linalg.eigvalsh(gram).clamp(min=0).flip(0)


def _lora(shape: tuple[int, int], rank: int) -> Factors:
    """Return factors as extraction makes them: values into the first one, falling."""
    dice = torch.Generator().manual_seed(rank)
    left, right = (torch.linalg.qr(torch.randn(n, rank, generator=dice)).Q for n in shape)
    return (left * torch.arange(1, rank + 1) ** -0.7).half().float(), right.T.half().float()


if __name__ == "__main__":
    main()
