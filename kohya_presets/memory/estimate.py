"""The GPU memory that a full fine-tune of SDXL takes: arithmetic over measured numbers.

Measured by `tools/memory/measure.py` without a GPU, on sd-scripts v0.10.1: its own modules in full
size, their forward and backward and the steps of the real optimizers, with tensors that hold no
data. It counts the bytes requested from torch's allocator.

- Exact: weights, gradients, the average, and the state and work space of known optimizers.
- Fitted, to 0.2 GiB in seven sizes from 512x512 to 1024x1024 and 3 images: half copies, the VAE's
  work, activations. A whole step with text encoders, measured at once, agrees within 1 %
  (tests/upstream/test_memory_facts.py).
- Assumed: xformers as sdpa (mem_eff_attn was measured and keeps what sdpa keeps), bf16 as
  fp16, which with plain attention takes 0.3 GiB less for an image of 1024x1024.
- Modeled: 1 GiB for CUDA's context and the work space of its libraries.
- Several GPUs: each holds all of it, and the gradients once more for the exchange (from torch's
  documentation of DistributedDataParallel; not measured).
- Not counted: fragmentation of the allocator, sample images, torch.compile.

No GPU was used. Measurements of others agree: with Adafactor, fused_backward_pass and the
U-Net alone 16.4 GB in fp32 and 10 all in bf16 (sd-scripts' pull request 1259; its README says 17),
here 17.0 and 9.8 (15.8 and 9.1 GiB). In mixed precision, 24 GB are enough for Adafactor and not for
AdamW8bit (its train_SDXL-en.md), here 21.3 and 25.3 GiB.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from kohya_presets.memory import parts as memory_parts
from kohya_presets.memory import states
from kohya_presets.memory.parts import Parts
from kohya_presets.memory.states import Cost
from kohya_presets.presets.preset import Preset
from kohya_presets.problems import Place, Problem
from kohya_presets.toml import text as toml_text
from kohya_presets.training.settings import Settings

SCRIPT = "sdxl_train.py"
GIB = 2**30
OVERHEAD = GIB  # modeled: CUDA's context, and the work space of cuDNN and cuBLAS
PARTS = (
    "weights",
    "gradients",
    "exchange",
    "optimizer state",
    "EMA",
    "VAE",
    "half copies",
    "activations",
    "work space",
    "overhead",
)
CODES = ("memory-preset", "memory-gpu")
SMALL = GIB // 20  # bytes; smaller parts are not mentioned
SAVINGS: tuple[tuple[str, Any], ...] = (  # settings to suggest, the least harmful first
    ("ddp_gradient_as_bucket_view", True),
    ("ema_device", "cpu"),
    ("sdpa", True),
    ("gradient_checkpointing", True),
    ("optimizer_type", "AdamW8bit"),
)


class Moment(NamedTuple):
    """The contents of GPU memory at one moment of a training step: bytes by part."""

    name: str
    parts: Mapping[str, int]

    @property
    def total(self) -> int:
        """All of it, in bytes."""
        return sum(self.parts.values())


class Estimate(NamedTuple):
    """The moments of a training step that may need the most; as text, a table in GiB."""

    moments: tuple[Moment, ...]
    notes: tuple[str, ...] = ()

    @property
    def peak(self) -> Moment:
        """The moment that needs the most."""
        return max(self.moments, key=lambda moment: moment.total)

    @property
    def parts(self) -> Mapping[str, int]:
        """Bytes by part at the peak."""
        return self.peak.parts

    @property
    def total(self) -> int:
        """Bytes of GPU memory that the training needs."""
        return self.peak.total

    def __str__(self) -> str:
        used = [part for part in PARTS if any(m.parts.get(part) for m in self.moments)]
        rows = [(part, [_gib(m.parts.get(part, 0)) for m in self.moments]) for part in used]
        rows = [("GiB", [m.name for m in self.moments]), *rows]
        rows.append(("total", [_gib(m.total) for m in self.moments]))
        lines = [f"{name:<16}" + "".join(f"{cell:>10}" for cell in cells) for name, cells in rows]
        return "\n".join((*lines, *self.notes))


def of(settings: Settings) -> Estimate | None:
    """Return what `sdxl_train.py` needs with these settings; None for another script."""
    if settings.script != SCRIPT:
        return None
    parts = Parts(settings)
    half = parts.precision.startswith("full")
    kahan = half and bool(settings.train("kahan_summation"))
    rounding = kahan or (half and bool(settings.train("stochastic_rounding")))
    cost = states.cost(
        settings.training,
        memory_parts.facts(),
        half=half,
        alone=parts.in_backward,
        rounding=rounding,
        kahan=kahan,
    )
    notes = [cost.note] if cost.note else []
    if settings.train("deepspeed"):
        notes.append("not counted: DeepSpeed moves parts of this to other GPUs or to main memory")
    return Estimate(tuple(_moments(parts, cost)), tuple(notes))


def summary(found: Estimate, meant: float | None = None) -> str:
    """Return the peak in one line, with the GiB that a preset is meant for."""
    parts = sorted(found.parts.items(), key=lambda part: -part[1])
    largest = ", ".join(f"{name} {_gib(size)}" for name, size in parts if size >= SMALL)
    limit = f" of {meant:g}" if meant else ""
    return f"GPU memory: about {_gib(found.total)}{limit} GiB ({largest})"


def problems(
    preset: Preset, settings: Settings, gpu_gib: float | None, found: Estimate | None = None
) -> Iterator[Problem]:
    """Yield a warning if `preset` needs more than its vram_gib, or more than the GPU has.

    `found` is the estimate, if the caller has made it.
    """
    found = found or of(settings)
    if found is None or settings.train("deepspeed"):
        return
    needed = found.total / GIB
    limits = (preset.vram_gib, f"{preset.name} is made for"), (gpu_gib, "the GPU has")
    for code, (limit, whose) in zip(CODES, limits, strict=True):
        if limit is not None and needed > limit:
            need = f"training needs about {needed:.1f} GiB of GPU memory"
            message = f"{need}, but {whose} {limit:g} GiB"
            hint = _saving(settings, needed, limit)
            yield Problem(code, "warning", Place(preset.file), message, hint)


def _moments(parts: Parts, cost: Cost) -> Iterator[Moment]:
    vae, image_work = parts.vae()
    always = {
        "weights": parts.weights(),
        "exchange": parts.averaging(),
        "optimizer state": cost.state,
        "EMA": parts.ema(),
        "VAE": vae,
        "overhead": OVERHEAD,
    }
    gradients, late_gradients = parts.gradients()
    before = {**always, "gradients": gradients if parts.accumulates else 0}
    (unet_copies, top, late), (copies, text) = parts.unet(), parts.text()
    work = round(parts.shares()[1] * cost.work)
    yield Moment("image", {**before, "work space": image_work})
    yield Moment(
        "forward", {**before, "half copies": unet_copies + copies, "activations": top + text}
    )
    backward = {"gradients": late_gradients, "half copies": copies, "activations": late + text}
    if parts.fused:  # the optimizer steps during backward
        yield Moment("backward", {**always, **backward, "work space": work})
    else:
        yield Moment("backward", {**always, **backward})
        yield Moment("step", {**always, "gradients": gradients, "work space": work})


def _saving(settings: Settings, needed: float, limit: float) -> str | None:
    """Return a hint with the first setting that is enough, or else the one that helps most."""
    found = []
    for option, value in SAVINGS:
        train = {**settings.tables["train"], option: value}
        changed = of(replace(settings, tables={**settings.tables, "train": train}))
        saved = changed.total / GIB if changed else needed
        if saved < needed - 0.1:
            found.append((saved > limit, saved if saved > limit else 0, option, value, saved))
    if not found:
        return None
    _, _, option, value, saved = min(found, key=lambda choice: choice[:2])
    text = toml_text.value_text(value)
    return f"Use --set train.{option}={text}: it then needs {saved:.1f} GiB."


def _gib(size: int) -> str:
    return f"{size / GIB:.1f}"
