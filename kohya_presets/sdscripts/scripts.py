"""The scripts of sd-scripts: what each starts from, what it makes, and its table in a preset."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
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


class Kind(NamedTuple):
    """The model that a script trains, what it makes, and what bucket_reso_steps is a multiple of.

    The multiple: `verify_bucket_reso_steps` in each script.
    """

    model: str
    makes: str
    multiple: int = 32


EMBEDDING, CONTROL_NET, MODEL = "an embedding", "a ControlNet", "the model itself"
# Every training script whose options are known. A preset can be for those of `TRAINERS`.
KNOWN: Mapping[str, Kind] = {
    "sdxl_train.py": Kind("SDXL", MODEL),
    "sdxl_train_network.py": Kind("SDXL", LORA),
    "sdxl_train_textual_inversion.py": Kind("SDXL", EMBEDDING),
    "sdxl_train_control_net.py": Kind("SDXL", CONTROL_NET),
    "sdxl_train_control_net_lllite.py": Kind("SDXL", CONTROL_NET),
    "train_network.py": Kind("SD", LORA, 64),
    "train_db.py": Kind("SD", MODEL, 64),
    "fine_tune.py": Kind("SD", MODEL, 64),
    "train_textual_inversion.py": Kind("SD", EMBEDDING, 64),
    "train_control_net.py": Kind("SD", CONTROL_NET, 64),
    "flux_train.py": Kind("FLUX", MODEL, 16),
    "flux_train_network.py": Kind("FLUX", LORA),
    "flux_train_control_net.py": Kind("FLUX", CONTROL_NET, 16),
    "sd3_train.py": Kind("SD 3", MODEL, 8),
    "sd3_train_network.py": Kind("SD 3", LORA),
    "lumina_train.py": Kind("Lumina", MODEL, 16),
    "lumina_train_network.py": Kind("Lumina", LORA, 16),
    "hunyuan_image_train_network.py": Kind("HunyuanImage", LORA),
    "anima_train.py": Kind("Anima", MODEL, 16),
    "anima_train_network.py": Kind("Anima", LORA, 16),
}


TOOLS: Mapping[str, str] = {  # by the table of a preset that has their options
    "extract": "networks/extract_lora_from_models.py",
    "resize": "networks/resize_lora.py",
}


# network_module of sd-scripts ends so if it is for one model only.
_NETWORKS = {
    "_flux": "FLUX",
    "_sd3": "SD 3",
    "_lumina": "Lumina",
    "_hunyuan_image": "HunyuanImage",
    "_anima": "Anima",
}


def model_of_network(module: str) -> str | None:
    """Return the model that a network module such as "networks.lora_flux" is for, if only one."""
    return next((model for end, model in _NETWORKS.items() if module.endswith(end)), None)


def is_sdxl(script: str) -> bool:
    """Return whether a script trains SDXL; an unknown script is assumed to."""
    return script not in KNOWN or KNOWN[script].model == "SDXL"


def makes_lora(script: str) -> bool:
    """Return whether a script trains a LoRA rather than the model itself."""
    return script in KNOWN and KNOWN[script].makes == LORA


def nearest_first(script: str, others: Iterable[str]) -> list[str]:
    """Return scripts, first those that make the same as `script`, then those of the same model."""
    return sorted(others, key=lambda other: _unlike(script, other))


def is_of_a_kind(script: str, other: str) -> bool:
    """Return whether two scripts make the same, or train the same model."""
    return not all(_unlike(script, other))


def _unlike(script: str, other: str) -> tuple[bool, bool]:
    own, kind = KNOWN.get(script), KNOWN.get(other)
    if own is None or kind is None:
        return True, True
    return kind.makes != own.makes, kind.model != own.model
