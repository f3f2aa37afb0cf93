"""Plan a run anew from what went in, to continue it, and stop where that gives another plan.

What `run.toml` says was started is compared, never executed: a run's folder may be edited, or come
from somebody else.
"""

from __future__ import annotations

import difflib
import uuid
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

from kohya_presets.errors import UserError
from kohya_presets.loras import escape, weights
from kohya_presets.presets.catalogue import Catalogue
from kohya_presets.presets.preset import Preset
from wrapper.data import listing, of_run
from wrapper.planning import inputs
from wrapper.planning.job import Plan
from wrapper.runs import known, manifest
from wrapper.runs.kept import gone
from wrapper.runs.manifest import Run, Stage
from wrapper.system import whole

SHOWN = 20  # lines of a difference
UNREAD = ("preset.toml",)  # of the files a run starts with: the others are made from it


def ready(folder: Path, *, trust: bool = False, train_again: bool = False) -> Run:
    """Return the run in `folder`, planned anew.

    With `trust`, it may have been started elsewhere. With `train_again`, a finished training whose
    model is missing is not done any more.

    Raises:
        UserError: it is no run, it was not started here, or what would be started differs from
            what was: then with the differences.
    """
    record = manifest.read(folder)
    preset = preset_of(record)
    try:
        plan = inputs.plan(preset, inputs.of(record))
    except (KeyError, StopIteration, TypeError, ValueError) as error:
        raise UserError(
            f"{record.folder / manifest.NAME} is damaged; missing or wrong: {error!r}",
            hint="Restore the file, or start a new run.",
        ) from None
    if not trust:  # what would be started, which is not always what the manifest says was
        known.require(replace(record, stages=plan.stages))
    record = gone.require_asked(record, again=train_again)
    _stop_at(record, _files(record, plan), "its files have changed since it started")
    _stop_at(record, _commands(record, plan), "what would be started is not what was started")
    if record.kind == "train" and gone.must_run(record.stages):
        _stop_at(record, _data(record, preset), "the images have changed since it started")
        _stop_at(record, _base(record), "the base model has changed since it started")
    stages = tuple(map(continued, plan.stages, record.stages))
    run = replace(record, stages=stages, keeps=plan.keeps)
    if record.written_in not in (None, record.folder):  # it was moved: the files name its folder
        files = {record.folder / name: text.encode("utf-8") for name, text in plan.files.items()}
        whole.put({file: text for file, text in files.items() if file.name not in UNREAD})
        run = replace(run, written_in=None)
        manifest.write(run)
    if not known.is_id(run.id):  # of an earlier version
        run = replace(run, id=uuid.uuid4().hex)
        manifest.write(run)
    known.remember(run)
    return run


def preset_of(record: Run) -> Preset:
    """Return the preset of a run, as it was resolved.

    Raises:
        UserError: it is not there.
    """
    file = record.folder / "preset.toml"
    if not file.is_file():
        raise UserError(f"{record.folder} has no preset.toml", hint="Start a new run.")
    return Catalogue(()).load(str(file))


def continued(planned: Stage, recorded: Stage) -> Stage:
    """Return a planned stage, with how far it got."""
    return replace(
        planned,
        state=recorded.state,
        sha256=recorded.sha256,
        started=recorded.started,
        finished=recorded.finished,
        seconds=recorded.seconds,
        exit_code=recorded.exit_code,
    )


def _stop_at(record: Run, differences: Iterator[str], what: str) -> None:
    found = [*islice(differences, SHOWN + 1)]
    if not found:
        return
    lines = [f"  {escape.controls(line)}" for line in found[:SHOWN]] + (
        ["  ..."] if len(found) > SHOWN else []
    )
    raise UserError(
        "\n".join([f"the run in {record.folder} cannot be continued: {what}", *lines]),
        hint="Undo the change, or start a new run: "
        "`kohya-presets train PRESET --name NEW_NAME ...`.",
    )


def _files(record: Run, plan: Plan) -> Iterator[str]:
    """Yield how the run's files differ from what its preset gives now."""
    for name, text in plan.files.items():
        if name in UNREAD:
            continue
        file = record.folder / name
        there = file.read_text(encoding="utf-8") if file.is_file() else ""
        yield from _difference(name, _moved(record, there).splitlines(), text.splitlines())


def _commands(record: Run, plan: Plan) -> Iterator[str]:
    """Yield how the commands, folders and variables differ from what the manifest says."""
    names, now = [stage.name for stage in record.stages], [stage.name for stage in plan.stages]
    if names != now:
        yield from (f"- stage {name}" for name in names if name not in now)
        yield from (f"+ stage {name}" for name in now if name not in names)
        return
    for number, (recorded, planned) in enumerate(zip(record.stages, plan.stages, strict=True)):
        if gone.must_run(record.stages[number:]):  # of a finished one the scripts may be gone
            then = [_moved(record, line) for line in _words(recorded)]
            then, now = then + _files_of(recorded), _words(planned) + _files_of(planned)
            yield from _difference(recorded.name, then, now)


def _words(stage: Stage) -> list[str]:
    launch = stage.launch
    variables = [f"{name}={value}" for name, value in sorted(launch.env.items())]
    return [*launch.argv, *variables, f"in {launch.cwd}"]


def _files_of(stage: Stage) -> list[str]:
    return [*map(str, (stage.makes, stage.output, stage.launch.log)), stage.expects]


def _moved(record: Run, text: str) -> str:
    """Return a text with the run's folder of today where it names the one it started in."""
    then = str(record.written_in or record.folder)
    return text.replace(then, str(record.folder))


def _difference(name: str, then: list[str], now: list[str]) -> Iterator[str]:
    lines = difflib.unified_diff(then, now, n=0, lineterm="")
    changed = [line for line in lines if line[:2] not in ("--", "++", "@@")]
    yield from (f"{name}: {line}" for line in changed)


def _data(record: Run, preset: Preset) -> Iterator[str]:
    """Yield which images and captions are others than when the run started."""
    then = listing.read(record.folder / listing.FILE)
    if then is not None:
        subsets = of_run.of(preset, Path(str(record.facts["data"]["folder"])), record.release)
        yield from listing.changes(then, listing.of(subsets))


def _base(record: Run) -> Iterator[str]:
    """Yield how the base model differs; one of the same size and age is not read again."""
    facts = record.facts["base"]
    file = Path(str(facts["file"]))
    if not file.is_file():
        yield f"- {file} (it is not there any more)"
        return
    weights.read(file)  # raises for what is no safetensors file, and could hold code
    status = file.stat()
    if (facts.get("size"), facts.get("modified")) == (status.st_size, status.st_mtime_ns):
        return
    then = facts.get("sha256", "not in run.toml")
    if (digest := weights.sha256(file)) != then:
        yield f"- {file} (sha256 {then})"
        yield f"+ {file} (sha256 {digest})"
