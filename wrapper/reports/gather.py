"""Everything that a run's folder tells, read once. What is not there is None or empty.

A run may come from anywhere, and may be written to meanwhile: nothing here raises for a file that
is missing, half written, or of another form than ours.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kohya_presets.errors import UserError
from kohya_presets.loras import summary
from kohya_presets.loras.summary import Lora
from kohya_presets.presets.preset import Preset
from kohya_presets.sdscripts import scripts
from kohya_presets.training.settings import Settings
from wrapper.data import listing
from wrapper.reports import events, logs, said, samples
from wrapper.reports.events import Logged, Scalars
from wrapper.reports.logs import Read
from wrapper.reports.said import Memory, Said
from wrapper.reports.samples import Sample
from wrapper.runs import failures, guard, manifest, overview
from wrapper.runs.kept import states
from wrapper.runs.kept.states import State
from wrapper.runs.manifest import Run
from wrapper.system import launch

RANKS = "rank.json"  # what `lora rank --json` printed, where the user kept it in the run
EVALUATION = Path("evaluation") / "evaluation.json"
EVALUATION_PAGE = Path("evaluation") / "index.html"
LARGEST = 2**24  # bytes of a JSON file that is read
CAPTION_SIGN = " bytes"  # how data.json ends what it says of an image, and not of a caption


@dataclass(frozen=True)
class Made:
    """A file of weights in the run; `written` is in seconds since 1970."""

    name: str  # its path in the run
    size: int  # bytes
    written: float
    sha256: str | None = None


@dataclass(frozen=True)
class Gathered:
    """What is known of a run. `rate` is what the machine costs in an hour, in any currency."""

    run: Run
    now: float
    rate: float | None
    status: str
    at_work: bool
    preset: Preset | None
    settings: Settings | None
    images: int | None  # as they were when the run started
    captions: int | None
    logged: Logged
    logs: Mapping[str, Read]  # by stage
    memory: Sequence[Memory]
    said: Sequence[Said]
    states: Sequence[State]
    samples: Sequence[Sample]
    prompts: Sequence[str]
    made: Sequence[Made]
    lora: Lora | None
    ranks: Mapping[str, Any] | None
    evaluation: Mapping[str, Any] | None
    has_evaluation_page: bool

    @property
    def scalars(self) -> Scalars:
        """What the trainer logged for TensorBoard, by tag."""
        return self.logged.scalars

    @property
    def log(self) -> Read:
        """What the log of training says."""
        return self.logs.get("train", Read())

    @property
    def is_done(self) -> bool:
        """Whether all stages are done."""
        return all(stage.state == "done" for stage in self.run.stages)


def of(folder: Path, *, rate: float | None = None, now: float | None = None) -> Gathered:
    """Return what is known of the run in a folder.

    Raises:
        UserError: it is not a run, or `run.toml` is damaged.
    """
    run = manifest.read(folder)
    at_work = bool(launch.at_work(run.folder))
    images, captions = _data(run)
    return Gathered(
        run=run,
        now=time.time() if now is None else now,
        rate=rate,
        status=overview.status(run),
        at_work=at_work,
        preset=failures.preset_of(run),
        settings=_settings(run),
        images=images,
        captions=captions,
        logged=events.read(run.folder / guard.EVENTS),
        logs={stage.name: logs.read(stage.launch.log) for stage in run.stages},
        memory=said.memory(run.folder),
        said=said.lines(run.folder),
        states=states.whole(run.folder),
        samples=samples.of(run.folder),
        prompts=samples.prompts(run.folder),
        made=_made(run),
        lora=_lora(run),
        ranks=_json(run.folder / RANKS),
        evaluation=_json(run.folder / EVALUATION),
        has_evaluation_page=(run.folder / EVALUATION_PAGE).is_file(),
    )


def _settings(run: Run) -> Settings | None:
    try:
        return failures.of_run(run)
    except (UserError, KeyError, TypeError, ValueError):
        return None


def _data(run: Run) -> tuple[int | None, int | None]:
    """Return how many images and captions there were when the run started."""
    found = listing.read(run.folder / listing.FILE)
    if found is None:
        images = run.facts.get("data", {}).get("images")
        return (images if isinstance(images, int) else None), None
    sizes = [value for value in found.values() if str(value).endswith(CAPTION_SIGN)]
    return len(sizes), len(found) - len(sizes)


def _made(run: Run) -> list[Made]:
    """Return the models and LoRAs in the run, the order of their names within each folder."""
    hashes = {stage.output: stage.sha256 for stage in run.stages if stage.state == "done"}
    found = []
    for name in ("lora", "model", "extracted"):
        folder = run.folder / name
        if folder.is_symlink() or not folder.is_dir():
            continue
        for file in sorted(folder.glob("*.safetensors")):
            try:
                stat = file.lstat()
            except OSError:  # deleted meanwhile
                continue
            shown = file.relative_to(run.folder).as_posix()
            found.append(Made(shown, stat.st_size, stat.st_mtime, hashes.get(file)))
    return found


def _lora(run: Run) -> Lora | None:
    if run.stages[-1].expects != scripts.LORA or run.stages[-1].state != "done":
        return None
    try:
        return summary.describe(run.product)
    except UserError:
        return None


def _json(file: Path) -> Mapping[str, Any] | None:
    try:
        if file.stat().st_size > LARGEST:
            return None
        data = file.read_bytes()
        # What PowerShell's > writes is UTF-16.
        encoding = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
        found = json.loads(data.decode(encoding, "replace"))
    except (OSError, ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None
