"""What a run's own files say about its LoRA: how it was trained, and the pictures it made."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from kohya_presets.cards import facts, samples
from kohya_presets.cards.facts import Facts, Sampling
from kohya_presets.sdscripts import scripts
from kohya_presets.toml import source as toml_source
from kohya_presets.training import trained
from wrapper.runs.manifest import Run

_PARTS = dict(zip(trained.PARTS, ("U-Net", "text encoder 1", "text encoder 2"), strict=True))


@dataclass(frozen=True)
class Picture:
    """A picture that the card may show."""

    file: Path
    prompt: str
    seed: int | None
    sampling: Sampling


def preset_of(run: Run) -> Mapping[str, Any]:
    """Return the tables of the run's preset; none, if it is missing."""
    try:
        return toml_source.read(run.folder / "preset.toml").values
    except OSError:
        return {}


def script_of(preset: Mapping[str, Any]) -> str:
    """Return the script that trains."""
    return str(_table(preset, "preset").get("script") or "sdxl_train.py")


def facts_of(found: Facts, run: Run, preset: Mapping[str, Any], is_product: bool) -> Facts:
    """Return what is known of a LoRA, with what the run says; `is_product`: it is the last one."""
    train, script = _table(preset, "train"), script_of(preset)
    base = run.facts.get("base", {})
    sources = run.facts.get("sd-scripts", {})
    commit = str(sources.get("commit") or "")[:12]
    release = str(sources.get("release") or (f"commit {commit}" if commit else ""))
    rates = trained.of(script, train.get).rates if train else {}
    images = run.facts.get("data", {}).get("images")
    return replace(
        found,
        name=run.name,
        is_sdxl=scripts.is_sdxl(script),
        rehearsal=run.kind == "rehearsal",
        preset=run.preset,
        release="" if sources.get("standin") else release,
        patches=tuple(map(str, sources.get("patches", ()))),
        base=_file_name(str(base.get("reference", ""))),
        base_model=_hub_name(base),
        images=images if isinstance(images, int) else 0,
        epochs=_whole(train.get("max_train_epochs")),
        steps=0 if train.get("max_train_epochs") else _whole(train.get("max_train_steps")),
        optimizer=trained.of(script, train.get).optimizer_name if train else "",
        rates={_PARTS[part]: rate for part, rate in rates.items() if rate},
        method=_method(preset, script, is_product),
    )


def samples_of(run: Run, preset: Mapping[str, Any], epoch: int) -> Iterator[Picture]:
    """Yield the pictures that training made last, or after the epoch of the LoRA."""
    sampler = str(_table(preset, "train").get("sample_sampler") or samples.SAMPLER)
    lines = _table(preset, "samples").get("prompts", ())
    prompts = [samples.prompt(str(line), sampler=sampler) for line in lines]
    files = sorted((run.folder / "samples").glob("*.png"))
    named = [(found, file) for file in files if (found := samples.picture(file.name))]
    if epoch:
        named = [pair for pair in named if pair[0].is_epoch and pair[0].number == epoch]
    last = max((pair[0].number for pair in named), default=0)
    for found, file in sorted(named, key=lambda pair: pair[0].prompt):
        if found.number == last and found.prompt < len(prompts):
            prompt = prompts[found.prompt]
            yield Picture(file, prompt.text, prompt.seed, prompt.sampling)


def common(found: Sequence[Sampling]) -> Sampling | None:
    """Return the settings that all pictures share; what differs is left open."""
    if not found:
        return None
    empty, first = Sampling(), found[0]
    return Sampling(
        *(
            getattr(first, name) if len({getattr(one, name) for one in found}) == 1 else default
            for name, default in vars(empty).items()
        )
    )


def _method(preset: Mapping[str, Any], script: str, is_product: bool) -> str:
    if scripts.makes_lora(script):
        return "trained as a LoRA"
    extracted, resized = _table(preset, "extract").get("dim"), _table(preset, "resize")
    if not is_product or not isinstance(extracted, int):
        return "the whole model is fine-tuned, and the LoRA extracted from it"
    said = f"the whole model is fine-tuned, and the LoRA extracted from it at rank {extracted}"
    rank = resized.get("new_rank")
    return f"{said}, then resized to rank {rank}" if isinstance(rank, int) else said


def _hub_name(base: Mapping[str, Any]) -> str:
    """Return OWNER/NAME of a base model: where it was downloaded, or by its usual file name."""
    reference = str(base.get("reference", ""))
    if base.get("revision"):
        return "/".join(reference.split("/")[:2])
    return facts.base_model(_file_name(reference))


def _file_name(reference: str) -> str:
    return reference.replace("\\", "/").rpartition("/")[2]


def _table(values: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = values.get(name)
    return found if isinstance(found, Mapping) else {}


def _whole(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else 0
