"""The model page, as the guide lays it out: what a stranger needs first comes first.

The guide, "Evaluating your model and setting up your CivitAI model page": a short description at
the top, the trigger word in the text, settings of the samples and those recommended, further usage
notes, permissions restated, how it was trained, and a changelog.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace

from kohya_presets.cards import blocks, evaluated, words_file
from kohya_presets.cards.blocks import (
    Block,
    Code,
    Heading,
    Items,
    Line,
    Link,
    Missing,
    Paragraph,
    Pre,
    Strong,
    paragraph,
)
from kohya_presets.cards.evaluated import Evaluation
from kohya_presets.cards.facts import Facts, Sample, Sampling
from kohya_presets.cards.words import PERMISSIONS, RECOMMENDED, Words
from kohya_presets.problems import listed, plural

AUTO_V3 = 12  # digits of the hash by which CivitAI and web UIs know a LoRA
REHEARSAL = (
    "This LoRA comes from a rehearsal: a test of the settings on a tiny model. It is of no use with"
    " a real one."
)


def of(facts: Facts, words: Words, evaluation: Evaluation | None) -> list[Block]:
    """Return the page's blocks, without its title: a site that it is pasted into shows that."""
    return [
        *_first(facts, words),
        *_settings(facts, words),
        *_notes(words, evaluation),
        *_permissions(words),
        *_training(facts),
        *_changes(words),
        *_links(words),
    ]


def titled(facts: Facts, words: Words, evaluation: Evaluation | None) -> list[Block]:
    """Return the page with its title."""
    return [Heading(1, words.title or facts.name), *of(facts, words, evaluation)]


def of_hub(
    facts: Facts, words: Words, evaluation: Evaluation | None, repository: str
) -> list[Block]:
    """Return the page for Hugging Face: the same, and how Diffusers loads the LoRA.

    `repository` is OWNER/NAME there; "" if it is not known.
    """
    made = titled(facts, words, evaluation)
    at = next((n for n, b in enumerate(made) if isinstance(b, Heading) and b.level == 2), len(made))
    return [*made[:at], *_diffusers(facts, words, repository), *made[at:]]


def trigger(words: Words) -> str:
    """Return the trigger words as a prompt has them."""
    return ", ".join(words.trigger)


def _first(facts: Facts, words: Words) -> Iterator[Block]:
    if gap := words.gap("description"):
        yield Missing(str(gap))
    yield from blocks.plain(words.description)
    if facts.rehearsal:
        yield paragraph(Strong(REHEARSAL))
    if gap := words.gap("trigger"):
        yield Missing(str(gap))
    elif words.trigger:
        noun = "Trigger word" if len(words.trigger) == 1 else "Trigger words"
        yield paragraph(Strong(f"{noun}:"), " ", *_codes(words.trigger))
        example = f"{trigger(words)}, … <lora:{facts.stem}:1>"
        yield paragraph("Write it in the prompt, for example: ", Code(example))
    else:
        yield paragraph("It needs no trigger word.")


def _codes(texts: tuple[str, ...]) -> Iterator[str | Code]:
    for number, text in enumerate(texts):
        if number:
            yield ", "
        yield Code(text)


def _settings(facts: Facts, words: Words) -> Iterator[Block]:
    yield Heading(2, "Generation settings")
    yield paragraph(Strong("Recommended:"))
    if gap := words.gap("recommended"):
        yield Missing(str(gap))
    rows = [
        _row(name, words.recommended[key])
        for key, name in RECOMMENDED.items()
        if key in words.recommended
    ]
    if rows:
        yield Items(tuple(rows))
    if facts.sampling:
        made = f", made {facts.sampled_with}" if facts.sampled_with else ""
        yield paragraph(Strong("Sample pictures"), f"{made}:")
        yield Items(tuple(_sampling(facts.sampling)))
    for sample in facts.samples:
        yield Paragraph(((Code(sample.prompt), f" ({_own(sample, facts.sampling)})"),))


def _own(sample: Sample, common: Sampling | None) -> str:
    """Return what is special to a picture: its seed, and settings that others do not share."""
    empty = Sampling()
    shared = {name for name, value in vars(common or empty).items() if value}
    own = replace(sample.sampling, **{name: getattr(empty, name) for name in shared})
    seed = f"seed {sample.seed}" if sample.seed is not None else "random seed"
    return ", ".join((seed, *(str(row[0]) for row in _sampling(own))))


def _sampling(made: Sampling) -> Iterator[Line]:
    if made.strength:
        yield _row("LoRA strength", f"{made.strength:g}")
    if made.sampler:
        yield _row("Sampler", made.sampler)
    if made.steps:
        yield _row("Steps", str(made.steps))
    if made.scale:
        yield _row("CFG scale", f"{made.scale:g}")
    if made.width and made.height:
        yield _row("Size", f"{made.width}×{made.height}")  # noqa: RUF001
    if made.negative:
        yield _row("Negative prompt", made.negative)


