"""Say in words how much of what fine-tuning changed a LoRA holds.

Runs inside sd-scripts: torch and the standard library only, Python 3.10, torch 2.0 and newer.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping

from .kp_difference import Rounding
from .kp_lowrank import LowRank
from .kp_sdxl_modules import PARTS


def of(modules: Mapping[str, LowRank], in_all: int, seconds: float) -> str:
    """Return a line for each part of the model: how far off it is, and how far at least."""
    lines = [
        _line(name, [m for key, m in modules.items() if key.startswith(prefix)])
        for prefix, name in PARTS.items()
    ]
    same = in_all - len(modules)
    methods = ", ".join(f"{count} by {name}" for name, count in _methods(modules).items())
    unchanged = f"; {same} weights are the same in both" if same else ""
    lines.append(f"  {len(modules)} modules in {seconds:.1f} s: {methods}{unchanged}")
    return "\n".join(lines)


def rounding(found: Rounding, *, left_out: bool) -> str:
    """Return a line about two formats: how much of the difference their rounding explains."""
    formats = f"the base is stored as {found.base}, the tuned model as {found.tuned}"
    norms = (
        f"norm of the difference {found.whole:.3g}, of rounding the base to {found.tuned} "
        f"{found.rounding:.3g}, of the difference without it {found.alike:.3g}"
    )
    done = "--round_base left it out" if left_out else "to leave it out, add --round_base"
    return f"  {formats}: {norms}; {done}"


def _line(part: str, modules: list[LowRank]) -> str:
    if not modules:
        return f"  {part}: no module"
    if not any(module.norm for module in modules):
        return f"  {part}: no change"
    norm, error, best = (
        math.sqrt(sum(value**2 for value in values))
        for values in (
            [m.norm for m in modules],
            [m.error for m in modules],
            [m.best for m in modules],
        )
    )
    return (
        f"  {part}: {1 - (error / norm) ** 2:.2%} of the change (squared) in rank "
        f"{max(m.rank for m in modules)}; off by {error / norm:.2%}, at least {best / norm:.2%}"
    )


def _methods(modules: Mapping[str, LowRank]) -> Counter[str]:
    return Counter(module.method for module in modules.values())
