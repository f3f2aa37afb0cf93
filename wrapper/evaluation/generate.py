"""Make the pictures of an evaluation with sd-scripts' own script, one start for each model.

A picture that is there already is not made again. What a start has made when it ends, however it
ends, is kept: the script numbers its pictures in the order of their lines.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from PIL import Image

from kohya_presets.errors import TrainerError, UserError
from kohya_presets.problems import plural
from wrapper.evaluation import shots
from wrapper.evaluation.shots import Model, Settings, Shot
from wrapper.evaluation.site import SCRIPT, Site
from wrapper.extraction import tool
from wrapper.runs import failures
from wrapper.runs.watcher import Watcher
from wrapper.system import folders, launch, locks
from wrapper.system.launch import Launch

LOCK, LINES = ".lock", "prompts.txt"
WORK = ".making-pictures"  # what a start is making, and for which files
OURS = ".evaluation"  # a file that says that a folder is an evaluation's
TARGETS = "targets.json"
_BEGUN = re.compile(r"prompt (\d+)/\d+:")


def missing(folder: Path, wanted: Sequence[Shot]) -> list[Shot]:
    """Return the pictures that are not there yet; of two that are the same, the first."""
    found = {shot.file: shot for shot in reversed(wanted)}
    ordered = (shot for shot in wanted if found[shot.file] is shot)
    return [shot for shot in ordered if not (folder / shot.file).is_file()]


def make(
    folder: Path,
    wanted: Sequence[Shot],
    models: Mapping[str, Model],
    settings: Settings,
    site: Site,
    watcher: Watcher,
) -> None:
    """Make all pictures that are not in the folder yet.

    Raises:
        TrainerError: the script failed; pictures made before stay.
        UserError: another process makes pictures there.
    """
    claim(folder)
    with locked(folder):
        _finish(folder, watcher)
        for name, several in shots.by_model(missing(folder, wanted)):
            _of_model(folder, models[name], several, settings, site, watcher)


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold an evaluation's folder.

    Raises:
        UserError: another process holds it.
    """
    busy = UserError(
        f"another kohya-presets is making pictures in {folder}",
        hint="Wait until it has finished, or stop it.",
    )
    with locks.held(folder / LOCK, busy):
        yield


def claim(folder: Path) -> None:
    """Make a folder an evaluation's, before anything else is written into it.

    Raises:
        UserError: it cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / OURS).touch()
    except OSError as error:
        raise UserError(f"cannot write {folder}: {error.strerror}") from None


def require_ours(folder: Path) -> None:
    """Raise UserError if a folder has something in it and is no evaluation's."""
    if folder.is_dir() and any(folder.iterdir()) and not (folder / OURS).exists():
        hint = "Choose a new folder, or an empty one."
        raise UserError(f"{folder} is not empty, and no evaluation", hint=hint)


def _finish(folder: Path, watcher: Watcher) -> None:
    """Wait for a script that an earlier evaluation has left, and keep what it has made."""
    work = folder / WORK
    if not work.is_dir():
        return
    try:
        told = json.loads((work / TARGETS).read_text("utf-8"))
        files, log = [str(file) for file in told["files"]], Path(str(told["log"]))
    except (OSError, ValueError, KeyError, TypeError):
        files, log = [], work / "none"
    if launch.at_work(folder) and log.is_file():
        watcher.say("an earlier evaluation is still making pictures: waiting for it")
        launch.follow(folder, log, on_line=lambda line: None)
    launch.stop(launch.at_work(folder))
    _collect(folder, work / "made", files)
    folders.delete(work)


def command(
    folder: Path, model: Model, lines: Path, into: Path, settings: Settings, site: Site
) -> Launch:
    """Return how the script is started for one model."""
    words = {
        "ckpt": str(site.base),
        "from_file": str(lines),
        "outdir": str(into),
        "sampler": settings.sampler,
        "steps": str(settings.steps),
        "scale": f"{settings.scale:g}",
        "W": str(settings.width),
        "H": str(settings.height),
    }
    if site.tokenizers:
        words["tokenizer_cache_dir"] = str(site.tokenizers)
    if model.file:
        words |= {"network_module": model.module, "network_weights": str(model.file)}
    # The VAE of SDXL gives black pictures in fp16. A line of the file is one picture.
    flags = ["--sequential_file_name", "--no_half_vae", "--sdpa", *(["--fp16"] if site.gpu else [])]
    argv = (site.python, *site.in_front, str(site.scripts / SCRIPT))
    given = [word for key, value in words.items() for word in (f"--{key}", value)]
    log = folder / "logs" / f"{model.name}.log"
    env = tool.environ(site.scripts, folder, site.env)
    return Launch((*argv, *given, *flags), site.scripts, log, env)


def _of_model(
    folder: Path,
    model: Model,
    several: Sequence[Shot],
    settings: Settings,
    site: Site,
    watcher: Watcher,
) -> None:
    work = folder / WORK
    into = work / "made"
    into.mkdir(parents=True)
    lines, files = work / LINES, [shot.file for shot in several]
    lines.write_text("".join(f"{shot.line}\n" for shot in several), encoding="utf-8", newline="\n")
    started = command(folder, model, lines, into, settings, site)
    told = json.dumps({"files": files, "log": str(started.log)}, ensure_ascii=False)
    (work / TARGETS).write_text(told, encoding="utf-8")
    at = 0

    def news() -> str:
        return f"picture {at} of {len(several)}"

    watcher.say(f"{model.name}: {plural(len(several), 'picture')}")
    try:
        with watcher.stage(model.name[:20], news) as on_line:

            def heard(line: str) -> None:
                nonlocal at
                if begun := _BEGUN.search(line):
                    at = int(begun[1])
                on_line(line)

            outcome = launch.run(started, on_line=heard)
            if outcome.returncode:
                raise _failed(model, started, outcome.returncode, outcome.tail)
    finally:
        _collect(folder, into, files)
        folders.delete(work)
    if left := missing(folder, several):
        raise TrainerError(
            f"{SCRIPT} ended without an error, but {plural(len(left), 'picture')} of {model.name} "
            "are missing",
            hint=f"Look at its log: {started.log}",
        )


def _failed(model: Model, started: Launch, code: int, tail: Sequence[str]) -> TrainerError:
    words = failures.last_words(tail)
    return TrainerError(
        f"{SCRIPT} failed for {model.name} (exit code {code}): {words}\n  log: {started.log}",
        hint=failures.advise(tail) or "Pictures that were made are kept; start it again.",
    )


def _collect(folder: Path, into: Path, files: Sequence[str]) -> None:
    """Give each whole picture its name."""
    for number, file in enumerate(files, start=1):
        made, place = into / f"im_{number:06d}.png", folder / file
        inside = place.resolve().is_relative_to(folder.resolve())
        if inside and made.is_file() and _is_whole(made):
            place.parent.mkdir(parents=True, exist_ok=True)
            made.replace(place)


def _is_whole(file: Path) -> bool:
    try:
        with Image.open(file) as picture:
            picture.load()
    except (OSError, SyntaxError, ValueError):  # the second: a broken PNG
        return False
    return True
