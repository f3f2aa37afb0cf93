"""What stops a LoRA: its training, or its extraction and resizing after hours of paid training."""

from __future__ import annotations

from kohya_presets.problems import did_you_mean
from kohya_presets.sdscripts import arguments
from kohya_presets.sdscripts.scripts import KNOWN, LORA, model_of_network
from kohya_presets.training.settings import Settings
from kohya_presets.validate.rules.rule import (
    EXTRACTING,
    MODEL_LOADED,
    NEVER,
    READING_IMAGES,
    RESIZING,
    Finding,
    Rule,
)

LORAS = tuple(name for name, kind in KNOWN.items() if kind.makes == LORA)


def cached_text_trained(s: Settings) -> Finding | None:
    if not s.train("cache_text_encoder_outputs") or s.train("network_train_unet_only"):
        return None
    message = "cache_text_encoder_outputs needs network_train_unet_only"
    hint = "Set it, or leave the cache out: cached outputs cannot change during training."
    return Finding("train", "cache_text_encoder_outputs", message, hint)


def other_models_network(s: Settings) -> Finding | None:
    module = str(s.given("train", "network_module") or "")
    model = model_of_network(module)
    if model is None or model == KNOWN[s.script].model:
        return None
    message = f"{module} is for {model}, but {s.script} trains {KNOWN[s.script].model}"
    return Finding("train", "network_module", message, "Use networks.lora, or another script.")


def network_args(s: Settings) -> Finding | None:
    for item in s.given("train", "network_args") or ():
        if item.count("=") != 1:
            message = f'expected "name=value" in network_args, found {item!r}'
            return Finding("train", "network_args", message, "Write one name=value per item.")
    return None


def idle_network_args(s: Settings) -> Finding | None:
    module = str(s.given("train", "network_module") or "")
    if (known := arguments.of_network(module)) is None:  # a module of somebody
        return None
    names = (item.partition("=")[0] for item in s.given("train", "network_args") or ())
    if not (idle := [name for name in names if name not in known]):
        return None
    message = f"{module} takes no notice of {idle[0]} in network_args"
    other = arguments.of_network("lycoris.kohya") or ()
    hint = "Leave it out" + (", or use lycoris.kohya." if idle[0] in other else ".")
    return Finding("train", "network_args", message, did_you_mean(idle[0], known) or hint)


def extract_for_sdxl(s: Settings) -> Finding | None:
    if not s.has("extract") or s.tool("extract", "sdxl"):
        return None
    message = "without extract.sdxl the extraction reads the models as Stable Diffusion 1 and fails"
    return Finding("extract", "sdxl", message, "Set extract.sdxl = true.")


def extract_v2(s: Settings) -> Finding | None:
    if not s.tool("extract", "v2") or not s.tool("extract", "sdxl"):
        return None
    return Finding("extract", "v2", "v2 does not work with sdxl", "Leave v2 out.")


def no_dynamic_param(s: Settings) -> Finding | None:
    method = s.tool("resize", "dynamic_method")
    if not method or s.tool("resize", "dynamic_param"):
        return None
    hint = "Set resize.dynamic_param: 2 or more for sv_ratio, 0 to 1 for sv_fro and sv_cumulative."
    return Finding("resize", "dynamic_method", f"{method} needs dynamic_param", hint)


def resize_gains_nothing(s: Settings) -> Finding | None:
    extracted, wanted = s.rank, s.given("resize", "new_rank")
    if not extracted or not wanted or wanted <= extracted:
        return None
    message = f"new_rank is {wanted}, but the LoRA is extracted at rank {extracted}"
    hint = f"Set extract.dim = {wanted} instead: a larger new_rank only adds zeros."
    return Finding("resize", "new_rank", message, hint)


def resize_without_extract(s: Settings) -> Finding | None:
    if not s.has("resize") or s.has("extract"):
        return None
    message = "[resize] needs [extract], which makes the LoRA to resize"
    return Finding("resize", "", message, "Add [extract], or delete [resize].")


_EXTRACT = "networks/extract_lora_from_models.py"
_RESIZE = "networks/resize_lora.py"
RULES = (
    Rule(
        "lora-cached-text",
        "error",
        "cache_text_encoder_outputs needs network_train_unet_only",
        cached_text_trained,
        "sdxl_train_network.py, assert_extra_args: asserts it",
        fails=READING_IMAGES,
        options=("cache_text_encoder_outputs", "network_train_unet_only"),
        scripts=("sdxl_train_network.py",),
    ),
    Rule(
        "network-module",
        "error",
        "network_module must be for the model that the script trains",
        other_models_network,
        "networks/lora_flux.py and its like: find nothing in another model's U-Net, and train no"
        " more than text encoders",
        fails=f"{MODEL_LOADED}, or never",
        options=("network_module",),
        scripts=LORAS,
    ),
    Rule(
        "network-args",
        "error",
        "network_args must be name=value, one per item",
        network_args,
        "train_network.py, train: unpacks split('=')",
        fails=MODEL_LOADED,
        options=("network_args",),
        scripts=LORAS,
    ),
    Rule(
        "network-args-idle",
        "warning",
        "network_args must be names that network_module looks for",
        idle_network_args,
        "networks/lora.py and its like, create_network: take what they know",
        fails=NEVER,
        options=("network_args", "network_module"),
        scripts=LORAS,
    ),
    Rule(
        "extract-sdxl",
        "error",
        "extract.sdxl is needed for SDXL",
        extract_for_sdxl,
        f"{_EXTRACT}, svd: loads both as Stable Diffusion 1",
        fails=EXTRACTING,
        options=("sdxl",),
    ),
    Rule(
        "extract-v2",
        "error",
        "extract.v2 does not work with extract.sdxl",
        extract_v2,
        f"{_EXTRACT}, svd: asserts not both",
        fails=EXTRACTING,
        options=("v2", "sdxl"),
    ),
    Rule(
        "dynamic-param",
        "error",
        "dynamic_method needs dynamic_param",
        no_dynamic_param,
        f"{_RESIZE}, resize: raises without dynamic_param",
        fails=RESIZING,
        options=("dynamic_method", "dynamic_param"),
    ),
    Rule(
        "resize-alone",
        "error",
        "[resize] needs [extract]",
        resize_without_extract,
        "wrapper/planning/job.py: the resize stage takes what the extract stage made",
        fails=NEVER,
    ),
    Rule(
        "resize-larger",
        "warning",
        "new_rank must be at most extract.dim",
        resize_gains_nothing,
        f"{_RESIZE}: the singular values beyond the LoRA's own rank are 0",
        fails=NEVER,
        options=("new_rank", "dim"),
    ),
)
