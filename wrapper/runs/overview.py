"""Where a run stands, as a line and in full."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from kohya_presets.loras import escape
from wrapper.runs import manifest
from wrapper.runs.kept import contents, states
from wrapper.runs.manifest import Run, Stage
from wrapper.screen import progress
from wrapper.system import launch, proc, sizes


def status(run: Run) -> str:
    """Return how far a run has come, in a few words."""
    return _status(run, bool(launch.at_work(run.folder)))


def line(run: Run) -> tuple[str, ...]:
    """Return a run as a row: name, preset, status, size, when it began."""
    began = next((stage.started for stage in run.stages if stage.started), "")
    size = sizes.said(sizes.of(run.folder))
    row = (run.folder.name, run.preset, status(run), size, (began or "")[:16].replace("T", " "))
    return tuple(map(escape.controls, row))


def damaged(folder: Path) -> tuple[str, ...]:
    """Return the row of a run whose record cannot be read."""
    row = (folder.name, "?", f"damaged {manifest.NAME}", sizes.said(sizes.of(folder)), "")
    return tuple(map(escape.controls, row))


def text(run: Run) -> str:
    """Return a run as a person reads it: what went in, how far it is, what there is, what next."""
    at_work = bool(launch.at_work(run.folder))
    how_far = _status(run, at_work)
    rows = [f"{run.folder}: {how_far}", ""]
    rows += [f"  {name:<12} {value}" for name, value in _went_in(run).items()]
    rows.append("")
    for stage in run.stages:
        took = f"  {progress.clock(stage.seconds)}" if stage.seconds else ""
        made = f"  {stage.output}" if stage.state == "done" else _steps(stage)
        shown = "stopped" if stage.state == "running" and not at_work else stage.state
        rows.append(f"  {stage.name:<12} {shown:<8}{took}{made}".rstrip())
    found = states.whole(run.folder)
    if found:
        rows.append("")
    for state in found:
        ago = progress.clock(max(0.0, time.time() - state.saved))
        rows.append(
            f"  state        step {state.step} (epoch {state.epoch}), saved {ago} ago in "
            f"{state.seconds:.1f} s, {sizes.said(state.size)}  {state.folder}"
        )
    rows.append("")
    for kind in contents.KINDS:
        if items := contents.of(run, [kind]):
            size = sizes.said(sum(item.size for item in items))
            rows.append(f"  {kind:<12} {len(items):>4}  {size:>9}")
    if how_far != "done":
        rows.append(f"  next: {proc.our_line('resume', run.folder)}")
    return "\n".join(map(escape.controls, rows)).rstrip() + "\n"  # a run may come from anywhere


def values(run: Run) -> dict[str, Any]:
    """Return a run for scripts."""
    return {
        "run": str(run.folder),
        "kind": run.kind,
        "preset": run.preset,
        "status": status(run),
        "product": str(run.product),
        "facts": {name: dict(table) for name, table in run.facts.items()},
        "stages": [_values(stage) for stage in run.stages],
        "states": [
            {**asdict(state), "folder": str(state.folder)} for state in states.whole(run.folder)
        ],
        "contents": [item.as_json() for item in contents.of(run)],
    }


def _status(run: Run, at_work: bool) -> str:
    for stage in run.stages:
        if stage.state != "done":
            verb = "running" if at_work else {"planned": "not started"}.get(stage.state, "stopped")
            verb = "failed" if stage.state == "failed" and not at_work else verb
            return f"{stage.name} {verb}{_steps(stage)}"
    return "done"


def _went_in(run: Run) -> dict[str, str]:
    facts: Mapping[str, Mapping[str, Any]] = run.facts
    sources, data, base = (facts.get(name, {}) for name in ("sd-scripts", "data", "base"))
    patches = ", ".join(map(str, sources.get("patches", ()))) or "none"
    release = sources.get("release") or sources.get("commit") or sources.get("folder", "?")
    found = {"preset": run.preset, "sd-scripts": f"{release}, patches: {patches}"}
    if base:
        found["base"] = str(base.get("file", ""))
    if data:
        found["images"] = f"{data.get('images', '?')} in {data.get('folder', '?')}"
    return found


def _steps(stage: Stage) -> str:
    last = states.last_step(stage.launch.log) if stage.name == "train" else None
    return f"  {last}" if last and stage.state != "planned" else ""


def _values(stage: Stage) -> dict[str, Any]:
    last = states.last_step(stage.launch.log) if stage.name == "train" else None
    return {
        "name": stage.name,
        "state": stage.state,
        "output": str(stage.output),
        "sha256": stage.sha256,
        "started": stage.started,
        "finished": stage.finished,
        "seconds": stage.seconds,
        "exit_code": stage.exit_code,
        "steps": asdict(last) if last else None,
    }
