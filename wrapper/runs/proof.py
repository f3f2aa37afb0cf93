"""What a finished rehearsal has proved. Each line is a measurement in that run, or is not there."""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kohya_presets.errors import UserError
from kohya_presets.files import image_folder
from kohya_presets.loras import info, weights
from kohya_presets.memory.estimate import Estimate
from kohya_presets.presets.preset import Preset
from kohya_presets.problems import listed, plural
from kohya_presets.sdscripts import scripts
from kohya_presets.toml import source as toml_source
from wrapper.rehearsal import changed
from wrapper.runs.kept import states
from wrapper.runs.manifest import Run, Stage

MEMORY = "memory.json"  # in it, of a rehearsal at true size: see `kp_full_size`
OBSERVED = "observed"  # the folder in which `kp_observed` leaves what each script used


@dataclass
class Proof:
    """What was measured, as lines for a reader; `missed` is what was to happen and did not."""

    proved: list[str] = field(default_factory=list)
    missed: list[str] = field(default_factory=list)


def of(
    run: Run, preset: Preset, trained: Collection[str], estimated: Estimate | None = None
) -> Proof:
    """Return what the rehearsal `run` of `preset`, as it was rehearsed, has proved.

    `trained` are the parts of the model that the preset trains, as `changed.PARTS` calls them.
    `estimated` is what the preset takes on a GPU, of a rehearsal at true size.
    """
    proof, stages = Proof(), {stage.name: stage for stage in run.stages}
    _options(proof, run, preset)
    _processes(proof, run, preset.script)
    _steps(proof, stages["train"])
    _dataset(proof, run, preset)
    same: set[str] = set()
    if stages["train"].expects != scripts.LORA:
        changes = _changes(_base(run), stages["train"].output)
        _norms(proof, "training changed", changes)
        same = {part for part, norm in changes.items() if not norm}
        proof.missed += [
            f"training of {part}: not one number of it changed" for part in trained if part in same
        ]
    if run.stages[-1].expects == scripts.LORA:
        _lora(proof, run.product, trained, same)
    memory(proof, run, estimated)
    return proof


def _base(run: Run) -> Path:
    """Return the base model of a rehearsal: of true size, it is not the run's own."""
    miniature = next((stage.output for stage in run.stages if stage.name == "miniature"), None)
    return miniature or Path(str(run.facts["inputs"]["base"]))


