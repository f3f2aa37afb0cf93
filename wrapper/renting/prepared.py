"""Make a machine ready for a run that another one started, so that `resume` can go on here."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from kohya_presets.errors import UserError
from kohya_presets.sdscripts import releases
from wrapper.data import base_model
from wrapper.planning import trainer
from wrapper.runs import manifest
from wrapper.screen.talk import Talk

SAME = (
    "A run knows the paths of its files. Use the same folders as on the other machine: "
    "KOHYA_PRESETS_HOME, HF_HOME, and those of the images and the run."
)


def prepare(folder: Path, talk: Talk) -> None:
    """Download what of a run is not here: sd-scripts with its patches, environment, base model.

    What the run's record names is compared and never executed; `resume` compares the hashes.

    Raises:
        UserError: it is no run of `train`, something is at another path here, or a download failed.
    """
    run = manifest.read(folder)
    if run.kind != "train":
        raise UserError(
            f"{folder} is a rehearsal", hint="Rehearse again: `kohya-presets rehearse`."
        )
    try:
        sources, base = run.facts["sd-scripts"], run.facts["base"]
        scripts, file = Path(str(sources["folder"])), Path(str(base["file"]))
        data = Path(str(run.facts["data"]["folder"]))
        python = Path(str(run.facts["environment"]["python"]))
    except KeyError as error:
        raise UserError(f"{folder / manifest.NAME} is damaged: it has no {error}") from None
    if not data.exists():
        raise UserError(f"the images of the run are not here: {data}", hint=SAME)
    if not file.is_file():
        _same(file, _base(base, file, talk), "base model")
    if scripts.is_dir() and python.is_file():
        return
    wanted = str(sources.get("release") or sources.get("commit") or releases.DEFAULT)
    found = trainer.checkout_for(wanted, None, talk)
    found = trainer.with_patches(found, [*map(str, sources.get("patches", ()))], talk)
    _same(scripts, found.scripts, "sd-scripts")
    _same(python, trainer.environment_for(found, None, talk).python, "its Python")


def _base(facts: Mapping[str, object], file: Path, talk: Talk) -> Path:
    reference = str(facts.get("reference", ""))
    if base_model.is_path(reference):
        raise UserError(f"the base model of the run is not here: {file}", hint=SAME)
    revision = str(facts.get("revision") or "") or None
    return base_model.find(reference, on_step=talk.say, revision=revision).file


def _same(wanted: Path, found: Path, what: str) -> None:
    if wanted != found:
        raise UserError(f"{what} should be {wanted}, but here it is {found}", hint=SAME)
