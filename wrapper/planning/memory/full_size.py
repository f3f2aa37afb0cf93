"""A rehearsal at SDXL's true size: its base model, kept for the next time, and what it takes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from kohya_presets.errors import TrainerError, UserError
from kohya_presets.memory import estimate
from kohya_presets.memory.estimate import Estimate
from kohya_presets.presets.preset import Preset
from kohya_presets.training.settings import Settings
from wrapper.checkouts.checkout import Checkout
from wrapper.planning import disk
from wrapper.rehearsal import adapt
from wrapper.screen.talk import Talk
from wrapper.system import launch, locks, paths, sizes
from wrapper.system.launch import RUN_MARK, Launch
from wrapper.watching import kernel

MODEL = 6_938_100_000  # bytes of the base model, and of what training saves in half precision
WORK = 3 * 2**30  # Python, torch, and tensors on their way
PARTS = ("weights", "optimizer state", "gradients", "EMA")
MINUTES = "10 minutes to an hour, or more on a slow computer"


def folder() -> Path:
    """Return where the base model of true size is kept."""
    return paths.home() / "full-size"


def base(checkout: Checkout, python: Path, talk: Talk) -> Path:
    """Return the base model, made if it is not there yet.

    Raises:
        TrainerError: it could not be made.
        UserError: another process is making it.
    """
    made = folder() / "base.safetensors"
    if made.is_file():
        return made
    folder().mkdir(parents=True, exist_ok=True)
    busy = UserError("another kohya-presets is making the base model", hint="Wait for it.")
    with locks.held(folder() / ".lock", busy):
        words = (f"--out={made}", f"--tokenizers={folder() / 'tokenizers'}")
        argv = (str(python), str(adapt.ROOM / "kp_full_checkpoint.py"), *words)
        env = {**adapt.ENV, "PYTHONPATH": str(checkout.scripts), "PYTHONUTF8": "1"}
        env |= {RUN_MARK: str(folder())}
        talk.say(f"making a base model of SDXL's size, {sizes.said(MODEL)}; it is kept in {made}")
        with talk.stage("base model") as on_line:
            started = Launch(argv, checkout.scripts, folder() / "base.log", env)
            outcome = launch.run(started, on_line=on_line)
        if outcome.returncode or not made.is_file():
            raise TrainerError("the base model could not be made", hint=f"Log: {started.log}")
    return made


def require_room(preset: Preset, settings: Settings, run: Path, talk: Talk) -> Estimate | None:
    """Say what the rehearsal takes, and return the estimate of the preset's memory on a GPU.

    Raises:
        UserError: the memory or the disk of this computer is not enough.
    """
    found = estimate.of(settings)
    if found is None:
        hint = "Rehearse it without --full-size."
        raise UserError(f"--full-size is for {estimate.SCRIPT} only", hint=hint)
    needed = memory(found.parts) + WORK
    lowest = kernel.Lowest()
    lowest.look()
    has = lowest.bytes or 0
    free_disk, new = disk.free(run), MODEL * (1 if (folder() / "base.safetensors").is_file() else 2)
    talk.say(
        f"true size takes about {sizes.said(needed)} of memory ({sizes.said(has)} are free), "
        f"{sizes.said(new)} of disk, and {MINUTES}"
    )
    if has < needed:
        hint = "Close other programs, or rehearse without --full-size."
        raise UserError(f"not enough memory: {sizes.said(has)} of {sizes.said(needed)}", hint=hint)
    if free_disk < new:
        hint = "Free some space, or choose another --runs."
        raise UserError(f"not enough disk: {sizes.said(free_disk)} of {sizes.said(new)}", hint=hint)
    return found


def memory(parts: Mapping[str, int]) -> int:
    """Return the bytes that do not depend on the images' size, by the estimate's parts."""
    return sum(parts.get(part, 0) for part in PARTS)
