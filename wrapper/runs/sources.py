"""The scripts and patches of a run stay those of its record, also after weeks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from kohya_presets.errors import UserError
from kohya_presets.problems import listed
from patches import registry
from patches.registry import Patch
from wrapper.checkouts import checkout, patchwork, trees
from wrapper.checkouts.checkout import SOURCES, Checkout
from wrapper.runs import manifest
from wrapper.runs.manifest import Run
from wrapper.system import paths
from wrapper.system.launch import Launch


def standing(run: Run, on_step: Callable[[str], None]) -> Run:
    """Return the run, with the scripts and patches there that its record names.

    A copy with patches that was deleted is created again. A run of an earlier version, which
    patched the checkout itself, moves to a copy with the same patches.

    Raises:
        UserError: the scripts or the patches are not those that the run started with.
    """
    old = Path(str(run.facts.get("sd-scripts", {}).get("folder", "")))
    place = checkout.place_of(old)
    if place is None or all(stage.state == "done" for stage in run.stages):
        return run
    if not (place / checkout.RECORD).is_file():
        return run
    if old.is_dir() and not _differing(run):
        return run
    made = trees.with_patches(checkout.recorded(place), _same_patches(run), on_step=on_step)
    if made.scripts == old:
        return run
    sources = run.facts["sd-scripts"]
    if sources.get("tree"):
        hint = f"Undo your edits in {place / SOURCES}, or start a new run."
        raise UserError(f"sd-scripts has changed since the run in {run.folder} started", hint=hint)
    on_step(f"the run now uses {made.scripts}")
    for stage in run.stages:
        if stage.state != "done":
            run = run.with_stage(replace(stage, launch=moved(stage.launch, old, made.scripts)))
    sources = {**sources, "folder": str(made.scripts), "tree": made.folder.parent.name}
    run = replace(run, facts={**run.facts, "sd-scripts": sources})
    manifest.write(run)
    return run


def moved(planned: Launch, old: Path, new: Path) -> Launch:
    """Return a launch with the scripts of the folder `new` in place of those of `old`."""

    def there(word: str) -> str:
        return word.replace(str(old), str(new))

    env = {name: there(value) for name, value in planned.env.items()}
    return replace(planned, argv=tuple(map(there, planned.argv)), cwd=new, env=env)


def require_same_patches(run: Run) -> None:
    """Raise UserError where the patches in a run's scripts are not those of its record."""
    if not _differing(run):
        return
    there, missing, new = _compared(run)
    where, wrong = f'"{there.folder}"', [f"{name} is missing" for name in missing]
    wrong += [f"{name} is new" for name in new] + (checkout.edits(there) if there.is_copy else [])
    undo = [f"`{patchwork.command(missing, where)}`"] if missing else []
    undo += [f"`kohya-presets patch revert {' '.join(new)} --checkout {where}`"] if new else []
    hint = f"Run {listed(undo)}, then resume." if undo and not there.is_ours else None
    raise UserError(
        f"the patches in {there.folder} have changed since the run started: {', '.join(wrong)}",
        hint=hint or "Resume the run: it then says what to do.",
    )


def _differing(run: Run) -> bool:
    """Return whether the patches in a run's scripts are others than its record says."""
    facts = run.facts.get("sd-scripts", {})
    known = "patches" in facts and not facts.get("standin")
    if not known or not Path(str(facts.get("folder", ""))).is_dir():
        return False
    there, missing, new = _compared(run)
    return bool(missing or new or (there.is_copy and checkout.edits(there)))


def _compared(run: Run) -> tuple[Checkout, list[str], list[str]]:
    """Return a run's checkout, and which patches it lacks and has too many."""
    facts = run.facts["sd-scripts"]
    folder = Path(str(facts["folder"]))
    there = checkout.open_folder(folder.parent if facts.get("layout") == "gui-v23" else folder)
    now, then = patchwork.carried(there), frozenset(map(str, facts["patches"]))
    return there, sorted(then - now), sorted(now - then)


def _same_patches(run: Run) -> list[Patch]:
    """Return the patches that a run was planned with.

    Raises:
        UserError: one of them has another content now.
    """
    names = map(str, run.facts["sd-scripts"].get("patches", ()))
    found = [registry.find(name, paths.user_patches()) for name in names]
    hashes = run.facts.get("patches", {})
    if changed := [patch.name for patch in found if patch.sha256() != hashes.get(patch.name)]:
        raise UserError(
            f"patches have changed since the run in {run.folder} started: {', '.join(changed)}",
            hint="Restore them, or start a new run.",
        )
    return found
