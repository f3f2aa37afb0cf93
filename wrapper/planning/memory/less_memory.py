"""`--oom retry`: where GPU memory did not suffice, plan the run anew with the smallest change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from kohya_presets.presets import preset as presets
from kohya_presets.presets.preset import Preset
from kohya_presets.toml import text as toml_text
from wrapper.environments import gpu
from wrapper.planning import again, inputs
from wrapper.runs import failures, manifest
from wrapper.runs.attempt import StageError
from wrapper.runs.kept import places, states
from wrapper.runs.manifest import Run
from wrapper.runs.watcher import Watcher
from wrapper.system import whole
from wrapper.watching import savings
from wrapper.watching.savings import Saving

CODE = "gpu-memory"  # of the reason
RECORD = "less-memory"  # table of run.toml: what was changed, in order


def planned(run: Run, error: StageError, watcher: Watcher) -> Run | None:
    """Return the run with less use of GPU memory, written down; None where nothing is left to do.

    What is changed stands in `preset.toml` and, with the reason, in `run.toml`. A state that the
    changed training could not go on from is set aside.
    """
    settings = failures.of_run(run)
    if error.why is None or error.why.code != CODE or settings is None:
        return None
    found = savings.smallest(settings, error.stage, gpu_gib=gpu.largest())
    if not found:
        return None
    return _changed(run, error.stage, found, watcher)


def _changed(run: Run, stage: str, found: tuple[Saving, ...], watcher: Watcher) -> Run:
    changes = {key: value for saving in found for key, value in saving.changes.items()}
    preset = _with(again.preset_of(run), changes)
    plan = inputs.plan(preset, inputs.of(run))
    done = dict(run.facts.get(RECORD, {}))
    for saving in found:
        said = ", ".join(f"{k} = {toml_text.value_text(v)}" for k, v in saving.changes.items())
        done[str(len(done) + 1)] = f"{said}: {saving.why}"
        watcher.say(f"{stage}: GPU memory did not suffice, so {said} ({saving.why})")
    fits = stage != "train" or all(saving.keeps_state for saving in found)
    if not fits and (earlier := places.set_aside(run.folder / states.FOLDER)) is not None:
        watcher.say(f"{stage}: its states do not fit any more, and are kept in {earlier.name}")
    now = manifest.read(run.folder)
    stages = tuple(
        replace(again.continued(new, old), state="planned" if new.name == stage else old.state)
        for new, old in zip(plan.stages, now.stages, strict=True)
    )
    changed = replace(run, stages=stages, keeps=plan.keeps, facts={**run.facts, RECORD: done})
    files = {run.folder / name: text.encode("utf-8") for name, text in plan.files.items()}
    files[run.folder / "preset.toml"] = presets.to_toml(preset).encode("utf-8")
    whole.put(files)
    manifest.write(changed)
    return changed


def _with(preset: Preset, changes: Mapping[str, Any]) -> Preset:
    tables: dict[str, dict[str, Any]] = {}
    for key, value in changes.items():
        table, _, name = key.partition(".")
        tables.setdefault(table, dict(preset.tables.get(table, {})))[name] = value
    reasons = {**preset.provenance, **dict.fromkeys(changes, "chosen: GPU memory did not suffice")}
    return replace(preset, **tables, provenance=reasons)  # type: ignore[arg-type]
