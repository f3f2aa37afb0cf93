"""`run.toml`: everything that went into a run and came out of it, and how far it got.

Written whole and renamed into place after every change, so that a killed run can be resumed. It
says which commands were started, for a reader: `planning/again.py` plans them anew from what went
in, and nothing is ever executed because it stands in this file.
"""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, get_args

import tomlkit

from kohya_presets.errors import ProblemsError, UserError
from kohya_presets.sdscripts import releases
from kohya_presets.toml import source as toml_source
from wrapper.system import whole
from wrapper.system.launch import Launch

FORMAT = 2  # 1 has neither `id`, `folder` nor [inputs]
NAME = "run.toml"
State = Literal["planned", "running", "done", "failed"]
Kind = Literal["train", "rehearsal"]
NOTHING = "nothing"  # what a machine expects that only helps another one to train
Kinds = type | tuple[type, ...]

# What the values of the file must be: it may be edited, or half written by a broken disk.
_HEAD: Mapping[str, Kinds] = {
    **dict.fromkeys(("kind", "preset", "name", "id", "folder"), str),
    "text_encoders": bool,
}
_STAGE: Mapping[str, Kinds] = {
    **dict.fromkeys(("cwd", "log", "makes", "output", "expects", "state", "sha256"), str),
    **dict.fromkeys(("started", "finished"), str),
    **{"argv": list, "env": dict, "seconds": (int, float), "exit_code": int},
}
_FACTS: Mapping[str, Kinds] = {"folder": str, "file": str, "patches": list}


@dataclass(frozen=True)
class Stage:
    """One stage: what to start, the file it writes, and where that goes when complete.

    Training writes its file, and those on the way, where they belong; the others into `work/`.
    """

    name: str
    launch: Launch
    makes: Path
    output: Path
    expects: str  # kind of weights file, in `weights.kind`'s words
    state: State = "planned"
    sha256: str | None = None
    started: str | None = None
    finished: str | None = None
    seconds: float | None = None  # of all attempts
    exit_code: int | None = None

    @property
    def helps(self) -> bool:
        """Whether it only helps another machine, which writes the file."""
        return self.expects == NOTHING

    @property
    def in_place(self) -> bool:
        """Whether it writes its file where that belongs."""
        return self.makes == self.output


@dataclass(frozen=True)
class Run:
    """A run's manifest; `facts` are tables for a reader: release, environment, base model."""

    folder: Path
    kind: Kind
    preset: str
    name: str
    stages: tuple[Stage, ...]
    text_encoders: bool  # whether they are trained, and so must be in the LoRA
    facts: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    id: str = field(default_factory=lambda: uuid.uuid4().hex)  # what this machine knows it by
    # What extracts LoRAs while it trains; planned, and not in the manifest.
    keeps: Launch | None = field(default=None, compare=False)
    written_in: Path | None = field(default=None, compare=False)  # where it was when it started

    def with_stage(self, changed: Stage) -> Run:
        """Return the run with the stage of that name replaced."""
        stages = tuple(changed if s.name == changed.name else s for s in self.stages)
        return replace(self, stages=stages)

    def stage(self, name: str) -> Stage:
        """Return the stage of that name."""
        return next(stage for stage in self.stages if stage.name == name)

    @property
    def helps(self) -> bool:
        """Whether another machine has what it makes."""
        return self.stages[-1].helps

    @property
    def release(self) -> str:
        """The release of sd-scripts that it runs, or the one nearest to what it runs."""
        facts = self.facts.get("sd-scripts", {})
        return str(facts.get("release") or facts.get("like") or releases.DEFAULT)

    @property
    def product(self) -> Path:
        """The LoRA, or the model where the preset extracts none."""
        return self.stages[-1].output


def now() -> str:
    """Return the time in UTC, to the second."""
    return datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")


def write(run: Run) -> None:
    """Write `run.toml`, whole or not at all."""
    whole.put({run.folder / NAME: text(run).encode("utf-8")})


