"""An evaluation: turn a run, or LoRAs, into pictures to be made and judged. Checks come first."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from kohya_presets.errors import UserError
from kohya_presets.problems import listed, plural
from kohya_presets.prompts import lines, made
from kohya_presets.prompts.lines import Kind, Prompt
from kohya_presets.toml import source as toml_source
from wrapper.data import prompt_file
from wrapper.evaluation import captions, generate, shots, site
from wrapper.evaluation.captions import Captions
from wrapper.evaluation.shots import STRENGTHS, Model, Settings, Shot
from wrapper.evaluation.site import Site
from wrapper.rehearsal import adapt
from wrapper.runs.manifest import Run
from wrapper.screen.talk import Talk
from wrapper.system import whole

FOLDER, PROMPTS = "evaluation", "prompts.txt"


@dataclass(frozen=True)
class Asked:
    """What a command line asks for; None is left to us."""

    prompts: Path | None = None
    data: Path | None = None
    trigger: str | None = None
    noun: str | None = None
    strengths: tuple[float, ...] = STRENGTHS
    epochs: tuple[int, ...] = ()  # of the LoRAs; none: all
    sampler: str = shots.SAMPLER
    steps: int = shots.STEPS
    scale: float = shots.SCALE
    size: int | None = None  # pixels


@dataclass(frozen=True)
class Evaluation:
    """What is judged: models, pictures, and the training images that they are compared with."""

    folder: Path
    name: str
    models: tuple[Model, ...]
    prompts: tuple[Prompt, ...]
    settings: Settings
    site: Site
    trigger: str | None = None
    images: tuple[Path, ...] = ()
    captions: tuple[str, ...] = ()
    shots: tuple[Shot, ...] = ()
    new_prompts: str = ""  # a text that was made for it, and is not written yet

    @functools.cached_property
    def kinds(self) -> Mapping[int, Kind]:
        """The kind of each prompt by its number; in a user's own file its words tell it."""
        texts = {made.plain(text) for text in self.captions}
        numbered = enumerate(self.prompts, start=1)
        return {number: _kind(prompt, texts, self.trigger) for number, prompt in numbered}

    def make(self, talk: Talk) -> None:
        """Make all pictures that are not there yet.

        Raises:
            TrainerError: sd-scripts failed; what it made is kept.
            UserError: the folder cannot be written, or another process makes pictures in it.
        """
        if self.new_prompts:
            file = self.folder / PROMPTS
            generate.claim(self.folder)
            try:
                whole.put({file: self.new_prompts.encode("utf-8")})
            except OSError as error:
                raise UserError(f"cannot write {file}: {error.strerror}") from None
            talk.say(f"prompts: {file}")
        each = {model.name: model for model in self.models}
        generate.make(self.folder, self.shots, each, self.settings, self.site, talk)

    def said(self) -> str:
        """Return in words how many pictures it takes, and how many are there."""
        left = len(generate.missing(self.folder, self.shots))
        loras = plural(len(self.models) - 1, "LoRA")
        there = len(self.shots) - left
        already = f", of which {there} are there already" if there else ""
        return f"the base and {loras}: {plural(len(self.shots), 'picture')}{already}"


def _kind(prompt: Prompt, captions: set[str], trigger: str | None) -> Kind:
    if prompt.kind != "other":
        return prompt.kind
    if prompt.text in captions:
        return "caption"
    has_it = trigger is not None and trigger.lower() in prompt.text.lower()
    return "trigger" if has_it else "generic"


def of_run(run: Run, asked: Asked, talk: Talk) -> Evaluation:
    """Return the evaluation of a run's LoRAs.

    Raises:
        UserError: there is no LoRA, no prompt, or something that the run was made with is gone.
    """
    where = site.of_run(run)
    config = toml_source.read(run.folder / "config.toml").values
    loras = site.loras_of(run, config.get("max_train_epochs"))
    found = _captions_of(run, asked)
    name = run.product.stem
    return _evaluation(run.folder / FOLDER, name, loras, where, found, asked, talk)


