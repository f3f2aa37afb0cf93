"""What a run, or a LoRA file alone, says about a model without asking its author."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

SDXL_ARCHITECTURE = "stable-diffusion-xl-v1-base"  # ModelSpec's word for it
_SDXL_VERSIONS = ("sdxl", SDXL_ARCHITECTURE)
_BASES = {"sd_xl_base_1.0": "stabilityai/stable-diffusion-xl-base-1.0"}  # a file's name begins so


@dataclass(frozen=True)
class Sampling:
    """How pictures were made. An empty text, or 0: not known. Sizes are in pixels."""

    sampler: str = ""
    steps: int = 0
    scale: float = 0.0  # classifier-free guidance
    width: int = 0
    height: int = 0
    strength: float = 0.0  # of the LoRA
    negative: str = ""


@dataclass(frozen=True)
class Sample:
    """A picture beside the card: its file there, and the prompt it was made with."""

    file: str
    prompt: str
    seed: int | None = None
    sampling: Sampling = Sampling()


@dataclass(frozen=True)
class Facts:
    """What is known about a model. An empty text, 0 or None: not known.

    `base` is a name without a folder: a card is shown to others. `base_model` is the base on
    Hugging Face, OWNER/NAME.
    """

    name: str
    file: str  # the LoRA's name, with its ending
    size: int  # bytes
    weights_sha256: str  # of what follows the header: the same whatever the metadata says
    rank: int = 0
    precision: str = ""
    parts: tuple[str, ...] = ()  # of the model that it changes
    is_sdxl: bool = True
    rehearsal: bool = False
    preset: str = ""
    release: str = ""
    patches: tuple[str, ...] = ()
    base: str = ""
    base_model: str = ""
    images: int = 0
    epochs: int = 0
    epoch: int = 0  # after which this LoRA was saved; 0: the last
    steps: int = 0
    optimizer: str = ""
    rates: Mapping[str, float] = field(default_factory=dict)  # by part
    method: str = ""  # e.g. "fine-tuned, then extracted at rank 512 and resized to 16"
    sampling: Sampling | None = None
    sampled_with: str = ""  # what made the sample pictures, if not this LoRA
    samples: tuple[Sample, ...] = ()

    @property
    def stem(self) -> str:
        """The LoRA's file name without its ending, as a web UI's prompt names it."""
        return self.file.removesuffix(".safetensors")


def of_metadata(
    name: str,
    file: str,
    metadata: Mapping[str, str],
    *,
    size: int,
    weights_sha256: str,
    rank: int,
    precision: str,
    parts: tuple[str, ...],
    shapes_of: str | None = None,
) -> Facts:
    """Return what a LoRA says itself, in sd-scripts' metadata (train_network.py, `ss_…`).

    `shapes_of` is the model that its modules fit, in the words of `loras/info.py`.
    """
    optimizer = metadata.get("ss_optimizer", "").partition("(")[0].rpartition(".")[2]
    base = _base_name(metadata.get("ss_sd_model_name", ""))
    return Facts(
        name,
        file,
        size,
        weights_sha256,
        rank,
        precision,
        parts,
        is_sdxl=is_sdxl(metadata, parts, shapes_of),
        release=_release(metadata),
        base=base or metadata.get("ss_base_model_version", ""),
        base_model=base_model(base),
        images=_images(metadata),
        epochs=_integer(metadata.get("ss_num_epochs")),
        epoch=_epoch(metadata),
        steps=_integer(metadata.get("ss_steps")),
        optimizer=optimizer,
        rates=_rates(metadata),
        method="trained as a LoRA" if "ss_network_module" in metadata and optimizer else "",
    )


def is_sdxl(metadata: Mapping[str, str], parts: tuple[str, ...], shapes_of: str | None) -> bool:
    """Return whether a LoRA is for SDXL, by its shapes; else by its word, or a text encoder 2."""
    if shapes_of:
        return shapes_of == "SDXL"
    said = metadata.get("modelspec.architecture") or metadata.get("ss_base_model_version") or ""
    return said.startswith(_SDXL_VERSIONS) if said else "text encoder 2" in parts


def base_model(base: str) -> str:
    """Return where a base model is on Hugging Face, by its reference or its usual file name."""
    words = base.split("/")
    if len(words) in (2, 3) and all(words) and not base.startswith(("/", "~", ".")):
        return "/".join(words[:2])
    return next((where for begins, where in _BASES.items() if base.startswith(begins)), "")


def _base_name(text: str) -> str:
    """Return a base model without the folders of somebody's computer; OWNER/NAME stays."""
    if "\\" in text or text.startswith(("/", "~", ".")) or text.count("/") > 1:
        return text.replace("\\", "/").rpartition("/")[2]
    return text


def _release(metadata: Mapping[str, str]) -> str:
    commit = metadata.get("ss_sd_scripts_commit_hash", "")
    return f"commit {commit[:12]}" if commit and commit.isalnum() else ""


def _epoch(metadata: Mapping[str, str]) -> int:
    epoch, all_epochs = (_integer(metadata.get(key)) for key in ("ss_epoch", "ss_num_epochs"))
    return epoch if epoch != all_epochs else 0


def _rates(metadata: Mapping[str, str]) -> dict[str, float]:
    common = _number(metadata.get("ss_learning_rate"))
    found = {
        "U-Net": _number(metadata.get("ss_unet_lr")) or common,
        "text encoders": _number(metadata.get("ss_text_encoder_lr")) or common,
    }
    return {part: rate for part, rate in found.items() if rate}


def _images(metadata: Mapping[str, str]) -> int:
    """Return how many training images there were; `ss_num_train_images` counts their repeats."""
    folders = _json(metadata.get("ss_dataset_dirs"))
    sets = _json(metadata.get("ss_datasets"))
    found: list[Any] = []
    for one in sets if isinstance(sets, list) else []:
        subsets = one.get("subsets") if isinstance(one, dict) else None
        found += subsets if isinstance(subsets, list) else []
    if not found and isinstance(folders, dict):  # with a dataset config, both tell the same
        found = [*folders.values()]
    counts = [
        one.get("img_count") for one in found if isinstance(one, dict) and not one.get("is_reg")
    ]
    return sum(count for count in counts if isinstance(count, int))


def _integer(text: str | None) -> int:
    return int(_number(text))


def _number(text: str | None) -> float:
    """Return a number of the metadata; 0 for "None", a list, or no number."""
    found = _json(text)
    is_number = isinstance(found, int | float) and not isinstance(found, bool)
    return float(found) if is_number and abs(found) < 1e15 else 0.0  # NaN is none of them


def _json(text: str | None) -> Any:
    try:
        return json.loads(text or "null")
    except (ValueError, RecursionError):
        return None
