"""What to do about each cause, with concrete settings of the preset at hand."""

from __future__ import annotations

import re
from collections.abc import Mapping

from kohya_presets.sdscripts import optimizers
from wrapper.system import sizes
from wrapper.watching import savings
from wrapper.watching.situation import Changes, Situation, options

Found = re.Match[str]  # what of the log was recognized
AGAIN = "Then continue with"
_PIP = {  # what pip calls a module
    "lion_pytorch": "lion-pytorch",
    "prodigy": "prodigyopt",
    "PIL": "pillow",
    "cv2": "opencv-python",
    "yaml": "PyYAML",
}
_WITHOUT: Mapping[str, Changes] = {  # what does without a module
    "xformers": {"train.xformers": "unset", "train.sdpa": True},
    "wandb": {"train.log_with": "tensorboard"},
}


def gpu_memory(at: Situation, _: Found) -> str:
    """Return the smallest change that saves GPU memory, and the next ones."""
    first = "Close other programs that use the GPU."
    if at.settings is None:
        return f"{first} Then train again with {options({'train.gradient_checkpointing': True})}."
    every = savings.of(at.settings, at.stage)
    if not every:
        return f"{first} The settings leave nothing to save: use a GPU with more memory."
    steps = [f"{options(saving.changes)} ({saving.why})" for saving in every]
    more = f" If that is not enough, also {'; then '.join(steps[1:])}." if steps[1:] else ""
    kept = "" if every[0].keeps_state else " No earlier state fits that: it starts from step 0."
    return f"{first} Then train again with {steps[0]}.{kept}{more}"


def doctor(at: Situation, _: Found) -> str:
    """Return how to look at driver, GPU and packages."""
    return f"Run `kohya-presets doctor`: it says what does not fit. {AGAIN} {at.resume}."


def newer_torch(_: Situation, __: Found) -> str:
    """Return how to get a torch for a new GPU."""
    return (
        "Use a torch that knows this GPU: `kohya-presets doctor` says which one is installed. A "
        "GPU of the RTX 50 series needs torch 2.7 or newer, built for CUDA 12.8. Give a Python "
        "that has it with --python."
    )


def driver(at: Situation, _: Found) -> str:
    """Return how to get a driver that fits."""
    return (
        "Update the NVIDIA driver, or on a rented machine choose one with a newer driver. "
        f"`kohya-presets doctor` shows what is installed. {AGAIN} {at.resume}."
    )


def hardware(at: Situation, _: Found) -> str:
    """Return what to do about a GPU that failed."""
    return (
        "Restart the machine, or on a rented one take another machine: `nvidia-smi` and `dmesg | "
        f"grep Xid` say more. {AGAIN} {at.resume}. If it happens again, the GPU is probably faulty "
        "or overclocked."
    )


def waits(at: Situation, _: Found) -> str:
    """Return what to do where processes waited too long for each other."""
    changes: dict[str, object] = {}
    if at.train("cache_latents") and not at.train("cache_latents_to_disk"):
        changes["train.cache_latents_to_disk"] = True
    if at.knows("ddp_timeout"):
        changes["train.ddp_timeout"] = 120  # minutes
    if not changes:
        return f"One process probably waited for another. Continue with {at.resume}."
    why = "The limit is 30 minutes, and caching latents of many images takes longer."
    return f"{why} Train again with {options(changes)}."


def bitsandbytes(at: Situation, found: Found) -> str:
    """Return how to install bitsandbytes, or do without."""
    return f"Install it again: {at.install('bitsandbytes')}.{_plain(at)}"


def xformers(at: Situation, _: Found) -> str:
    """Return attention without xformers."""
    if at.stage != "train":
        return doctor(at, _)
    return f"Use torch's own attention, as fast and small: {options(_WITHOUT['xformers'])}."


def package(at: Situation, found: Found) -> str:
    """Return how to install what is missing, or do without."""
    name = next(group for group in found.groups() if group).split(".")[0]
    pip = _PIP.get(name, _PIP.get(name.lower(), name))
    instead = _plain(at) if name in ("bitsandbytes", "lion_pytorch") else ""
    if changes := _WITHOUT.get(name):
        instead = f" Or do without: {options(changes)}."
    more = "`kohya-presets doctor` shows what else is missing."
    return f"Install it: {at.install(pip)}.{instead} {more}"


def numpy(at: Situation, _: Found) -> str:
    """Return how to get the older NumPy."""
    words = at.install("numpy<2")
    return f"Install the older NumPy: {words}. {AGAIN} {at.resume}."


