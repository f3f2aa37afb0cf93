"""What stops the extraction or the resizing, after hours of paid training."""

from __future__ import annotations

from kohya_presets.training.settings import Settings
from kohya_presets.validate.rules.rule import EXTRACTING, NEVER, RESIZING, Finding, Rule


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
        "wrapper/runs/job.py: the resize stage takes what the extract stage made",
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