def of_loras(files: Sequence[Path], out: Path, where: Site, asked: Asked, talk: Talk) -> Evaluation:
    """Return the evaluation of LoRAs that are no run's.

    Raises:
        UserError: one is no LoRA, or there are no prompts.
    """
    loras = site.loras(files)
    found = captions.of(asked.data) if asked.data else None
    if found is None and asked.prompts is None:
        hint = "Give --data DIR, the training images, or --prompts FILE."
        raise UserError("there is nothing to make prompts from", hint=hint)
    name = loras[-1].name
    return _evaluation(out.expanduser().resolve(), name, loras, where, found, asked, talk)


def _captions_of(run: Run, asked: Asked) -> Captions | None:
    if asked.data:
        return captions.of(asked.data)
    try:
        return captions.of_a_run(run)
    except UserError:
        if asked.prompts or (run.folder / FOLDER / PROMPTS).is_file():
            return None  # only what is compared with the images is left out
        raise


def _evaluation(
    folder: Path,
    name: str,
    loras: Sequence[Model],
    where: Site,
    found: Captions | None,
    asked: Asked,
    talk: Talk,
) -> Evaluation:
    chosen = [m for m in loras if not asked.epochs or m.epoch in asked.epochs]
    if missing := set(asked.epochs) - {m.epoch for m in loras}:
        known = listed(str(m.epoch) for m in loras if m.epoch is not None) or "no epoch's"
        wanted = listed(str(epoch) for epoch in sorted(missing))
        raise UserError(f"no LoRA is of epoch {wanted}; there are those of {known}")
    generate.require_ours(folder)
    models = (site.base_of(where), *chosen)
    steps = adapt.SAMPLE_STEPS if where.small else asked.steps
    wish = found.wish if found else made.Wish()
    width, height = map(shots.side, (asked.size or wish.width, asked.size or wish.height))
    settings = Settings(
        where.release, site.SCRIPT, asked.sampler, steps, asked.scale, width, height
    )
    file = asked.prompts or folder / PROMPTS
    is_new = asked.prompts is None and not file.is_file()
    if is_new:
        text = _made(found, asked, settings, where, talk)
    else:
        text = prompt_file.read(file, where.release, talk)
    if asked.prompts is None and not is_new:
        _require_same(file, text, asked)
    # Pictures of one noise can be compared: a prompt without a seed gets one.
    several = (replace(p, seed=1 if p.seed is None else p.seed) for p in lines.of_text(text))
    prompts = tuple(several)
    if not prompts:
        raise UserError("there are no prompts", hint="Write one on each line.")
    return Evaluation(
        folder,
        name,
        models,
        prompts,
        settings,
        where,
        asked.trigger or lines.trigger_of(text),
        found.images if found else (),
        tuple(found.texts) if found else (),
        tuple(shots.of(models, prompts, settings, asked.strengths)),
        text if is_new else "",
    )


def _require_same(file: Path, text: str, asked: Asked) -> None:
    """Raise UserError if prompts are asked for in another way than those that are there.

    They may be edited: nothing writes over them.
    """
    prompts = lines.of_text(text)
    plain = [p.text for p in prompts if p.kind == "without"]
    sides = {n for p in prompts for n in (p.width, p.height) if n is not None}
    idle = {
        "--trigger": asked.trigger not in (None, lines.trigger_of(text)),
        "--noun": asked.noun and not any(made.plain(asked.noun) in text for text in plain),
        "--size": asked.size and sides - {shots.side(asked.size)},
    }
    if what := next((option for option, is_idle in idle.items() if is_idle), None):
        hint = "Edit or rename that file, or give another one by --prompts."
        raise UserError(f"{what} has no effect on the prompts that are there: {file}", hint=hint)


def _made(found: Captions | None, asked: Asked, settings: Settings, where: Site, talk: Talk) -> str:
    """Return the text of new prompts from the captions."""
    assert found is not None
    trigger = asked.trigger or made.trigger_of(found.texts)
    if trigger and not asked.trigger:
        talk.say(f"taken for the trigger: {trigger!r}; it is in nearly every caption")
    wish = made.Wish(settings.width, settings.height)
    if where.small:
        several = made.few(found.texts, trigger, wish)
    else:
        several = made.made(found.texts, trigger, asked.noun, wish)
    return made.text(several, len(found.texts), trigger)
