"""What to validate against, and what was found."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from kohya_presets.memory import estimate
from kohya_presets.memory.estimate import Estimate
from kohya_presets.presets.preset import Preset
from kohya_presets.problems import Problem, errors
from kohya_presets.sdscripts import options
from kohya_presets.sdscripts.additions import NONE, Additions
from kohya_presets.sdscripts.recognize import Recognized
from kohya_presets.sdscripts.scripts import KNOWN, is_sdxl
from kohya_presets.training.settings import IMAGES, Settings
from kohya_presets.training.spread import Spread
from kohya_presets.validate import silence


@dataclass(frozen=True)
class Report:
    """The problems of one subject. `settings` has the settings of a run, if they are known."""

    subject: str
    release: str
    problems: tuple[Problem, ...]
    settings: Settings | None = None
    preset: Preset | None = None
    memory: Estimate | None = None  # of the GPU; None if there are errors
    taken_for: Recognized | None = None  # the script of a training config, if it was recognized
    subsets: tuple[Settings, ...] = ()  # of a dataset config, the settings of each of its subsets
    datasets: tuple[int, ...] = ()  # and the number of the dataset that it is in
    near: Path | None = None  # the config that names the images

    @property
    def has_errors(self) -> bool:
        """Whether a run must not start."""
        return bool(errors(self.problems))


@dataclass(frozen=True)
class Against:
    """What to validate against: a release or commit of `options.releases()`, and its patches.

    `additions` says what patches add.

    `ignore` are codes of rules to skip, `images` is the number of training images, `gpu_gib` the
    memory of this machine's GPU, if it has one. `spread` says how many GPUs train together; None
    for as many as the preset has.
    """

    release: str
    patches: tuple[str, ...] = ()
    additions: Additions = NONE
    ignore: frozenset[str] = frozenset()
    images: int = IMAGES
    gpu_gib: float | None = None
    spread: Spread | None = None


def assumes_model(taken: Recognized) -> bool:
    """Return whether nothing in a file tells which model is trained, so that SDXL is assumed.

    What SD 1's scripts have too, such as a network module, tells what is made and not of which.
    """
    others = [name for name, kind in KNOWN.items() if kind.model == "SD"]
    known = {f"it has {option}" for script in others for option in options.of(script)}
    return is_sdxl(taken.script) and known.issuperset(taken.because)


def memory(settings: Settings, problems: Sequence[Problem]) -> Estimate | None:
    """Return the GPU memory of the training; None if it is unknown, or the run will not start."""
    return None if errors(problems) else estimate.of(settings)


def without(ignored: Collection[str], problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """Return the problems, each once, without those of rules that are ignored."""
    ignored = silence.CODES.intersection(ignored)
    return tuple(dict.fromkeys(p for p in problems if p.code not in ignored))
