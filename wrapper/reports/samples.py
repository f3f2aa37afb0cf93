"""The sample pictures of a run: of which epoch and prompt each is, and small copies of some."""

from __future__ import annotations

import contextlib
import re
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from kohya_presets.prompts import lines
from wrapper.data import small as small_copies
from wrapper.data.reading import headers
from wrapper.system import whole

FOLDER = "samples"
WHILE_TRAINING = Path("model") / "sample"  # where sd-scripts writes them; they move in the end
PROMPTS = "prompts.txt"
CACHE = Path("work") / "report"  # small copies, so that the next report need not make them again
MOST = 60  # pictures on a page
PROMPTS_SHOWN = 20
SIDE = 352  # pixels, at most
# Side and WebP's quality: the first that is small enough. A painting is at once, noise last.
WAYS = ((SIDE, 80), (SIDE, 50), (256, 40), (176, 30), (96, 20))
BYTES = 40_000  # of one, at most: all are 3.2 MB in base64
# library/train_util.py, sample_image_inference: NAME_[e]NUMBER_PROMPT_TIME[_SEED].png; in v0.7 the
# time stands before the number. NUMBER is an epoch with the e, a step without.
_END = r"(?:_\d+)?(?:-\d+)?\.png"  # the seed, and what `places` adds to a second one of a name
_NAMES = (
    re.compile(rf"(?:.*_)?(e?)(\d{{6,}})_(\d{{2,}})_\d{{14}}{_END}"),
    re.compile(rf"(?:.*_)?\d{{14}}_(e?)(\d{{6,}})_(\d{{2,}}){_END}"),
    re.compile(r"(?:.*_)?(e?)(\d{6,})_(\d{2,})\.png"),  # of the stand-in
)


class Sample(NamedTuple):
    """A picture; `epoch` or `step` says when it was made, the other is None."""

    file: Path
    prompt: int  # from 0
    epoch: int | None
    step: int | None

    @property
    def when(self) -> str:
        """When it was made, for a reader."""
        return f"epoch {self.epoch}" if self.epoch is not None else f"step {self.step}"

    @property
    def order(self) -> tuple[bool, int]:
        """Its place among others: by steps, then by epochs."""
        return self.epoch is not None, self.epoch if self.epoch is not None else self.step or 0


@dataclass(frozen=True)
class Shown:
    """A picture as the page shows it: WebP with its size in pixels, or why there is none."""

    sample: Sample
    webp: bytes = b""
    size: tuple[int, int] = (0, 0)
    fault: str = ""


def of(run: Path) -> list[Sample]:
    """Return the sample pictures of a run in the order in which they were made.

    Links are left out: they lead to what is not the run's.
    """
    found: dict[tuple[tuple[bool, int], int], Sample] = {}
    for folder in (run / FOLDER, run / WHILE_TRAINING):
        if folder.is_symlink() or not folder.is_dir():
            continue
        for file in sorted(folder.iterdir()):
            sample = named(file) if file.is_file() and not file.is_symlink() else None
            if sample is not None:
                found[sample.order, sample.prompt] = sample  # of two attempts, the later
    return [found[key] for key in sorted(found)]


def named(file: Path) -> Sample | None:
    """Return what a file's name says; None where sd-scripts does not name samples so."""
    match = next(filter(None, (form.fullmatch(file.name) for form in _NAMES)), None)
    if match is None:
        return None
    number, prompt = int(match[2]), int(match[3])
    return Sample(file, prompt, number if match[1] else None, None if match[1] else number)


def prompts(run: Path) -> list[str]:
    """Return the prompts of a run as sd-scripts counts them; [] where there are none."""
    try:
        found = (run / PROMPTS).read_text(encoding="utf-8", errors="replace").split("\n")
    except OSError:
        return []
    return [line.strip() for line in found if lines.is_read(line)]


def chosen(found: Sequence[Sample], *, most: int = MOST) -> list[Sample]:
    """Return at most so many: all prompts at some epochs, evenly spread, first and last too."""
    shown = sorted({sample.prompt for sample in found})[:PROMPTS_SHOWN]
    times = sorted({sample.order for sample in found})
    count = max(2, most // max(1, len(shown)))
    if len(times) > count:
        last = len(times) - 1
        times = [times[round(at * last / (count - 1))] for at in range(count)]
    return [s for s in found if s.prompt in shown and s.order in times]


def small(run: Path, wanted: Sequence[Sample]) -> list[Shown]:
    """Return small copies, made with threads: Pillow works outside of Python's lock.

    They are kept in the run for its next report; those that it no longer shows are deleted.
    """
    cache = _cache(run)
    with warnings.catch_warnings(), ThreadPoolExecutor() as pool:
        warnings.simplefilter("ignore")
        shown = [*pool.map(lambda sample: _small(cache, sample), wanted)]
    if cache is not None and cache.is_dir():
        kept = {_kept(cache, sample).name for sample in wanted}
        for file in cache.glob("*.webp"):
            if file.name not in kept:
                file.unlink(missing_ok=True)
    return shown


def _small(cache: Path | None, sample: Sample) -> Shown:
    try:
        kept = _kept(cache, sample) if cache else None
        if kept is not None and kept.is_file():
            return Shown(sample, kept.read_bytes(), headers.one(kept).size)
        header = headers.one(sample.file)
        if header.fault:
            return Shown(sample, fault=header.fault)
        webp, size = small_copies.webp(sample.file, WAYS, BYTES)
        if kept is not None:
            with contextlib.suppress(OSError):  # a full disk: it is made again next time
                whole.put({kept: webp})
    except headers.FAULTS as error:
        return Shown(sample, fault=headers.told(error))
    return Shown(sample, webp, size)


def _cache(run: Path) -> Path | None:
    """Return where small copies are kept; None where that would lead out of the run."""
    cache = run / CACHE
    return cache if cache.resolve() == run.resolve() / CACHE else None


def _kept(cache: Path, sample: Sample) -> Path:
    """Return the small copy of a picture: one that was written anew has another name."""
    return cache / f"{sample.file.stem}-{sample.file.stat().st_mtime_ns}.webp"
