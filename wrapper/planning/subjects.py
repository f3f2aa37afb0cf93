"""Validate for a release or a checkout, and print the report."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from kohya_presets import problems, prompts
from kohya_presets.errors import UserError
from kohya_presets.memory import estimate
from kohya_presets.presets.catalogue import Catalogue
from kohya_presets.problems import Problem, listed
from kohya_presets.prompts import checks
from kohya_presets.sdscripts import releases
from kohya_presets.training.settings import IMAGES
from kohya_presets.validate import config_files, everything, rules
from kohya_presets.validate.report import Against, Report, assumes_model
from patches import registry
from wrapper.checkouts import checkout, patchwork
from wrapper.environments import gpu
from wrapper.planning import preflight
from wrapper.system import paths, proc


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
    preflight.require_codes(ignore)
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
        gpu_gib=gpu.largest(),
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


def every(
    names: Sequence[str],
    presets: Catalogue,
    against: Against,
    overrides: Sequence[str] = (),
    script: str | None = None,
) -> list[Report]:
    """Return a report on each preset, and on the files that sd-scripts reads."""
    found = {name: path for name in names if (path := _config(name))}
    files = list(found.values())
    if files and overrides:
        raise UserError("--set works only with presets", hint=f"Edit {files[0]} instead.")
    if script and not files:
        raise UserError(
            "--script works only with files of sd-scripts", hint="A preset has its own."
        )
    reports: list[Report] = []
    for name in names:
        if file := _prompts(name):
            reports.append(_of_prompts(file, against))
        elif name not in found:
            reports.append(one(name, presets, against, overrides))
        elif found[name] == files[0]:  # all at once: some belong together
            reports += config_files.together(files, against, script=script)
    return reports


def one(name: str, presets: Catalogue, against: Against, overrides: Sequence[str] = ()) -> Report:
    """Return the report on a preset."""
    path = Path(name).expanduser()
    if path.suffix == ".json" and path.is_file():
        command = proc.our_line("gui", "import", path)
        hint = f"If the Kohya GUI saved it, run `{command}` first."
        raise UserError(f"expected a preset or a TOML file, found {path}", hint=hint)
    found = everything.preset(name, presets, against, overrides=overrides)
    unknown = preflight.unknown_patches(found.preset) if found.preset else ()
    return replace(found, problems=(*found.problems, *unknown))


def _config(name: str) -> Path | None:
    """Return the file of that name, if it is one that sd-scripts reads."""
    path = Path(name).expanduser()
    named = path.suffix == ".toml" and path.is_file() and not config_files.is_preset(path)
    return path if named else None


def _prompts(name: str) -> Path | None:
    """Return the file of that name, if it is one of prompts."""
    path = Path(name).expanduser()
    return path if path.suffix == prompts.TEXT and path.is_file() else None


def _of_prompts(file: Path, against: Against) -> Report:
    found = checks.of_bytes(file.read_bytes(), against.release, file)
    left = tuple(problem for problem in found if problem.code not in against.ignore)
    return Report(str(file), against.release, left)


def text(report: Report, *, advice: bool = False) -> str:
    """Return the report as a person reads it, advice in full or as one line."""
    found = problems.counts(report.problems) or "no problems found"
    lines = [f"{report.subject} on {report.release}: {found}"]
    if taken := report.taken_for:
        assumed = "SDXL is assumed, since nothing tells the model"
        why = [listed(taken.because)] if taken.because else []
        why += [assumed] if assumes_model(taken) else []
        lines.append(f"  taken for {taken.script}: {'; '.join(why)} (--script names another)")
    if report.memory:
        meant = report.preset.vram_gib if report.preset else None
        lines.append(f"  {estimate.summary(report.memory, meant)}")
    shows = "" if advice else "add --advice to see them"
    return "\n".join([*lines, *problems.paragraphs(report.problems, indent="  ", advice=shows)])


def values(report: Report) -> dict[str, Any]:
    """Return the report for scripts."""
    return {
        "subject": report.subject,
        "release": report.release,
        "script": report.settings.script or None if report.settings else None,
        "problems": [_values(problem) for problem in report.problems],
        "memory": dict(report.memory.parts) if report.memory else None,
    }


def _values(problem: Problem) -> dict[str, Any]:
    citation = next((rule.citation for rule in rules.RULES if rule.code == problem.code), None)
    return {**problems.values(problem), "source": citation}
