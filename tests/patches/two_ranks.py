"""What two processes do together: test_kp_together.py starts this twice, and reads what it found.

    python -m torch.distributed.run --nproc_per_node=2 two_ranks.py FOLDER

Writes FOLDER/found-RANK.json. All that is done here is done by both.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import random
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

import torch  # noqa: E402
from accelerate import Accelerator  # noqa: E402

from patches.adacoor import kp_adacoor, kp_adacoor_compiled, kp_adacoor_cpp  # noqa: E402
from patches.resume import kp_states, kp_together  # noqa: E402
from tests.patches.test_kp_resume import ALWAYS, after, train  # noqa: E402

RANK = int(os.environ["RANK"])


def said_by(action: Callable[[], Any]) -> tuple[Any, str]:
    """Return what an action returned, or the words of its error, and what it printed."""
    with contextlib.redirect_stdout(io.StringIO()) as out:
        try:
            done = action()
        except (ValueError, OSError, RuntimeError) as error:
            done = f"{type(error).__name__}: {error}"
    return done, out.getvalue()


def going_on(folder: Path) -> dict[str, Any]:
    """Continue after each step, from states by the clock and from sd-scripts' own."""
    found: dict[str, Any] = {}
    for accumulation in (1, 2):
        into, how = folder / str(accumulation), {"accumulation": accumulation}
        undisturbed = train(into / "alone", **how)
        found[f"saving {accumulation}"] = train(into, **how, **ALWAYS) == undisturbed
        for state in sorted((into / "it-states").iterdir()):
            resume = {"resume": str(state), "state_every_minutes": 99.0}
            left, said = said_by(lambda r=resume, h=how: train(folder / "again", **h, **r))
            same = left == after(int(state.name[4:]), undisturbed)
            found[f"{state.name} {accumulation}"] = same and "not be exactly" not in said
    found["steps"] = undisturbed[-1][1]
    return found


def sd_scripts_own(folder: Path) -> dict[str, Any]:
    """Continue a state that the first process alone has saved, as sd-scripts does it."""

    def save_state(step: int, accelerator: Any) -> None:
        if step in (2, 4) and accelerator.is_main_process:
            accelerator.save_state(str(folder / f"it-step{step:08d}-state"))

    disturbed = train(folder, each_step=save_state, save_state=True)
    found = {}
    for step in (2, 4):
        state = folder / f"it-step{step:08d}-state"
        found[str(step)] = train(folder / "again", resume=str(state)) == after(step, disturbed)
        found[f"files {step}"] = sorted(file.name for file in state.glob("kp_*"))
    barrier()
    if RANK == 0:
        (state / "kp_generators-1.safetensors").unlink()
    barrier()
    found["said"] = said_by(lambda: train(folder / "again", resume=str(state)))[1]
    return found


def a_full_disk(folder: Path) -> dict[str, Any]:
    """Fail to save a state in the second process alone."""
    undisturbed, save_state = train(folder / "alone"), Accelerator.save_state

    def full(self: Any, into: str, *rest: Any, **named: Any) -> None:
        save_state(self, into, *rest, **named)
        if RANK == 1:
            random.random()
            raise OSError(28, "No space left on device")

    Accelerator.save_state = full
    try:
        made, said = said_by(lambda: train(folder, **ALWAYS))
    finally:
        Accelerator.save_state = save_state
    barrier()
    left = [each.name for each in (folder / "it-states").iterdir()]
    return {"same": made == undisturbed, "said": said, "left": left}


def disagreeing(folder: Path) -> dict[str, Any]:
    """Continue from a state each; save into a folder each."""
    train(folder, **ALWAYS)
    state = folder / "it-states" / f"step{3 + RANK:08d}"
    found = {"states": said_by(lambda: train(folder / "again", resume=str(state)))[0]}
    kp_together.PATIENCE_SECONDS = 0.0
    own = {"state_dir": str(folder / f"of {RANK}"), "state_every_minutes": 99.0}
    return {**found, "folders": said_by(lambda: train(folder / "again", **own))[0]}


def stopping(folder: Path) -> dict[str, Any]:
    """Tell the second process alone to stop, while the first is slow to finish the state."""

    def kill(step: int, accelerator: Any) -> None:
        if step == 4 and RANK == 1:
            os.kill(os.getpid(), signal.SIGTERM)

    finish, code = kp_states.finish, None

    def slow(*args: Any) -> Any:
        import time

        time.sleep(2)
        return finish(*args)

    kp_states.finish = slow
    try:
        train(folder, state_every_minutes=99.0, each_step=kill)
    except SystemExit as stopped:
        code = stopped.code
    state = folder / "it-states" / "step00000004"
    return {"code": code, "whole": kp_states.read(state) is not None}


def compiled() -> dict[str, Any]:
    """Take a step of AdaCoor where the second process cannot compile it."""

    def fails() -> Any:
        raise RuntimeError("no compiler here")

    if RANK == 1:
        kp_adacoor_cpp._compiled = fails
    like = tuple((torch.device("cpu"), torch.float32) for _ in range(3))
    alone = kp_adacoor_compiled._tried(like, False) is not None
    optimizer = kp_adacoor.AdaCoor([torch.nn.Parameter(torch.ones(8)) for _ in range(16)])
    optimizer.compiled = True
    optimizer.state_dtype = torch.float32
    for p in optimizer.param_groups[0]["params"]:
        p.grad = torch.full_like(p, 0.5)
    optimizer.step()
    kernel = kp_adacoor_compiled._kernel(like, False)
    return {"alone": alone, "together": kernel is not None}


def barrier() -> None:
    torch.distributed.barrier()


def main() -> None:
    folder = Path(sys.argv[1])
    found: dict[str, Any] = {"going on": going_on(folder / "going on")}
    found["own"] = sd_scripts_own(folder / "own")
    found["full"] = a_full_disk(folder / "full")
    found["disagreeing"] = disagreeing(folder / "disagreeing")
    found["compiled"] = compiled()
    found["stopping"] = stopping(folder / "stopping")  # which ends the group of processes
    (folder / f"found-{RANK}.json").write_text(json.dumps(found), "utf-8")
    if RANK == 0:
        for each in ("going on", "own"):
            shutil.rmtree(folder / each)


if __name__ == "__main__":
    main()