def _row(name: str, value: str) -> Line:
    return (f"{name}: {value}",)


def _notes(words: Words, evaluation: Evaluation | None) -> Iterator[Block]:
    found = [*evaluated.notes(evaluation)] if evaluation else []
    if not found and not words.notes:
        return
    yield Heading(2, "Further usage notes")
    yield from blocks.plain(words.notes)
    if found:
        yield Items(tuple((note,) for note in found))


def _permissions(words: Words) -> Iterator[Block]:
    gaps = [gap for key in PERMISSIONS if (gap := words.gap(f"permissions.{key}"))]
    if not gaps and not words.permissions and not words.other_permissions and not words.license:
        return
    yield Heading(2, "Permissions")
    told = [
        (PERMISSIONS[key].yes if words.permissions[key] else PERMISSIONS[key].no,)
        for key in PERMISSIONS
        if key in words.permissions
    ]
    if told:
        yield Items(tuple(told))
    for gap in gaps:
        yield Missing(str(gap))
    yield from blocks.plain(words.other_permissions)
    if words.license:
        name = words.license_name or words.license
        url = blocks.address(words.license_link)
        yield paragraph("License: ", Link(name, url) if url else name)


def _training(facts: Facts) -> Iterator[Block]:
    yield Heading(2, "How it was trained")
    yield Items(tuple(_row(name, said) for name, said in _facts(facts).items() if said))


def _facts(facts: Facts) -> Mapping[str, str]:
    patches = f", with {listed(facts.patches)}" if facts.patches else ""
    base = facts.base_model or facts.base
    of_epochs = plural(facts.epochs, "epoch") if facts.epochs else ""
    if facts.epoch:
        of_epochs = f"{facts.epoch} of {of_epochs}" if of_epochs else plural(facts.epoch, "epoch")
    size = f"{facts.size / 1e6:.1f} MB"
    rank = f"rank {facts.rank}" if facts.rank else ""
    what = ", ".join(part for part in (rank, facts.precision, size) if part)
    return {
        "Preset": f"{facts.preset} (kohya-presets)" if facts.preset else "",
        "Trainer": f"sd-scripts {facts.release}{patches}" if facts.release else "",
        "Base model": base,
        "Method": facts.method,
        "Images": str(facts.images) if facts.images else "",
        "Length": ", ".join(
            part for part in (of_epochs, plural(facts.steps, "step") if facts.steps else "") if part
        ),
        "Optimizer": facts.optimizer,
        "Learning rate": _rates(facts.rates),
        "LoRA": f"{what}; changes {listed(facts.parts)}" if facts.parts else what,
        "Hash of the weights (AutoV3)": facts.weights_sha256[:AUTO_V3],
    }


def _rates(rates: Mapping[str, float]) -> str:
    if len(set(rates.values())) == 1:
        return _rate(next(iter(rates.values())))
    return ", ".join(f"{part} {_rate(rate)}" for part, rate in rates.items())


def _rate(rate: float) -> str:
    return f"{rate:g}".replace("e-0", "e-")


def _changes(words: Words) -> Iterator[Block]:
    """Yield the changelog, the newest version first; the only one that says nothing needs none."""
    if len(words.versions) < 2:
        return
    yield Heading(2, "Changelog")
    pairs = zip((None, *words.versions), words.versions, strict=False)
    for before, version in reversed([*pairs]):
        date = f" ({version.date})" if version.date else ""
        yield Heading(3, f"{version.version}{date}")
        if gap := words.gap(f"versions.{version.version}"):
            yield Missing(str(gap))
        yield from blocks.plain(version.changes)
        if before and (told := words_file.differences(before, version)):
            yield Items(tuple((one,) for one in told))


def _links(words: Words) -> Iterator[Block]:
    if not words.links and not words.author:
        return
    yield Heading(2, "Author and links")
    rows: list[Line] = [(f"By {words.author}",)] if words.author else []
    for text in words.links:
        url = blocks.address(text)
        rows.append((Link(text, url),) if url else (text,))
    yield Items(tuple(rows))


def _diffusers(facts: Facts, words: Words, repository: str) -> Iterator[Block]:
    if not facts.is_sdxl or facts.rehearsal:
        return
    base = words.base_model or facts.base_model or "stabilityai/stable-diffusion-xl-base-1.0"
    place = f"{_python(repository)}, weight_name=" if repository else ""
    prompt = trigger(words) or "a photo"
    yield Heading(2, "Use it with Diffusers")
    yield Pre(
        "import torch\n"
        "from diffusers import AutoPipelineForText2Image\n\n"
        "pipeline = AutoPipelineForText2Image.from_pretrained(\n"
        f"    {_python(base)}, torch_dtype=torch.float16\n"
        ').to("cuda")\n'
        f"pipeline.load_lora_weights({place}{_python(facts.file)})\n"
        f"image = pipeline({_python(prompt)}).images[0]",
        "python",
    )


def _python(text: str) -> str:
    """Return a text as a literal of Python."""
    return json.dumps(text)
