"""What the processes of one training must agree on; with a single one, there is nothing to ask.

Runs inside sd-scripts: torch and the standard library only, Python 3.10.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

PATIENCE_SECONDS = 90.0  # until all machines see a new file: a network's disk may be late
_WAYS = {"DEEPSPEED": "DeepSpeed", "FSDP": "FSDP", "MEGATRON_LM": "Megatron-LM", "TP": "TP"}
_MARK = ".kp_seen"


def shards() -> str | None:
    """Return what spreads the weights over processes, as accelerate's launcher tells the script."""
    for way, name in _WAYS.items():
        if os.environ.get(f"ACCELERATE_USE_{way}", "").lower() == "true":
            return f"accelerate's {name}"
    return None


def count() -> int:
    """Return the number of processes, as accelerate's launcher tells the script."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def of_all(accelerator: Any, own: Any) -> list[Any]:
    """Return what each process has, by its rank, once all have come here."""
    if accelerator.num_processes == 1:
        return [own]
    found: list[Any] = [None] * accelerator.num_processes
    torch.distributed.all_gather_object(found, own)
    return found


def do(accelerator: Any, action: Callable[[], None]) -> None:
    """Do something in each process, and wait for all; raise in all what is raised in one.

    Raises:
        OSError: by `action`, here.
        RuntimeError: by `action`, here; or with the words of what it raised in another process.
    """
    own: Exception | None = None
    try:
        action()
    except (OSError, RuntimeError) as error:
        own = error
    said = [text for text in of_all(accelerator, own and str(own)) if text is not None]
    if own:
        raise own
    if said:
        raise RuntimeError(said[0])


def require_the_same(accelerator: Any, resume: str | None, place: Any) -> None:
    """Raise ValueError unless all processes go on from the same state, at the same place."""
    found = of_all(accelerator, (Path(resume or "").name, place))
    for rank, other in enumerate(found):
        if other != found[0]:
            raise ValueError(
                f"process 0 continues from the state {found[0][0]!r}, process {rank} from "
                f"{other[0]!r}. Name one state, on a disk that all machines share"
            )


def require_one_folder(accelerator: Any, folder: Path) -> None:
    """Raise ValueError unless all processes see the same folder."""
    if accelerator.num_processes == 1:
        return
    mark, rank = folder / _MARK, accelerator.process_index
    if rank == 0:
        folder.mkdir(parents=True, exist_ok=True)
        mark.touch()
    of_all(accelerator, None)
    limit = time.monotonic() + PATIENCE_SECONDS
    while not mark.exists() and time.monotonic() < limit:
        time.sleep(0.5)
    all_see = all(of_all(accelerator, mark.exists()))
    if rank == 0:
        mark.unlink(missing_ok=True)
    if not all_see:
        raise ValueError(
            f"not every machine sees the folder of states: {folder}. "
            "Use a --state_dir on a disk that all of them share"
        )