def memory(proof: Proof, run: Run, estimated: Estimate | None) -> None:
    """Compare what training held with the estimate, if there is one; add what is calculated."""
    if estimated is None:
        return
    try:
        told = json.loads((run.folder / OBSERVED / MEMORY).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        proof.missed.append("memory: it was not measured")
        return
    measured = {
        "weights": sum(told["weights"].values()),
        "optimizer state": told["optimizer state"],
        "gradients": told["gradients"],
    }
    peak = {part: max(m.parts.get(part, 0) for m in estimated.moments) for part in measured}
    for part, size in measured.items():
        line = f"{part}: {_gib(size)} at most (estimate {_gib(peak[part])})"
        proof.proved.append(line)
    rest = {part: size for part, size in estimated.parts.items() if part not in measured}
    at_peak = sum(min(size, estimated.parts.get(part, 0)) for part, size in measured.items())
    total = at_peak + sum(rest.values())
    proof.proved.append(
        f"on a GPU about {_gib(total)}: these as measured, and {_gib(sum(rest.values()))} that is "
        "calculated (activations, work space, VAE, CUDA)"
    )
    if told["process"]:
        proof.proved.append(f"the training process took {_gib(told['process'])} at most")


def _gib(size: int) -> str:
    return f"{size / 2**30:.2f} GiB"


def _options(proof: Proof, run: Run, preset: Preset) -> None:
    """Compare each setting with what the script had when it ended."""
    asked: dict[str, tuple[str, Mapping[str, Any]]] = {
        "train": (preset.script, toml_source.read(run.folder / "config.toml").values),
        "extract": (scripts.TOOLS["extract"], preset.extract or {}),
        "resize": (scripts.TOOLS["resize"], preset.resize or {}),
    }
    for stage in run.stages:
        if stage.name not in asked or (seen := _seen(run, asked[stage.name][0])) is None:
            continue
        script, settings = asked[stage.name]
        other = list(_other(stage.name, settings, seen["options"]))
        used = f"{len(settings) - len(other)} of {len(settings)}"
        proof.proved.append(f"{Path(script).name} used {used} settings as they are written")
        proof.missed += other


def _processes(proof: Proof, run: Run, script: str) -> None:
    """Count the processes that each wrote what they used, where there were to be several."""
    asked = run.facts.get("inputs", {}).get("gpus", 1)
    if asked == 1:
        return
    found = 1 + len([*(run.folder / OBSERVED).glob(f"{Path(script).stem}.rank*.json")])
    line = f"{found} of {asked} processes trained"
    (proof.proved if found == asked else proof.missed).append(line)


def _other(table: str, settings: Mapping[str, Any], used: Mapping[str, Any]) -> Iterator[str]:
    for key, value in settings.items():
        if key not in used:
            yield f"{table}.{key}: the script does not know it"
        elif not _same(value, used[key]):
            yield f"{table}.{key}: it is {value}, but the script used {used[key]}"


def _same(asked: Any, used: Any) -> bool:
    return asked == used or str(asked) == str(used) or (asked is False and used is None)


def _steps(proof: Proof, train: Stage) -> None:
    """Read the trainer's own count from the last state of its bar."""
    if last := states.last_step(train.launch.log):
        proof.proved.append(f"training took {last.done} of {last.total} steps")


def _dataset(proof: Proof, run: Run, preset: Preset) -> None:
    """Compare the images and captions given with those that training took."""
    seen = _seen(run, preset.script) or {}
    given = image_folder.images(run.folder / "data")
    if seen.get("images") is not None:
        loaded = {Path(file).resolve() for file in seen["images"]} & {f.resolve() for f in given}
        _counted(proof, "images", len(loaded), len(given))
    if seen.get("captions"):  # none where the text encoders' output is cached
        extension = str(preset.dataset.get("caption_extension", ".txt"))
        files = [image_folder.caption(image, extension) for image in given]
        texts = [f.read_text("utf-8", "replace").strip() for f in files if f.is_file()]
        read = [t for t in texts if {t, t.partition("\n")[0].strip()} & set(seen["captions"])]
        _counted(proof, "captions", len(read), len(texts))


def _counted(proof: Proof, what: str, count: int, given: int) -> None:
    # Only none is a fault: sd-scripts shuffles again after the first batch of an epoch, and so may
    # take one image twice in place of another.
    if count:
        proof.proved.append(f"training read {count} of {given} {what}")
    elif given:
        proof.missed.append(f"reading {what}: training read none of {given}")


def _changes(base: Path, tuned: Path) -> dict[str, float]:
    """Measure how far training moved each part."""
    changes = changed.between(weights.read(base), weights.read(tuned))
    return {change.part: change.norm for change in changes}


def _lora(proof: Proof, product: Path, trained: Collection[str], same: set[str]) -> None:
    """Measure what the LoRA changes in each part; in those that are the `same` it is rounding."""
    try:
        parts = info.of(product).parts
    except UserError as error:  # a kind of LoRA that we cannot measure, or NaN in it
        proof.missed.append(str(error))
        return
    norms = {part.name: part.norm for part in parts}
    named = {
        f"{part.name} ({plural(len(part.modules), 'module')})": part.norm
        for part in parts
        if part.name not in same
    }
    _norms(proof, f"{product.name} is complete and changes", named)
    for part in trained:
        if not norms.get(part):
            proof.missed.append(f"a change of {part} in {product.name}: there is none")
    for part in (part for part, norm in norms.items() if norm and part in same):
        proof.missed.append(
            f"{product.name} changes {part} by {norms[part]:.3g}, which training did not: it is "
            "rounding, because the models are saved in another precision than the base model"
        )


def _norms(proof: Proof, what: str, norms: Mapping[str, float]) -> None:
    """Say which norms are above 0; one that is no number is an inf or NaN in the weights."""
    found = [f"{name} by {norm:.3g}" for name, norm in norms.items() if norm > 0]
    if found:
        proof.proved.append(f"{what}: {listed(found)} (norm of the change)")
    for name, norm in norms.items():
        if not math.isfinite(norm):
            proof.missed.append(f"{name}: there are inf or NaN among its numbers")


def _seen(run: Run, script: str) -> dict[str, Any] | None:
    """Return what `kp_observed` wrote of a script; None if nothing.

    Each process has seen its share of the images and captions.
    """
    folder, name = run.folder / OBSERVED, Path(script).stem
    try:
        found: dict[str, Any] = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
        for file in sorted(folder.glob(f"{name}.rank*.json")):
            other = json.loads(file.read_text(encoding="utf-8"))
            for what in ("images", "captions"):
                if found[what] is not None:
                    found[what] = sorted({*found[what], *(other[what] or ())})
    except (OSError, ValueError):
        return None
    return found
