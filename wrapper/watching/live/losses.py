"""The loss of a training: NaN or infinite for many steps, or always the same.

The bar of sd-scripts shows an average over the epoch with three digits. One NaN stays in it for
good (`LossRecorder` of v0.8.0 and newer adds and takes away), and a healthy average shows the same
three digits for hundreds of steps. So sameness is judged by exact losses only, which TensorBoard's
event file has for every step, and a NaN of the bar only where one NaN spoils the weights.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from wrapper.watching import remedies
from wrapper.watching.findings import Finding, Stop
from wrapper.watching.situation import Situation

# torchtitan and OneTrainer stop at the first; a single damaged image or, with fp16, a step that the
# gradient scaler leaves out, is survived. Ten in a row are not.
BAD_STEPS = 10
# Every step has its own images, noise and time steps: two equal losses in fp32 are rare, and twenty
# in a row do not happen.
SAME_STEPS = 20


class Losses:
    """Takes the loss of each step; finds what ends a training."""

    def __init__(self, at: Callable[[], Situation]) -> None:
        self._at = at
        self._exact, self._shown = _InARow(), _InARow()
        self._last: float | None = None
        self._same, self._same_since = 1, 0
        self._told: set[str] = set()

    def exact(self, step: int, loss: float) -> list[Finding]:
        """Take a step's own loss; a step comes several times with gradient accumulation."""
        if self._exact.count(step, bad=not math.isfinite(loss)) >= BAD_STEPS:
            return self._bad(self._exact.since)
        equal = loss == self._last
        self._same = self._same + 1 if equal else 1
        self._same_since = self._same_since if equal else step
        self._last = loss
        steps = step - self._same_since + 1
        if min(self._same, steps) >= SAME_STEPS and self._is_new("same-loss"):
            return [Finding(_same(self._at(), loss, self._same_since), "end")]
        return []

    def average(self, step: int, loss: float) -> list[Finding]:
        """Take the average that the bar shows."""
        if self._shown.count(step, bad=not math.isfinite(loss)) < BAD_STEPS:
            return []
        at = self._at()
        # The scaler of fp16 leaves out a step with NaN; every other precision takes it.
        if at.settings is not None and at.train("mixed_precision") != "fp16":
            return self._bad(self._shown.since)
        return [Finding(_perhaps(self._shown.since))] if self._is_new("nan-average") else []

    def _bad(self, since: int) -> list[Finding]:
        return [Finding(_nan(self._at(), since), "end")] if self._is_new("nan-loss") else []

    def _is_new(self, code: str) -> bool:
        fresh = code not in self._told
        self._told.add(code)
        return fresh


class _InARow:
    """How many steps in a row were bad, and since which one."""

    def __init__(self) -> None:
        self.since, self._steps, self._last = 0, 0, -1

    def count(self, step: int, *, bad: bool) -> int:
        if bad and step != self._last:
            self.since = self.since if self._steps else step
            self._steps, self._last = self._steps + 1, step
        elif not bad and step != self._last:
            self._steps, self._last = 0, -1
        return self._steps


def _nan(at: Situation, since: int) -> Stop:
    return Stop(
        "nan-loss",
        f"the loss is NaN or infinite since step {since}; training was stopped and nothing more "
        "saved, because its weights are spoiled",
        "the learning rate is too high for the precision, or the VAE or the U-Net overflows in "
        "fp16",
        remedies.nan_loss(at),
        at.newest(before=since),
    )


def _perhaps(since: int) -> Stop:
    return Stop(
        "nan-average",
        f"the average loss is NaN since step {since}",
        "a loss was NaN. With mixed_precision fp16 such a step is left out, and the average that "
        "sd-scripts shows stays NaN although training goes on",
        "Look at the loss of each step in TensorBoard (logs/tensorboard of the run).",
    )


def _same(at: Situation, loss: float, since: int) -> Stop:
    return Stop(
        "same-loss",
        f"the loss is exactly {loss:g} at every step since step {since}: nothing is learned",
        "the model gives the same answer to everything, or a mask hides every image",
        "Look at the images and their alpha masks; with masked_loss, --set "
        "train.masked_loss=unset. Otherwise use a lower learning rate."
        if at.train("masked_loss")
        else f"Are the images all of one color? {remedies.nan_loss(at)}",
        at.newest(before=since),
    )