def disk(at: Situation, _: Found) -> str:
    """Return how to get room, and how to need less of it."""
    free = f" ({sizes.said(at.free)} free)" if at.free is not None else ""
    changes: dict[str, object] = {}
    for unit in ("epochs", "steps"):
        saves = at.train(f"save_every_n_{unit}")
        if saves and not at.train(f"save_last_n_{unit}"):
            changes[f"train.save_last_n_{unit}"] = 1 if unit == "epochs" else saves
    fewer = (
        f" To need less, use {options(changes)}: older models are then deleted." if changes else ""
    )
    return f"Free some space on the disk of the run{free}. {AGAIN} {at.resume}.{fewer}"


def memory(at: Situation, _: Found | None = None) -> str:
    """Return how to need less main memory."""
    changes: dict[str, object] = {}
    workers = at.train("max_data_loader_n_workers")
    if at.settings is None or (isinstance(workers, int) and workers > 1):
        changes["train.max_data_loader_n_workers"] = 1
    if at.train("cache_latents") and not at.train("cache_latents_to_disk"):
        changes["train.cache_latents_to_disk"] = True
    less = f" To need less, use {options(changes)}." if changes and at.stage == "train" else ""
    first = "Close other programs, or use a machine with more main memory (RAM)."
    return f"{first}{less} {AGAIN} {at.resume}."


def paging(at: Situation, _: Found) -> str:
    """Return how to have more virtual memory on Windows."""
    first = (
        "Make the paging file larger: Windows settings, System, About, Advanced system settings."
    )
    return f"{first} {memory(at)}"


def shared_memory(at: Situation, _: Found) -> str:
    """Return how the data loader does without shared memory."""
    changes = options({"train.max_data_loader_n_workers": 0})
    return f"In Docker, start the container with --shm-size=8g. Or train again with {changes}."


def nan_latents(at: Situation, found: Found) -> str:
    """Return how to encode without NaN, or which image to look at."""
    if at.train("no_half_vae"):
        first = "The VAE works in fp32 already: look at the image, and replace it if it is damaged."
        return f"{first} {AGAIN} {at.resume}."
    change = options({"train.no_half_vae": True})
    return f"Train again with {change}: SDXL's own VAE overflows in fp16."


def nan_loss(at: Situation) -> str:
    """Return how to train without NaN, from before it began."""
    changes: dict[str, object] = {}
    if at.settings is not None and not at.train("no_half_vae"):
        changes["train.no_half_vae"] = True
    rates = at.settings.training.rates if at.settings else {}
    for rate in list(rates.values())[:1]:
        if isinstance(rate, float | int) and rate:
            changes["train.learning_rate"] = float(f"{rate / 2:.3g}")
    if at.train("mixed_precision") == "fp16":
        changes["train.mixed_precision"] = "bf16"
    if not changes:
        return "Use a lower learning rate."
    steps = [options({name: value}) for name, value in changes.items()]
    if steps[1:]:
        return f"Try one of these at a time, in this order: {', '.join(steps)}."
    return f"Train again with {steps[0]}."


def fp16_gradients(at: Situation, _: Found) -> str:
    """Return a precision that needs no scaling of gradients."""
    changes: dict[str, object] = {}
    if at.train("full_fp16"):
        changes["train.full_fp16"] = "unset"
    changes["train.mixed_precision"] = "bf16"
    return f"Train again with {options(changes)} (GPUs of the RTX 30 series and newer)."


def damaged(_: Situation, __: Found) -> str:
    """Return what to do about a weights file that cannot be read."""
    return "Download the file again, and compare its size with the one on its page."


def images(_: Situation, __: Found) -> str:
    """Return where sd-scripts looks for images."""
    return "Check the folder that you gave with --data."


def caption(_: Situation, __: Found) -> str:
    """Return what to do about an empty caption."""
    return "Write a caption into the file, or delete the file."


def options_of_release(_: Situation, __: Found) -> str:
    """Return how to compare a preset with a release."""
    return "Check the preset for this release: `kohya-presets validate PRESET --release TAG`."


def _plain(at: Situation) -> str:
    """Return the same optimizer without its package, as a sentence; "" if there is none."""
    name = at.settings.training.optimizer_name if at.settings else "AdamW8bit"
    known = optimizers.named(name)
    plain = known.plain if known else None
    if plain is None:
        return ""
    more = ", which needs more GPU memory" if "8bit" in name.lower() else ""
    return f" Or use {options({'train.optimizer_type': plain})}{more}."
