"""The scripts of sd-scripts: what each starts from, what it makes, and its table in a preset."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

CHECKPOINT, LORA = "an SDXL checkpoint", "a LoRA"  # in `loras.weights.kind`'s words


class Trainer(NamedTuple):
    """A script; `needs` are the options, all of them files, without which it does not start."""

    model: str
    bases: tuple[str, ...]  # kinds of weights file
    makes: str
    needs: tuple[str, ...] = ()


TRAINERS: Mapping[str, Trainer] = {
    "sdxl_train.py": Trainer("SDXL", (CHECKPOINT,), CHECKPOINT),
    "sdxl_train_network.py": Trainer("SDXL", (CHECKPOINT,), LORA),
    "train_network.py": Trainer(
        "SD", ("a Stable Diffusion 1 checkpoint", "a Stable Diffusion 2 checkpoint"), LORA
    ),
    "flux_train_network.py": Trainer("FLUX", ("a Flux model",), LORA, ("ae", "clip_l", "t5xxl")),
}


TOOLS: Mapping[str, str] = {  # by the table of a preset that has their options
    "extract": "networks/extract_lora_from_models.py",
    "resize": "networks/resize_lora.py",
}


def is_sdxl(script: str) -> bool:
    """Return whether a script trains SDXL; an unknown script is assumed to."""
    return script not in TRAINERS or TRAINERS[script].model == "SDXL"


def makes_lora(script: str) -> bool:
    """Return whether a script trains a LoRA rather than the model itself."""
    return script in TRAINERS and TRAINERS[script].makes == LORA
