"""What sd-scripts does with a value that is not one of an option's choices, in a config file.

argparse looks at choices on the command line only: what a config file says reaches the code as it
is (library/train_util.py, read_config_from_file), and what happens then differs by option.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from kohya_presets.problems import Severity
from kohya_presets.sdscripts import releases
from kohya_presets.sdscripts.options import Option, nearest_release
from kohya_presets.sdscripts.scripts import KNOWN, LORA, MODEL
from kohya_presets.toml import text as toml_text
from kohya_presets.training.settings import Settings
from kohya_presets.validate.rules.stops.files import SAMPLES

PIECE = 75  # tokens that CLIP takes at once, beside those for beginning and end
# Known to accelerate, which gets the name, and not to sd-scripts.
TRACKERS = frozenset({"aim", "clearml", "comet_ml", "dvclive", "mlflow"})
LEVELS = frozenset({"WARN", "FATAL", "NOTSET"})  # of Python's logging, by other names
THIRTY_TWO_BITS = frozenset({"fp32", "float32", "no", "none"})
CLIP = frozenset({"SD", "SDXL"})  # the models of which captions are cut into pieces


class Outcome(NamedTuple):
    """What happens: a note if nothing is lost, a warning if it is not what the value says."""

    severity: Severity
    says: str
    hint: str | None = None


def outcome(option: Option, value: Any, s: Settings) -> Outcome | None:
    """Return what sd-scripts does with a value that is not a choice; None if it stops."""
    told = DECIDED.get(option.name)
    found = told(value, s) if told else None
    if found is None:
        return None
    shown = toml_text.value_text(value)
    return found._replace(says=f"{option.name} = {shown} {found.says}")


def _max_token_length(value: int, s: Settings) -> Outcome | None:
    if not _is_clip(s):
        return Outcome("note", f"is not used by {s.script}")
    if value < PIECE:  # tensors of 77 are expected, except where a function was made for less
        earlier = releases.order(nearest_release(s.release)) < releases.order("v0.10.0")
        if not (earlier and KNOWN[s.script].model == "SD" and value > 0):
            return None
        return Outcome("warning", f"cuts captions after {value} tokens", f"Use {2 * PIECE}.")
    whole = value // PIECE * PIECE
    if value == PIECE:
        return Outcome("note", "is the same as to leave it out")
    if value == whole:
        return Outcome("note", "works, though sd-scripts lists 150 and 225 only")
    hint = "Leave it out." if whole == PIECE else f"Use {whole}."
    says = f"counts as {whole}: captions are cut after {whole} tokens"
    return Outcome("warning", says, hint)


def _dynamo_backend(value: str, s: Settings) -> Outcome | None:
    if not s.train("torch_compile"):
        return Outcome("note", "is not used without torch_compile")
    if value.lower() == "no":
        return Outcome("warning", "turns torch_compile off", "Leave torch_compile out.")
    if value.lower() == "tensorrt":  # as accelerate calls it; sd-scripts has "tensort"
        return Outcome("warning", "works only if its package is installed", 'Use "inductor".')
    return _by_other_case(value, s, "dynamo_backend")


def _huber_schedule(value: str, s: Settings) -> Outcome | None:
    if s.train("loss_type") in ("huber", "smooth_l1"):
        return None
    return Outcome("note", "is not used without loss_type huber or smooth_l1")


def _log_with(value: str, s: Settings) -> Outcome | None:
    if value not in TRACKERS:
        return None
    says = "is not known to sd-scripts, and logs only if its package is installed"
    return Outcome("warning", says, 'Use "tensorboard", "wandb" or "all".')


def _sample_sampler(value: str, s: Settings) -> Outcome | None:
    if not _is_clip(s):
        return Outcome("note", f"is not used by {s.script}")
    if not any(s.given("train", key) for key in SAMPLES):
        return Outcome("note", "is not used without sample images")
    if value == "ddpm":
        return Outcome("note", "works, though sd-scripts does not list it")
    return Outcome("warning", "counts as ddim", 'Use "ddim", "euler_a" or another one it knows.')


def _save_model_as(value: str, s: Settings) -> Outcome | None:
    makes = KNOWN[s.script].makes
    if makes != LORA and not _is_clip(s):
        return Outcome("note", f"is not used by {s.script}")
    if makes != MODEL:
        says = f'saves a file that ends in ".{value}", in the format of ckpt'
        return Outcome("warning", says, 'Use "safetensors".')
    if value.lower() in ("ckpt", "safetensors"):
        return Outcome("note", f"counts as {value.lower()}")
    return Outcome("warning", "saves a folder in the format of Diffusers", 'Use "safetensors".')


def _save_precision(value: str, s: Settings) -> Outcome | None:
    says = 'is not known and saves the weights as they are trained; "float" is 32 bit'
    half = s.train("full_fp16") or s.train("full_bf16")
    if value.lower() in THIRTY_TWO_BITS and not half:
        return Outcome("note", says)
    return Outcome("warning", says, 'Use "float", "fp16" or "bf16".')


def _counts_as(usual: str) -> Callable[[str, Settings], Outcome | None]:
    def told(value: str, s: Settings) -> Outcome | None:
        return Outcome("warning", f"counts as {usual}", f'Use "{usual}", or another one it knows.')

    return told


def _with(switch: str) -> Callable[[Any, Settings], Outcome | None]:
    def told(value: Any, s: Settings) -> Outcome | None:
        return None if s.train(switch) else Outcome("note", f"is not used without {switch}")

    return told


def _console_log_level(value: str, s: Settings) -> Outcome | None:
    return Outcome("note", "is known to Python") if value in LEVELS else None


def _compile_dynamic(value: str, s: Settings) -> Outcome | None:
    if not s.train("compile"):
        return Outcome("note", "is not used without compile")
    return _by_other_case(value, s, "compile_dynamic")


def _by_other_case(value: str, s: Settings, name: str) -> Outcome | None:
    """Return that `value` counts as the choice that is written so in small letters."""
    known = s.known("train")[name].choices
    return Outcome("note", f"counts as {value.lower()}") if value.lower() in known else None


def _is_clip(s: Settings) -> bool:
    return KNOWN[s.script].model in CLIP


# Those that are not here stop sd-scripts: loss_type, mixed_precision, attn_mode, model_type,
# resize_interpolation.
DECIDED: dict[str, Callable[[Any, Settings], Outcome | None]] = {
    "max_token_length": _max_token_length,
    "dynamo_backend": _dynamo_backend,
    "huber_schedule": _huber_schedule,
    "log_with": _log_with,
    "sample_sampler": _sample_sampler,
    "save_model_as": _save_model_as,
    "save_precision": _save_precision,
    "model_prediction_type": _counts_as("raw"),
    "timestep_sampling": _counts_as("sigma"),
    "weighting_scheme": _counts_as("uniform"),
    "show_timesteps": _counts_as("console"),
    "zero_stage": _with("deepspeed"),
    "offload_optimizer_device": _with("deepspeed"),
    "offload_param_device": _with("deepspeed"),
    "console_log_level": _console_log_level,
    "compile_dynamic": _compile_dynamic,
    "compile_mode": _with("compile"),
}
