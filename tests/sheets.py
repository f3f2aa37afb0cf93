"""Preset files for tests: a good one to spoil, and what is said of a spoiled one."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from kohya_presets.presets.catalogue import Catalogue
from kohya_presets.problems import Problem, errors
from kohya_presets.sdscripts import releases
from kohya_presets.validate import everything, rules
from kohya_presets.validate.report import Against
from patches import registry

ADDITIONS = registry.additions()  # what the shipped patches add

GOOD = """\
schema = 1

[preset]
name = "mine"
title = "Mine"
summary = "A test"
script = "sdxl_train.py"
releases = ">=0.7.1"

[train]
optimizer_type = "AdamW"
learning_rate = 1e-6

[dataset]
resolution = [1024, 1024]

[extract]
dim = 8
"""
# Each shipped preset, and the codes of what `validate NAME --advice` says of it on purpose.
INTENDED: dict[str, set[str]] = {
    "a100-ema": {"min-snr-gamma"},
    "a6000": {"min-snr-gamma"},
    "adacoor": set(),
    "hal": {"mixed-precision", "full-half"},
    "lion": set(),
    "marvin": {"cached-latents", "mixed-precision", "full-half"},
    "skynet": set(),
}
SHIPPED_NAMES = tuple(INTENDED)
SHIPPED_PATCHES = ("adacoor", "ema", "fast-lora", "fused-step", "resume")

Make = Callable[..., Catalogue]  # name="its text" for each file, to the catalogue that has them


def against(source: str, patches: tuple[str, ...] = (), **more: Any) -> Against:
    """Return what to validate against: a release, with what the shipped patches add."""
    return Against(source, patches, ADDITIONS, **more)


def spoiled(*changes: tuple[str, str]) -> str:
    """Return the good preset with each (what stands there, what shall) changed."""
    text = GOOD
    for before, after in changes:
        assert before in text
        text = text.replace(before, after)
    return text


def extending(parent: str, text: str = GOOD) -> str:
    """Return `text` with `extends` on line 5."""
    return re.sub(r'(name = ".*")', rf'\1\nextends = "{parent}"', text, count=1)


def problems(catalogue: Catalogue, name: str, *overrides: str) -> tuple[Problem, ...]:
    """Return what is wrong with the shape of the preset `name`, and with each of its settings."""
    here = against(releases.tags()[-1])
    report = everything.preset(name, catalogue, here, overrides=overrides)
    combined = {rule.code for rule in rules.RULES}
    return tuple(p for p in errors(report.problems) if p.code not in combined)


def faults(catalogue: Catalogue, name: str, *overrides: str) -> list[tuple[str, str]]:
    """Return (code, "FILE:LINE") of each problem, without the folder or what is not known."""
    found = problems(catalogue, name, *overrides)
    return [(p.code, _spot(p)) for p in found]


def _spot(problem: Problem) -> str:
    file, line = problem.where.file, problem.where.line
    return ":".join(str(part) for part in (file.name if file else None, line) if part is not None)
