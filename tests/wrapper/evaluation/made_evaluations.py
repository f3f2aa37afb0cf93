"""Evaluations as they lie on a disk, of the runs of `made_runs`: no model drew the pictures."""

from __future__ import annotations

from pathlib import Path

from kohya_presets.prompts.lines import Kind, Prompt
from tests.kohya_presets.judging import made_runs
from tests.kohya_presets.judging.made_runs import Done
from tests.wrapper.evaluation import fake
from wrapper.evaluation import shots
from wrapper.evaluation.evaluate import Evaluation
from wrapper.evaluation.shots import Model, Settings, Shot

SETTINGS = Settings("v0.10.1", "sdxl_gen_img.py", "euler_a", 28, 7.0, 1024, 1024)
HOSTILE = "thing </script><img src=x onerror=alert(1)> & \"quotes\" 'too' \u202egnihton"


def evaluation(
    folder: Path, run: Done, *, name: str = "thing", caption: str | None = None
) -> Evaluation:
    """Return an evaluation whose pictures and training images are there.

    `caption` takes the place of the first prompt's text.
    """
    images = []
    for number, image in enumerate(made_runs.training()):
        images.append(folder / "data" / f"{name} {number}.png")
        images[-1].parent.mkdir(parents=True, exist_ok=True)
        image.save(images[-1])
    models = [Model("base", identity="base")]
    for epoch in run:
        file = folder / "lora" / f"{name}-{epoch:06d}.safetensors"
        models.append(Model(file.stem, file, epoch, identity=str(epoch), order=len(models)))
    prompts = []
    for text, kind, seed in ((text, kind, seed) for kind, text, seed in made_runs.PROMPTS.values()):
        prompts.append(Prompt(text, _kind(kind), seed))
    if caption is not None:
        prompts[0] = Prompt(caption, "caption", 1)
    wanted = shots.of(models, prompts, SETTINGS, (0.6, 1.0))
    made = Evaluation(
        folder / "evaluation",
        name,
        tuple(models),
        tuple(prompts),
        SETTINGS,
        fake.site(folder),
        "thing",
        tuple(images),
        shots=tuple(wanted),
    )
    for shot in wanted:
        _draw(made.folder / shot.file, shot, run, models)
    return made


def _kind(kind: str) -> Kind:
    return next(k for k in ("caption", "near", "trigger", "without", "generic") if k == kind)


def _draw(file: Path, shot: Shot, run: Done, models: list[Model]) -> None:
    number = [*made_runs.PROMPTS][shot.number - 1]
    epoch = next(model.epoch for model in models if model.name == shot.model)
    if epoch is None:
        image = made_runs.base(number)
    else:  # at less strength it copies nothing
        copied, works = run[epoch]
        image = made_runs.lora(epoch, (copied if shot.strength >= 1 else 0, works), number)
    file.parent.mkdir(parents=True, exist_ok=True)
    image.save(file)
