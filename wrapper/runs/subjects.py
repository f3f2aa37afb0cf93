"""Validate for a release or a checkout, and print the report."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from kohya_presets import problems
from kohya_presets.errors import UserError
from kohya_presets.memory import estimate
from kohya_presets.presets.catalogue import Catalogue
from kohya_presets.problems import Problem, errors, paragraph, plural
from kohya_presets.sdscripts import releases
from kohya_presets.training.settings import IMAGES
from kohya_presets.validate import everything, rules, silence
from kohya_presets.validate.everything import Against, Report
from patches import registry
from wrapper.checkouts import checkout, patchwork
from wrapper.environments import gpu
from wrapper.runs import preflight
from wrapper.system import paths

LAST = 10**9  # sorts problems without a line to the end


def against(
    release: str,
    folder: Path | None = None,
    *,
    ignore: Collection[str] = (),
    images: int | None = None,
) -> Against:
    """Return what to validate against: a folder's sd-scripts and its patches, or a release.

    Raises:
        UserError: there is no such release, folder, or rule code in `ignore`.
    """
    silence.require(ignore)
    known_as, patches = known(release), frozenset[str]()
    if folder is not None:
        found = checkout.open_folder(folder)
        known_as, patches = found.options_of, patchwork.carried(found)
    return Against(
        known_as,
        tuple(sorted(patches)),
        registry.additions(paths.user_patches()),
        frozenset(ignore),
        images or IMAGES,
        gpu_gib=_largest_gpu(),
    )


def known(release: str) -> str:
    """Return the name under which we know the options of a release or commit.

    Raises:
        UserError: we do not know them; a downloaded checkout is recognized by its files.
    """
    for between in releases.between() if releases.is_commit(release) else ():
        if any(commit.startswith(release.lower()) for commit in between.commits):
            return between.name
    return releases.find(release).tag


def one(name: str, presets: Catalogue, against: Against, overrides: Sequence[str] = ()) -> Report:
    """Return the report on a preset, or on a file that sd-scripts reads."""
    path = Path(name).expanduser()
    if path.suffix == ".json" and path.is_file():
        hint = f"If the Kohya GUI saved it, run `kohya-presets gui import {path}` first."
        raise UserError(f"expected a preset or a TOML file, found {path}", hint=hint)
    if path.suffix == ".toml" and path.is_file() and not everything.is_preset(path):
        if overrides:
            raise UserError("--set works only with presets", hint=f"Edit {path} instead.")
        return everything.file(path, against)
    report = everything.preset(name, presets, against, overrides=overrides)
    unknown = preflight.unknown_patches(report.preset) if report.preset else ()
    return replace(report, problems=(*report.problems, *unknown))


def text(report: Report) -> str:
    """Return the report as a person reads it."""
    wrong, rest = errors(report.problems), len(report.problems) - len(errors(report.problems))
    counts = [plural(len(wrong), "error")] if wrong else []
    counts += [plural(rest, "warning")] if rest else []
    lines = [f"{report.subject} on {report.release}: {', '.join(counts) or 'no problems found'}"]
    if report.memory:
        meant = report.preset.vram_gib if report.preset else None
        lines.append(f"  {estimate.summary(report.memory, meant)}")
    for problem in sorted(report.problems, key=lambda p: (p.severity, p.where.line or LAST)):
        lines.append(paragraph(problem, indent="  "))
    return "\n".join(lines)


def values(report: Report) -> dict[str, Any]:
    """Return the report for scripts."""
    return {
        "subject": report.subject,
        "release": report.release,
        "problems": [_values(problem) for problem in report.problems],
        "memory": dict(report.memory.parts) if report.memory else None,
    }


def _largest_gpu() -> float | None:
    driver = gpu.driver()
    sizes = [g.memory_gib for g in driver.gpus if g.memory_gib is not None] if driver else []
    return max(sizes, default=None)


def _values(problem: Problem) -> dict[str, Any]:
    citation = next((rule.citation for rule in rules.RULES if rule.code == problem.code), None)
    return {**problems.values(problem), "source": citation}
