"""What to try after a failed stage, told by the end of its log."""

from __future__ import annotations

import re
from collections.abc import Sequence

# First match wins, so the particular comes before the general.
_ADVICE: tuple[tuple[str, str], ...] = (
    (
        r"CUDA out of memory|OutOfMemoryError",
        "Out of GPU memory: --set train.gradient_checkpointing=true, then "
        "--set train.optimizer_type=AdamW8bit; another program on the GPU takes its share too.",
    ),
    (r"No space left on device", "The disk is full: free some space, then `resume` the run."),
    (
        r"No data found|画像がありません",
        "sd-scripts found no image: check the folder given with --data.",
    ),
    (
        r"bitsandbytes.*(not|No module)|No bitsandbytes",
        "The optimizer needs bitsandbytes in the trainer's environment; AdamW does not.",
    ),
    (r"No module named '?lion_pytorch|No lion_pytorch", "Install lion-pytorch in the environment."),
    (
        r"No module named '?xformers|No xformers",
        "xformers is not installed: --set train.sdpa=true and take xformers out.",
    ),
    (
        r"caption file is empty",
        "A caption file has no text: write one, or delete the file.",
    ),
    (r"position_ids", "This release wants an older transformers: run `kohya-presets doctor`."),
    (
        # Packages tell of others that they can do without: only an error that stopped it counts.
        r"(?m)(ModuleNotFoundError|ImportError): .*No module named|^No module named",
        "The trainer's environment lacks a package: run `kohya-presets doctor`.",
    ),
    (
        r"unrecognized arguments|error: argument|invalid choice",
        "The script does not know an option: is it of another release than the preset's?",
    ),
    (r"NaN detected|loss=nan|avr_loss=nan", "The loss became NaN: no_half_vae, or a lower rate."),
    (
        r"Killed|returncode.?-9|SIGKILL",
        "Something killed the trainer, most often the system for want of memory. `resume` goes on.",
    ),
)


def advise(tail: Sequence[str]) -> str | None:
    """Return what to try next, or None when the log holds no known sign."""
    text = "\n".join(tail)
    return next((advice for sign, advice in _ADVICE if re.search(sign, text)), None)


def last_words(tail: Sequence[str]) -> str:
    """Return the line that says most about a failure: the last error, else the last line."""
    lines = [line.strip() for line in tail if line.strip()]
    # accelerate reports the trainer's failure once more, after the trainer's own words.
    told = [x for x in lines if re.match(r"[\w.]*(Error|Exception|Interrupt)\b", x)]
    own = [x for x in told if "CalledProcessError" not in x]
    return (own or told or lines or ["it printed nothing"])[-1][:300]
