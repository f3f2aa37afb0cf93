"""What to try after a failed stage of a run: its settings and states, given to `watching`."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from kohya_presets.errors import UserError
from kohya_presets.presets import inherit
from kohya_presets.presets.preset import Preset
from kohya_presets.sdscripts import options
from kohya_presets.training import settings
from kohya_presets.training.settings import Settings
from patches import registry
from wrapper.runs.manifest import Run, Stage
from wrapper.system import paths
from wrapper.watching import causes, log_end
from wrapper.watching.findings import Kept
from wrapper.watching.situation import Situation

PRESET = "preset.toml"  # the resolved one, in the run's folder


def advise(tail: Sequence[str], at: Situation | None = None) -> str | None:
    """Return what to try next, or None when no known error is in the log."""
    stop = causes.of(tail, at)
    return f"{stop.what[0].upper()}{stop.what[1:]}. {stop.hint}" if stop else None


def last_words(tail: Sequence[str]) -> str:
    """Return the line that says most about a failure: the last error, else the last line."""
    return log_end.words(tail)


def situation(
    run: Run, stage: Stage, states: Sequence[Kept] = (), known: Settings | None = None
) -> Situation:
    """Return what an answer depends on: the settings of the run (or `known`), states, disk."""
    found, python = known or of_run(run), stage.launch.argv[0]
    return Situation(found, stage.name, run.folder, python, states, _free(run.folder))


def of_run(run: Run) -> Settings | None:
    """Return the settings of a run, as its preset says; None where that cannot be read."""
    made = preset_of(run)
    if made is None:
        return None
    facts = run.facts.get("sd-scripts", {})
    additions = registry.additions(paths.user_patches())
    carried = [str(name) for name in facts.get("patches", ())]
    return settings.of_preset(
        made,
        options.nearest_release(run.release),
        additions,
        carried=carried,
        processes=max(1, made.gpus),
    )


def preset_of(run: Run) -> Preset | None:
    """Return the preset of a run, as it was resolved; None where that cannot be read."""
    file = run.folder / PRESET

    def itself(name: str, asked_by: Path | None = None) -> Path:
        return file  # it extends nothing

    try:
        return inherit.inspect(file, find=itself).preset
    except UserError:
        return None


def _free(folder: Path) -> int | None:
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return None
