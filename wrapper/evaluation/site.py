"""Where pictures are made: the Python, the scripts and the base model of a run, or asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from kohya_presets.errors import UserError
from kohya_presets.loras import weights
from kohya_presets.problems import listed
from kohya_presets.sdscripts import scripts
from wrapper.data import base_model
from wrapper.environments import environment
from wrapper.evaluation.shots import BASE, Model, saved_at
from wrapper.planning import inputs, trainer
from wrapper.rehearsal import adapt
from wrapper.runs import proof
from wrapper.runs.manifest import Run
from wrapper.screen.talk import Talk
from wrapper.system import proc

SCRIPT = "sdxl_gen_img.py"
_MODULES = ("networks.", "lycoris.")  # what a LoRA may name as what it was made with


@dataclass(frozen=True)
class Site:
    """Where pictures are made. `tokenizers` is a folder with the tokenizers, if they are here."""

    release: str
    scripts: Path
    python: str
    base: Path
    base_identity: str
    in_front: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    tokenizers: Path | None = None
    gpu: bool = True
    small: bool = False  # a rehearsal: small pictures of few steps


def of_run(run: Run) -> Site:
    """Return where a run was made, if all of that is still there.

    Raises:
        UserError: sd-scripts, its environment or the base model are not there any more, or the run
            was made by the stand-in.
    """
    known = inputs.of(run)
    if known.standin:
        hint = "Rehearse again where sd-scripts can be downloaded."
        raise UserError("the stand-in makes no pictures", hint=hint)
    if not scripts.is_sdxl(run_script(run)):
        raise UserError(f"pictures can be made for SDXL only, found {run_script(run)}")
    for what, file in (
        ("sd-scripts", known.scripts / SCRIPT),
        ("the trainer's Python", Path(known.python)),
        ("the base model", known.base),
    ):
        if not file.exists():
            hint = "Bring it back, or name the LoRAs themselves: `kohya-presets evaluate FILE...`."
            raise UserError(f"{what} is not there any more: {file}", hint=hint)
    identity = str(run.facts.get("base", {}).get("sha256") or _stamp(known.base))
    if run.kind == "rehearsal":
        observed = run.folder / proof.OBSERVED
        return Site(
            run.release,
            known.scripts,
            known.python,
            known.base,
            weights.sha256(known.base),
            adapt.in_front(observed, standin=False),
            adapt.ENV,
            known.base.parent / "tokenizers",
            gpu=False,
            small=True,
        )
    gpu = bool(environment.probe(Path(known.python)).devices)
    return Site(run.release, known.scripts, known.python, known.base, identity, gpu=gpu)


def run_script(run: Run) -> str:
    """Return the script that a run trains with."""
    known = (word for word in run.stage("train").launch.argv if Path(word).name in scripts.TRAINERS)
    return Path(next(known, "sdxl_train.py")).name


def asked(base: str, release: str, checkout: Path | None, python: str | None, talk: Talk) -> Site:
    """Return where LoRAs without a run are judged: downloads what is not here.

    Raises:
        UserError: a download failed, or the folder has no script that makes pictures.
    """
    model = base_model.find(base, on_step=talk.say)
    found = trainer.checkout_for(release, checkout, talk)
    if not (found.scripts / SCRIPT).is_file():
        raise UserError(f"{found.scripts} has no {SCRIPT}")
    used = trainer.environment_for(found, python, talk)
    probe = environment.probe(used.python)
    release = found.release or found.like
    return Site(
        release,
        found.scripts,
        str(used.python),
        model.file,
        _stamp(model.file),
        gpu=bool(probe.devices),
    )


def base_of(site: Site) -> Model:
    """Return the model without any LoRA."""
    return Model(BASE, identity=site.base_identity)


def loras_of(run: Run, last: int | None) -> list[Model]:
    """Return the LoRAs of a run, as they were saved; `last` is the epoch of the one at the end.

    Raises:
        UserError: there is none.
    """
    files = sorted((run.folder / "lora").glob("*.safetensors"))
    found = [model for file in files if (model := _lora(file, run.product.stem, last))]
    if not found:
        resume = proc.our_line("resume", run.folder)
        hint = f"Continue the run with `{resume}`."
        raise UserError(f"{run.folder} has no LoRA yet", hint=hint)
    return in_order(found)


def loras(files: Sequence[Path]) -> list[Model]:
    """Return the LoRAs of these files, in the order in which they were saved, by their names.

    Raises:
        UserError: one is no LoRA, or two have the same name.
    """
    found = [_lora(file.expanduser().resolve()) for file in files]
    if wrong := [str(file) for file, model in zip(files, found, strict=True) if model is None]:
        raise UserError(f"expected LoRAs, found {listed(wrong)}")
    models = [model for model in found if model]
    if len({model.name for model in models}) < len(models):
        raise UserError("two of the LoRAs have the same name", hint="Rename one of them.")
    if any(model.name == BASE for model in models):
        hint = "Rename it: the model without a LoRA is called that here."
        raise UserError(f"a LoRA cannot be called {BASE}", hint=hint)
    return in_order(models)


def in_order(models: Sequence[Model]) -> list[Model]:
    """Return LoRAs in the order in which they were saved, as their names say it.

    Names with steps and names with epochs cannot be compared: then the files' times tell.
    """
    numbered = {(m.epoch is not None, m.step is not None) for m in models} - {(False, False)}
    if len(numbered) > 1:
        found = sorted(models, key=lambda m: m.file.stat().st_mtime_ns if m.file else 0)
    else:
        last = 2**62
        found = sorted(models, key=lambda m: (next(filter(None, (m.epoch, m.step)), last), m.name))
    return [replace(model, order=place) for place, model in enumerate(found, start=1)]


def _lora(file: Path, product: str | None = None, last: int | None = None) -> Model | None:
    try:
        header = weights.read(file)
    except UserError:
        return None
    if weights.kind(header) != scripts.LORA:
        return None
    epoch, step = saved_at(file.stem)
    if file.stem == product:
        epoch = last
    module = str(header.metadata.get("ss_network_module", ""))
    module = module if module.startswith(_MODULES) else "networks.lora"
    return Model(file.stem, file, epoch, step, weights.sha256(file), module)


def _stamp(file: Path) -> str:
    """Return what changes with a file too large to be read for that."""
    status = file.stat()
    return f"{file.name} {status.st_size} {status.st_mtime_ns}"
