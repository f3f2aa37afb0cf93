"""Time putting all patches into a whole checkout, and taking them out again.

The checkout is a copy of the newest that this tool has made, else of the stand-in, which lacks some
files: then only the patches that fit. More than half a second for both ways together is a failure,
and so is a file that is not what it was.
"""

from __future__ import annotations

import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from patches import registry
from patches.registry import Patch
from wrapper.checkouts import checkout, patchwork
from wrapper.checkouts.checkout import Checkout
from wrapper.rehearsal.adapt import STANDIN
from wrapper.system import rewrite
from wrapper.system.rewrite import Change

ROUNDS = 11
LIMIT_SECONDS = 0.5


def main() -> None:
    """Run the rounds, print the medians, fail above the limit."""
    real = [found for found in checkout.listing() if not found.is_standin]
    scripts = real[-1].scripts if real else STANDIN
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "sd-scripts"
        shutil.copytree(scripts, copy, ignore=shutil.ignore_patterns(".git", "__pycache__"))
        found = checkout.open_folder(copy)
        before = _contents(copy)
        patches = [patch for patch in registry.every() if _has_its_files(copy, patch)]
        ways = [_both_ways(found, patches) for _ in range(ROUNDS)]
        if _contents(copy) != before:
            sys.exit("the patches left something behind")
    there, back = (statistics.median(times) for times in zip(*ways, strict=True))
    name = real[-1].name if real else "the stand-in"
    names = ", ".join(patch.name for patch in patches)
    print(f"{names}; a copy of {name} with {len(before)} files, median of {ROUNDS} rounds")
    for way, seconds in {"apply": there, "revert": back, "in all": there + back}.items():
        print(f"{way:<8}{seconds:7.3f} s")
    if there + back > LIMIT_SECONDS:
        sys.exit(f"slower than {LIMIT_SECONDS} s")


def _has_its_files(scripts: Path, patch: Patch) -> bool:
    edits = [edit for edit in patch.edits if edit.root == "scripts"]
    return all(any((scripts / file).is_file() for file in edit.files) for edit in edits)


def _both_ways(found: Checkout, patches: Sequence[Patch]) -> tuple[float, float]:
    names = [patch.name for patch in patches]
    there = _timed(lambda: patchwork.applying(found, patches))
    back = _timed(lambda: patchwork.reverting(found, names))
    return there, back


def _timed(plan: Callable[[], Sequence[Change]]) -> float:
    """Return the seconds to plan changes and carry them out."""
    started = time.perf_counter()
    changes = plan()
    rewrite.carry_out(changes)
    seconds = time.perf_counter() - started
    if not changes:
        sys.exit("there was nothing to change")
    return seconds


def _contents(folder: Path) -> dict[Path, bytes]:
    return {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()}


if __name__ == "__main__":
    main()
