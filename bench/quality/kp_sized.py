"""Be `kp_miniature` or `kp_checkpoint`, for a miniature of another width: $KP_WIDTH (32 as usual).

    python kp_sized.py FOLDER SCRIPT ARGUMENTS...
    python kp_sized.py --out FILE.safetensors --tokenizers DIR

The vocabulary is cut to what the miniature's tokenizers know, 514 of 49408 tokens: on a CPU, the
others are most of what a step takes, and get no gradient. Runs in the trainer's environment, with
the folder of `kp_miniature` on PYTHONPATH.
"""

from __future__ import annotations

import os
import sys
from typing import Any

import kp_checkpoint
import kp_miniature
import kp_observed

VOCABULARY = 514
WIDTH = int(os.environ.get("KP_WIDTH", "32"))


def prepare() -> None:
    """Set the sizes before anything is built."""
    kp_miniature.UNET_CHANNELS = WIDTH
    kp_miniature.TEXT_WIDTHS = {768: 2 * WIDTH, 1280: 3 * WIDTH}
    kp_checkpoint.TOKENS = VOCABULARY


def shrink() -> None:
    """Shrink SDXL as the miniature is, and its vocabulary."""
    _shrink()
    from library import sdxl_model_util

    config = sdxl_model_util.CLIPTextConfig

    def small(**options: Any) -> Any:
        return config(**{**options, "vocab_size": VOCABULARY})

    sdxl_model_util.CLIPTextConfig = small


_shrink = kp_miniature.shrink
if __name__ == "__main__":
    prepare()
    kp_miniature.shrink = shrink
    if sys.argv[1].startswith("--"):
        kp_checkpoint.main()
    else:
        kp_observed.main(shrink)
