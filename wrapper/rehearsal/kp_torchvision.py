"""Run a script unchanged, beside a torchvision that this torch does not fit.

    python kp_torchvision.py SCRIPT ARGUMENTS...

PyPI's torchvision does not import beside a CPU build of torch, and sd-scripts imports it in every
script. Runs in the trainer's environment, with nothing of ours importable.
"""

from __future__ import annotations

import runpy
import sys
from pathlib import Path
from typing import Any

import torch


def repair_torchvision() -> None:
    """Let torchvision be imported beside a CPU build of torch that it was not compiled for.

    PyPI's torchvision expects operators of its own compiled part, which does not load there. The
    scripts use `torchvision.transforms` only, for which the operators' names are enough.
    """
    try:
        import torchvision
    except RuntimeError as error:
        if "torchvision::" not in str(error):
            raise
    else:
        return
    for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
        del sys.modules[name]
    operators = torch.library.Library("torchvision", "DEF")
    operators.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    operators.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    _kept.append(operators)  # the names vanish with the object
    import torchvision  # noqa: F401


_kept: list[Any] = []


if __name__ == "__main__":
    script = Path(sys.argv[1]).absolute()
    sys.argv = [str(script), *sys.argv[2:]]
    sys.path[0] = str(script.parent)
    repair_torchvision()
    runpy.run_path(str(script), run_name="__main__")