def text(run: Run) -> str:
    """Return what `run.toml` says of a run."""
    document = {
        "format": FORMAT,
        "run": {
            "kind": run.kind,
            "preset": run.preset,
            "name": run.name,
            "text_encoders": run.text_encoders,
            "id": run.id,
            "folder": str(run.written_in or run.folder),
        },
        **{name: _present(table) for name, table in run.facts.items()},
        "stage": {stage.name: _stage_table(run.folder, stage) for stage in run.stages},
    }
    return tomlkit.dumps(document)


def read(folder: Path) -> Run:
    """Return the run in `folder`, wherever the folder is now.

    Raises:
        UserError: it is not a run, or `run.toml` is damaged.
    """
    folder = folder.expanduser().resolve()
    file = folder / NAME
    if not file.is_file():
        raise UserError(
            f"{folder} is not a run folder: it has no {NAME}",
            hint="Give the folder of a run, for example runs/NAME.",
        )
    source = toml_source.read(file)
    if source.problems:
        raise ProblemsError(str(file), source.problems)
    values = dict(source.values)
    try:
        found = int(values.pop("format"))
        if found > FORMAT:
            raise UserError(f"a newer kohya-presets wrote {file}", hint="Update kohya-presets.")
        head = _checked("run", values.pop("run"), _HEAD)
        if head["kind"] not in get_args(Kind):
            raise TypeError(f"kind {head['kind']!r}")
        tables = _checked("stage", values.pop("stage"), {})
        stages = tuple(_stage(folder, name, table) for name, table in tables.items())
        if not any(stage.name == "train" for stage in stages):
            raise TypeError("a stage called train")
        for name, table in values.items():
            _checked(name, table, _FACTS)
        return Run(
            folder,
            head["kind"],
            head["preset"],
            head["name"],
            stages,
            head["text_encoders"],
            values,
            str(head.get("id", "")),
            written_in=Path(head["folder"]) if "folder" in head else None,
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"{file} is damaged; missing or wrong: {error}",
            hint="Restore the file, or start a new run with `kohya-presets train`.",
        ) from None


def _stage_table(folder: Path, stage: Stage) -> dict[str, Any]:
    table = asdict(stage)
    launch = stage.launch
    del table["name"], table["launch"]
    table |= {
        "makes": stage.makes.relative_to(folder).as_posix(),
        "output": stage.output.relative_to(folder).as_posix(),
        "log": launch.log.relative_to(folder).as_posix(),
        "cwd": str(launch.cwd),
        "argv": list(launch.argv),
        "env": dict(launch.env),
    }
    return _present(table)


def _checked(where: str, table: Any, kinds: Mapping[str, Kinds]) -> dict[str, Any]:
    """Return a table of the file, whose values are of these kinds where they are there."""
    if not isinstance(table, dict):
        raise TypeError(f"{where} is no table")
    for key, kind in kinds.items():
        if key in table and not isinstance(table[key], kind):
            raise TypeError(f"{where}.{key} = {table[key]!r}")
    return table


def _stage(folder: Path, name: str, table: Any) -> Stage:
    table = dict(_checked(f"stage.{name}", table, _STAGE))
    if not table["argv"] or not all(isinstance(word, str) for word in table["argv"]):
        raise TypeError(f"stage.{name}.argv = {table['argv']!r}")
    if not all(isinstance(value, str) for value in table["env"].values()):
        raise TypeError(f"stage.{name}.env = {table['env']!r}")
    if table["state"] not in get_args(State):
        raise TypeError(f"stage.{name}.state = {table['state']!r}")
    launch = Launch(
        tuple(table.pop("argv")),
        Path(table.pop("cwd")),
        _inside(folder, table.pop("log")),
        table.pop("env"),
    )
    makes, output = (_inside(folder, table.pop(key)) for key in ("makes", "output"))
    return Stage(name, launch, makes, output, **table)


def _inside(folder: Path, name: str) -> Path:
    """Return a file of the run. A run may come from anywhere: none lies outside its folder."""
    file = folder / name
    if not file.resolve().is_relative_to(folder) or file.resolve() == folder:
        raise ValueError(f"{name} is outside of the run's folder")
    return file


def _present(table: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in table.items() if value is not None}
