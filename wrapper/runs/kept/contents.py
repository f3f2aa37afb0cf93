"""What lies in a run's folder, by kind, with its size; and deleting some of it, if asked by name.

Nothing else here deletes what a run has made.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from kohya_presets.errors import UserError
from wrapper.extraction import tool
from wrapper.runs import manifest, runner
from wrapper.runs.kept import places, states
from wrapper.runs.manifest import Run
from wrapper.system import folders, proc, sizes

# What can be deleted on its own, and what that is.
KINDS = {
    "states": "states of training, to continue from",
    "checkpoints": "what training saved on the way to its last model",
    "leftovers": "files of earlier attempts, and files that were not written to the end",
    "samples": "pictures that training made",
    "evaluation": "pictures that `evaluate` made; its page and its numbers stay",
    "logs": "what the scripts printed, and TensorBoard's events",
}
# All else that a run's folder has; a file of somebody else in it is never deleted.
_OWN = (
    *(
        "preset.toml",
        "config.toml",
        "dataset.toml",
        "prompts.txt",
        "data.json",
        "keep.json",
        "report.html",
        ".lock",
    ),
    *("model", "lora", "extracted", "miniature", "observed", "work", "states", "samples", "logs"),
    "evaluation",
)
_EARLIER = "-earlier"


@dataclass(frozen=True)
class Item:
    """A file or folder in a run."""

    kind: str
    at: Path
    size: int  # bytes

    def as_json(self) -> dict[str, object]:
        """Return it for a script."""
        return {"kind": self.kind, "path": str(self.at), "bytes": self.size}


def every(folder: Path) -> tuple[list[Run], list[Path]]:
    """Return the runs in a folder, the one written last first; and the folders of damaged ones."""
    found, damaged = [], []
    for record in folder.glob(f"*/{manifest.NAME}"):
        try:
            found.append((record.stat().st_mtime, manifest.read(record.parent)))
        except (UserError, OSError):
            damaged.append(record.parent)
    runs = [run for _, run in sorted(found, key=lambda pair: pair[0], reverse=True)]
    return runs, sorted(damaged)


def of(run: Run, kinds: Collection[str] = tuple(KINDS)) -> list[Item]:
    """Return what there is of these kinds."""
    found = [(kind, at) for kind in kinds for at in sorted(_of_kind(run, kind))]
    return [Item(kind, at, sizes.of(at)) for kind, at in found]


def require_unneeded(run: Run, kinds: Collection[str]) -> None:
    """Raise UserError where the run would lose the states that it needs to be continued."""
    train = run.stage("train")
    if "states" in kinds and train.state != "done" and (state := states.newest(run.folder)):
        resume = proc.our_line("resume", run.folder)
        raise UserError(
            f"training is not finished, and the state of step {state.step} is what it would go "
            "on from",
            hint=f"Finish it with `{resume}`, or add --force.",
        )


def delete(run: Run, found: Collection[Item]) -> Iterator[Item]:
    """Delete these, and yield each that is deleted.

    Raises:
        UserError: the run is at work, and none was deleted.
    """
    with runner.lock(run.folder):
        runner.require_idle(run.folder)
        for item in found:
            _delete(item.at)
            yield item


def remove(run: Run) -> list[Path]:
    """Delete a run; return what is left in its folder because it is not the run's.

    Raises:
        UserError: the run is at work, and nothing was deleted.
    """
    with runner.lock(run.folder):
        runner.require_idle(run.folder)
        own = [run.folder / name for name in _OWN if name != ".lock"]
        own += [*run.folder.glob(f"*{_EARLIER}*"), *run.folder.glob("*.part")]
        if run.kind == "rehearsal":
            own.append(run.folder / "data")
        for at in own:
            _delete(at)
        (run.folder / manifest.NAME).unlink()
    (run.folder / ".lock").unlink(missing_ok=True)
    left = sorted(run.folder.iterdir())
    if not left:
        run.folder.rmdir()
    return left


def _delete(at: Path) -> None:
    if at.is_symlink() or at.is_file():
        at.unlink()
    elif at.is_dir():
        folders.delete(at)
    if at.exists():
        hint = "Close the programs that use it, then run the same command again."
        raise UserError(f"cannot delete all of {at}", hint=hint)


def _of_kind(run: Run, kind: str) -> Iterator[Path]:
    folder = run.folder
    if kind in ("states", "samples", "logs"):
        yield from _in(folder / kind)
    elif kind == "checkpoints":
        train = run.stage("train")
        names = re.compile(tool.checkpoints_of(train.output.stem))
        yield from (f for f in _in(train.output.parent) if names.fullmatch(f.name))
    elif kind == "evaluation":
        yield from (at for at in _in(folder / kind) if at.name in ("pictures", "work", "logs"))
    else:
        yield from (at for part in _in(folder / "work") for at in _in(part))
        yield from folder.glob(f"*{_EARLIER}*")
        for name in ("model", "lora"):
            yield from filter(_is_unfinished, _in(folder / name))


def _in(folder: Path) -> Iterator[Path]:
    """Yield what is in a folder of the run; a link leads out of it, to what is not the run's."""
    if folder.is_dir() and not folder.is_symlink():
        yield from folder.iterdir()


def _is_unfinished(file: Path) -> bool:
    return places.UNFINISHED in file.suffixes
