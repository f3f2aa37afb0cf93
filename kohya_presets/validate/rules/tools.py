"""What stops the extraction or the resizing, after a training that was paid for."""

from __future__ import annotations

from kohya_presets.training.settings import Settings
from kohya_presets.validate.rules.rule import EXTRACTING, NEVER, RESIZING, Finding, Rule


def extract_for_sdxl(s: Settings) -> Finding | None:
    if not s.has("extract") or s.tool("extract", "sdxl"):
        return None
    message = "without sdxl the models are read as Stable Diffusion 1, which fails"
    return Finding("extract", "sdxl", message, "Give extract.sdxl = true.")


def extract_v2(s: Settings) -> Finding | None:
    if not s.tool("extract", "v2") or not s.tool("extract", "sdxl"):
        return None
    return Finding("extract", "v2", "v2 does not go with sdxl", "Leave v2 out.")


def no_dynamic_param(s: Settings) -> Finding | None:
    method = s.tool("resize", "dynamic_method")
    if not method or s.tool("resize", "dynamic_param"):
        return None
    hint = "sv_ratio takes 2 or more, sv_fro and sv_cumulative between 0 and 1."
    return Finding("resize", "dynamic_method", f"{method} needs dynamic_param", hint)


def resize_gains_nothing(s: Settings) -> Finding | None:
    had, wanted = s.rank, s.given("resize", "new_rank")
    if not had or not wanted or wanted <= had:
        return None
    message = f"new_rank is {wanted}, and the LoRA is extracted at {had}"
    return Finding(
        "resize", "new_rank", message, "A larger rank adds zeros: extract at it instead."
    )


def resize_without_extract(s: Settings) -> Finding | None:
    if not s.has("resize") or s.has("extract"):
        return None
    message = "there is no [extract], so there is no LoRA to resize"
    return Finding("resize", "", message, "Add [extract], or leave [resize] out.")


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
        "extract.v2 excludes extract.sdxl",
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
        "wrapper/job.py: the resize stage takes what the extract stage made",
        fails=NEVER,
    ),
    Rule(
        "resize-larger",
        "warning",
        "new_rank is at most extract.dim",
        resize_gains_nothing,
        f"{_RESIZE}: the singular values beyond the LoRA's own rank are 0",
        fails=NEVER,
        options=("new_rank", "dim"),
    ),
)
