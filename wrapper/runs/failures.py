"""What to try after a failed stage, judged by the end of its log."""

from __future__ import annotations

import re
from collections.abc import Sequence

# First match wins, so the particular comes before the general.
_ADVICE: tuple[tuple[str, str], ...] = (
    (
        r"CUDA out of memory|OutOfMemoryError",
        "The GPU ran out of memory. Close other programs that use the GPU. Then try "
        "--set train.gradient_checkpointing=true, and after that "
        "--set train.optimizer_type=AdamW8bit.",
    ),
    (
        r"No space left on device",
        "The disk is full. Free some space, then run `kohya-presets resume RUN`.",
    ),
    (
        r"No data found|画像がありません",
        "sd-scripts found no images. Check the folder that you gave with --data.",
    ),
    (
        r"bitsandbytes.*(not|No module)|No bitsandbytes",
        "The optimizer needs the package bitsandbytes. Install it in the trainer environment, or "
        "use --set train.optimizer_type=AdamW.",
    ),
    (
        r"No module named '?lion_pytorch|No lion_pytorch",
        "Install lion-pytorch in the trainer environment.",
    ),
    (
        r"No module named '?xformers|No xformers",
        "xformers is not installed. Use --set train.xformers=false --set train.sdpa=true.",
    ),
    (
        r"caption file is empty",
        "A caption file is empty. Write a caption into it, or delete the file.",
    ),
    (
        r"position_ids",
        "This sd-scripts release needs an older transformers. Run `kohya-presets doctor`.",
    ),
    (
        # Packages also report optional packages as missing: only an error that stopped it counts.
        r"(?m)(ModuleNotFoundError|ImportError): .*No module named|^No module named",
        "A package is missing in the trainer environment. Run `kohya-presets doctor`.",
    ),
    (
        r"unrecognized arguments|error: argument|invalid choice",
        "The script does not know one of the options. Check the preset for this release: "
        "`kohya-presets validate PRESET --release TAG`.",
    ),
    (
        r"NaN detected|loss=nan|avr_loss=nan",
        "The loss became NaN. Try --set train.no_half_vae=true, or a lower train.learning_rate.",
    ),
    (
        r"Killed|returncode.?-9|SIGKILL",
        "The trainer was killed, usually because the machine ran out of memory (RAM). Close other "
        "programs, then run `kohya-presets resume RUN`.",
    ),
)


def advise(tail: Sequence[str]) -> str | None:
    """Return what to try next, or None when no known error is in the log."""
    text = "\n".join(tail)
    return next((advice for sign, advice in _ADVICE if re.search(sign, text)), None)


def last_words(tail: Sequence[str]) -> str:
    """Return the line that says most about a failure: the last error, else the last line."""
    lines = [line.strip() for line in tail if line.strip()]
    # accelerate reports the trainer's failure a second time, after the trainer's own error.
    errors = [x for x in lines if re.match(r"[\w.]*(Error|Exception|Interrupt)\b", x)]
    own = [x for x in errors if "CalledProcessError" not in x]
    return (own or errors or lines or ["it printed nothing"])[-1][:300]
