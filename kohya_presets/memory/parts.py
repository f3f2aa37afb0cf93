"""The GPU memory of each part of a training, from its settings and the facts.

See `estimate` for how the facts were measured, and how good they are.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from kohya_presets.training.settings import Settings
from kohya_presets.training.trained import PARTS

FACTS = Path(__file__).parent / "facts.json"
EMA_BYTES = 4  # for each trained weight: the patch keeps it in fp32
SIZE = (1024, 1024)  # where none is given, which sd-scripts refuses
CHUNK = 75  # tokens of a caption that a text encoder takes at once
EFFICIENT = ("mem_eff_attn", "xformers", "sdpa")  # they keep the same for backward


class Parts(NamedTuple):
    """The settings that memory depends on, in the words of the facts."""

    settings: Settings

    @property
    def trained(self) -> tuple[str, ...]:
        """The models that are trained, in the facts' order."""
        return self.settings.training.parts

    def train(self, option: str) -> Any:
        """Return a training option in effect."""
        return self.settings.train(option)

    @property
    def precision(self) -> str:
        """The facts' word for the dtypes: no, fp16, or full_fp16 where weights have it too."""
        full = next((key for key in ("full_fp16", "full_bf16") if self.train(key)), None)
        name = full or str(self.train("mixed_precision") or "no")
        return name.replace("bf16", "fp16")  # see `estimate`

    @property
    def width(self) -> int:
        """Bytes of a trained weight, and of its gradient."""
        return 2 if self.precision.startswith("full") else 4

    @property
    def frozen_width(self) -> int:
        """Bytes of any other weight."""
        return 4 if self.precision == "no" else 2

    @property
    def images(self) -> tuple[int, int]:
        """How many images a step has, and the pixels of each: no bucket has more than these."""
        width, height = self.settings.sides() or SIZE
        return int(self.settings.dataset("batch_size") or 1), width * height

    @property
    def fused(self) -> bool:
        """Whether the optimizer steps during the backward pass and frees each gradient at once."""
        return self.in_backward or bool(self.train("fused_optimizer_groups"))

    @property
    def in_backward(self) -> bool:
        """Whether each weight is stepped by itself during the backward pass.

        Over several batches, the patch fused-step keeps all gradients, as if it were not.
        """
        several = (self.train("gradient_accumulation_steps") or 1) > 1
        return bool(self.train("fused_backward_pass")) and not several

    @property
    def accumulates(self) -> bool:
        """Whether gradients are accumulated over several batches."""
        return (self.train("gradient_accumulation_steps") or 1) > 1 and not self.fused

    @property
    def checkpointing(self) -> str:
        """How the facts say whether activations are computed again, or kept."""
        return "on" if self.train("gradient_checkpointing") else "off"

    def weights(self) -> int:
        """Bytes of the models on the GPU, without the VAE."""
        kept = ("unet",) if self.train("cache_text_encoder_outputs") else PARTS
        own = self.trained
        return sum(
            facts()["parameters"][model] * (self.width if model in own else self.frozen_width)
            for model in kept
        )

    def numbers(self) -> int:
        """How many weights are trained."""
        return sum(facts()["trained"][model] for model in self.trained)

    def gradients(self) -> tuple[int, int]:
        """Bytes of all gradients, and of those that exist at the end of the U-Net's backward.

        Those of the text encoders come later, unless gradients are accumulated.
        """
        whole = self.numbers() * self.width
        if self.fused:
            return whole, round(self.shares()[0] * whole)
        if self.accumulates or "unet" not in self.trained:
            return whole, whole
        return whole, facts()["trained"]["unet"] * self.width

    def averaging(self) -> int:
        """Bytes of what several processes exchange: torch keeps the gradients a second time.

        Not where they are views of that (DistributedDataParallel's `gradient_as_bucket_view`).
        """
        alone = self.settings.processes == 1 or self.train("ddp_gradient_as_bucket_view")
        return 0 if alone else self.numbers() * self.width

    def ema(self) -> int:
        """Bytes of the average."""
        on_gpu = self.train("enable_ema") and self.train("ema_device") != "cpu"
        return EMA_BYTES * self.numbers() if on_gpu else 0

    def vae(self) -> tuple[int, int]:
        """Bytes of the VAE, and what it takes to make latents."""
        if self.train("cache_latents"):
            return 0, 0
        exact = self.train("no_half_vae") or self.precision == "no"
        work = _bytes(facts()["vae"]["float" if exact else "half"], *self.images)
        return facts()["parameters"]["vae"] * (4 if exact else 2), work

    def unet(self) -> tuple[int, int, int]:
        """Bytes of the U-Net's copies in half, and of its activations at most and late in backward.

        The first two exist together. Late in backward most gradients exist; the missing ones are
        subtracted.
        """
        precision = self.precision
        if "unet" not in self.trained and not precision.startswith(("full", "no")):
            precision = f"full_{precision}"  # a frozen one is in half precision
        wanted = () if self.train("diffusers_xformers") else EFFICIENT
        kind = "efficient" if any(self.train(option) for option in wanted) else "plain"
        row = facts()["unet"][precision][kind][self.checkpointing]
        top, late = (_bytes(row[part], *self.images) for part in ("top", "late"))
        return row["copies"], top, late

    def text(self) -> tuple[int, int]:
        """Bytes that wait for the text encoders' backward: copies of weights, and the rest."""
        text = facts()["text"][self.precision][self.checkpointing]
        rows = [text[model] for model in self.trained if model != "unet"]
        # As it is written: a file may have one that is no choice, which sd-scripts takes.
        tokens = self.settings.tables.get("train", {}).get("max_token_length")
        pieces = tokens // CHUNK if isinstance(tokens, int) else 1
        chunks = self.images[0] * max(1, pieces)
        return sum(row[0] for row in rows), chunks * sum(row[1] for row in rows)

    def shares(self) -> tuple[float, float]:
        """Which part of the gradients is there at once, and which part one step is for."""
        if groups := self.train("fused_optimizer_groups"):
            table = facts()["groups"]
            alive, whole = table[min(groups, len(table)) - 1]
            return alive, whole
        if self.in_backward and self.trained:
            largest = max(facts()["largest"][model] for model in self.trained)
            return largest / self.numbers(), 1.0
        return 1.0, 1.0


@functools.cache
def facts() -> dict[str, Any]:
    """Return what was measured, as the file has it."""
    found: dict[str, Any] = json.loads(FACTS.read_text(encoding="utf-8"))
    return found


def _bytes(factors: Sequence[float], batch: int, pixels: int) -> int:
    """Return what is linear in the batch, with the square of the pixels, by the facts' factors."""
    fixed, linear, square = factors
    return max(0, round(fixed + batch * (linear * pixels + square * pixels**2)))
