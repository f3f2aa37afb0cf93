"""Extract the LoRA of each checkpoint that a training saves, while it goes on.

    python kp_keep.py JOBS.json

JOBS.json: the `folder` of the checkpoints and how their names look (`pattern`); the `scripts` to
run for each, with their words, in which "{in}" and "{out}" are filled in; the folder `into` of
the LoRAs, where a person finds them, and `made`, where they are written first; `until`, a file:
when it is there, no more checkpoints come. Who starts this holds the other end of its standard
input: when that closes, there is nobody any more.

The scripts are run in this process, one after the other, so that torch is imported once. Each LoRA
is renamed when it is whole. Nothing is deleted: who started this does that, after verifying it.
Runs in the trainer's environment, with nothing of ours importable.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import runpy
import struct
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import Any

POLL_SECONDS = 0.2
ORPHANED = 3  # exit code
NICE = 10  # training comes first


def main(file: Path) -> int:
    """Extract until no more checkpoints come.

    Returns 1 if some could not be extracted.
    """
    threading.Thread(target=_end_with_parent, daemon=True).start()
    jobs: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    folder, made, until = (Path(jobs[key]) for key in ("folder", "made", "until"))
    pattern, failed = re.compile(jobs["pattern"]), set[str]()
    made.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(ImportError):  # before the first checkpoint is there
        import torch  # noqa: F401
    with contextlib.suppress(AttributeError, OSError):
        os.nice(NICE)
    while True:
        ends = until.exists()  # asked before looking: what is saved last must still be found
        todo = [
            file
            for file in sorted(folder.glob("*.safetensors"), key=_age)
            if pattern.fullmatch(file.name)
            and file.name not in failed
            and not any(is_whole(place / file.name) for place in (made, Path(jobs["into"])))
            and is_whole(file)
        ]
        for file in todo[:1]:
            _say(f"extracting the LoRA of {file.name}")
            try:
                extract(file, made, jobs["scripts"])
            except (Exception, SystemExit):
                traceback.print_exc()
                failed.add(file.name)
                _say(f"the LoRA of {file.name} could not be extracted")
            else:
                _say(f"extracted the LoRA of {file.name}")
        if not todo:
            if ends:
                return int(bool(failed))
            time.sleep(POLL_SECONDS)


def extract(checkpoint: Path, made: Path, scripts: list[list[str]]) -> None:
    """Run the scripts one after the other, each on what the one before has made."""
    source, steps = checkpoint, []
    for number, (script, *words) in enumerate(scripts):
        out = made / f"{checkpoint.stem}.{number}.part.safetensors"
        filled = [w.replace("{in}", str(source)).replace("{out}", str(out)) for w in words]
        _run(script, filled)
        steps.append(out)
        source = out
    source.replace(made / checkpoint.name)
    for step in steps[:-1]:
        step.unlink()


def is_whole(file: Path) -> bool:
    """Return whether a safetensors file has been written to its end."""
    try:
        with file.open("rb") as opened:
            (length,) = struct.unpack("<Q", opened.read(8))
            if length > 2**27:
                return False
            header = json.loads(opened.read(length))
    except (OSError, ValueError, struct.error):
        return False
    ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
    return file.stat().st_size == 8 + length + max(ends, default=0)


def _end_with_parent() -> None:
    """Wait for the end of who started this, and end too: nobody verifies and deletes any more.

    The number of the parent would not do: on Windows it stays when the parent has ended.
    """
    while os.read(0, 1):
        pass
    os._exit(ORPHANED)


def _run(script: str, words: list[str]) -> None:
    argv, path = sys.argv, sys.path[:]
    try:
        sys.argv, sys.path[0] = [script, *words], str(Path(script).parent)
        runpy.run_path(script, run_name="__main__")
    except SystemExit as ended:  # fast-lora ends its script so
        if ended.code:
            raise
    finally:
        sys.argv, sys.path[:] = argv, path


def _age(file: Path) -> float:
    try:
        return file.stat().st_mtime
    except OSError:  # deleted meanwhile
        return 0.0


def _say(text: str) -> None:
    print(f"kohya-presets: {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
