"""Which script a training config is for, from what it says: a config does not name its script."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Mapping
from pathlib import PurePath
from typing import Any, NamedTuple

from kohya_presets.sdscripts import options
from kohya_presets.sdscripts.scripts import (
    CONTROL_NET,
    EMBEDDING,
    KNOWN,
    LORA,
    MODEL,
    model_of_network,
)

USUAL = "sdxl_train.py"  # of a config that says nothing
SMALLEST_SDXL = 896  # pixels: SD 1 and 2 are trained at 512 and 768, SDXL at 1024
# The first of these options that is set tells the model: files that only its scripts load, and then
# what only scripts with its text encoder, or only its own, know.
_OWN = {
    "gemma2": "Lumina",
    "qwen3": "Anima",
    "llm_adapter_path": "Anima",
    "byt5": "HunyuanImage",
    "clip_g": "SD 3",
    "ae": "FLUX",
    "t5xxl": "FLUX",
    "clip_l": "FLUX",
    "apply_t5_attn_mask": "FLUX",  # this and the next are SD 3's too, which has clip_g
    "t5xxl_max_token_length": "FLUX",
    "guidance_scale": "FLUX",
}
# How files and folders are called.
_NAMES = (
    (r"flux", "FLUX"),
    (r"sd-?3(?!\d)|stable-?diffusion-?3", "SD 3"),
    (r"lumina", "Lumina"),
    (r"hunyuan", "HunyuanImage"),
    (r"anima(?!gine|te|l)", "Anima"),
    (r"sd_?-?xl|(?<![a-z])xl|xl(?![a-z])|pony|illustrious|noob", "SDXL"),
    (r"v1-5|v1_5|v2-1|v2_1|sd-?_?1\.?5|sd-?_?2\.?1|stable-?diffusion-?v?[12]|anylora", "SD"),
)
_MAKES = {
    CONTROL_NET: ("cond_emb_dim", "controlnet_model_name_or_path", "control_net_lr"),
    EMBEDDING: ("token_string", "init_word", "num_vectors_per_token"),
    LORA: ("network_module", "network_dim", "network_alpha", "network_args", "network_weights"),
}
# A key of lora-scripts, and what it calls its trainings (mikazuki/app/api.py, trainer_mapping, and
# mikazuki/schema/): it takes the key out and hands the rest to the script.
OF_LORA_SCRIPTS = "model_train_type"
_LORA_SCRIPTS = {
    "sd-lora": "train_network.py",
    "sdxl-lora": "sdxl_train_network.py",
    "sd-dreambooth": "train_db.py",
    "sdxl-finetune": "sdxl_train.py",
    "sd3-lora": "sd3_train_network.py",
    "flux-lora": "flux_train_network.py",
    "flux-finetune": "flux_train.py",
    "lumina-lora": "lumina_train_network.py",
}
_NOWHERE = PurePath()
# What only trainings of the model itself have, and some of what the GUI writes for LoRAs beside it.
_OF_MODEL = ("train_text_encoder", "learning_rate_te1", "learning_rate_te2", "block_lr")
_OF_SDXL = {"cache_text_encoder_outputs", "cache_text_encoder_outputs_to_disk", "learning_rate_te1"}
_LORA_RATES = ("unet_lr", "text_encoder_lr", "network_train_unet_only")


class Recognized(NamedTuple):
    """The script, and what in the file tells it; nothing if it is assumed."""

    script: str
    because: tuple[str, ...] = ()


def script(
    values: Mapping[str, Any],
    *,
    comments: Iterable[str] = (),
    path: PurePath = _NOWHERE,
    resolution: int | None = None,
) -> Recognized:
    """Return the script that a training config with these options is for.

    `resolution` is the larger side in pixels, if it is known, e.g. from a dataset config.
    """
    kind = values.get(OF_LORA_SCRIPTS)
    if isinstance(kind, str) and kind in _LORA_SCRIPTS:
        return Recognized(_LORA_SCRIPTS[kind], (f"lora-scripts' {OF_LORA_SCRIPTS} is {kind}",))
    makes, told = _makes(values)
    if (named := _named(comments)) and (not told or KNOWN[named].makes == makes):
        return Recognized(named, ("a comment names it",))
    # SDXL itself is fine-tuned at smaller sizes too; LoRAs of that size are mostly for SD 1.
    model, why = _model(values, path, resolution if makes == LORA else None)
    candidates = [n for n, kind in KNOWN.items() if (kind.model, kind.makes) == (model, makes)]
    if not candidates:
        return Recognized(USUAL)
    best = min(candidates, key=lambda name: len(values.keys() - _ever(name)))
    if len(candidates) > 1 and not told and (own := values.keys() & _only(best, candidates)):
        told = sorted(own)[0]
    told = f"it has {told}" if told and told not in why else ""
    return Recognized(best, tuple(reason for reason in (why, told) if reason))


def _makes(values: Mapping[str, Any]) -> tuple[str, str]:
    """Return what is made, and the option that tells it."""
    for makes, keys in _MAKES.items():
        if given := _given(values, keys):
            return makes, given
    if any(key in values for key in _OF_MODEL):
        return MODEL, ""
    # The GUI writes these two for every training, so that 0 or nothing tells nothing.
    if given := next((key for key in _LORA_RATES if values.get(key)), ""):
        return LORA, given
    return MODEL, ""


def _model(values: Mapping[str, Any], path: PurePath, resolution: int | None) -> tuple[str, str]:
    """Return the model, and what tells it; SDXL if nothing does."""
    module = str(values.get("network_module") or "")
    if model := model_of_network(module):
        return model, f"network_module is {module}"
    if given := _given(values, _OWN):
        return _OWN[given], f"it has {given}"
    if values.get("sdxl") is True:
        return "SDXL", "sdxl is true"
    base = str(values.get("pretrained_model_name_or_path") or "").replace("\\", "/")
    if called := _called(base.rsplit("/", 1)[-1]) or _called(base):
        return called, f"the base model is called {base.rsplit('/', 1)[-1]}"
    if values.get("v2") is True:
        return "SD", "v2 is true"
    if own := _given(values, sorted(_OF_SDXL)):
        return "SDXL", f"it has {own}"
    for part in (path.name, path.parent.name, path.parent.parent.name):
        if in_path := _called(part):
            return in_path, f"its path says {part}"
    if resolution:
        return "SDXL" if resolution >= SMALLEST_SDXL else "SD", f"resolution is {resolution}"
    return "SDXL", ""


def _called(name: str) -> str | None:
    found = (model for pattern, model in _NAMES if re.search(pattern, name.lower()))
    return next(found, None)


def _given(values: Mapping[str, Any], keys: Iterable[str]) -> str:
    """Return the first of `keys` that is set; the GUI writes "" for one that is not."""
    return next((key for key in keys if values.get(key) not in (None, "", False, [])), "")


def _named(comments: Iterable[str]) -> str | None:
    """Return the script that the comments name, if it is one."""
    found = {name for text in comments for name in re.findall(r"\w+\.py\b", text) if name in KNOWN}
    return found.pop() if len(found) == 1 else None


@functools.cache
def _ever(name: str) -> frozenset[str]:
    """Return the options that a script has in the first, the middle or the newest release."""
    known = (options.of(name, release) for release in ("v0.7.0", "v0.8.7", None))
    return frozenset().union(*known)


def _only(name: str, others: Iterable[str]) -> frozenset[str]:
    return _ever(name).difference(*(_ever(other) for other in others if other != name))
