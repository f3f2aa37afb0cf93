"""Disk and main memory, files that are damaged, and data that training cannot use."""

from __future__ import annotations

from wrapper.watching import remedies
from wrapper.watching.known.signature import Signature

_DISK = "the disk is full"
EVERY: tuple[Signature, ...] = (
    Signature(
        "disk-full",
        r"StorageFull|\(os error 28\)|\[Errno 28\]|No space left on device|\[WinError 112\]",
        _DISK,
        "models and states of this run, or other files on that disk",
        remedies.disk,
        "safetensors 0.4.5 and newer, Python",
    ),
    Signature(
        "disk-full",
        r"\[Errno 122\]|Disk quota exceeded",
        "your share of the disk is used up (disk quota)",
        "models and states of this run, or other files of yours",
        remedies.disk,
        "Python",
    ),
    Signature(
        "disk-full",
        r"unexpected pos \d+ vs \d+|PytorchStreamWriter failed writing file",
        f"torch could not write a file to its end: {_DISK}, probably",
        "torch says so of a full disk, without a word of space",
        remedies.disk,
        "torch 2.13; h2o-llmstudio 214",
    ),
    Signature(
        "shared-memory",
        r"is killed by signal: Bus error|insufficient shared memory \(shm\)",
        "the data loader's processes ran out of shared memory",
        "a container has 64 MB of it, unless it is given more",
        remedies.shared_memory,
        "GDR-Net 16",
    ),
    Signature(
        "paging-file",
        r"\[WinError 1455\]",
        "Windows ran out of virtual memory",
        "the paging file is too small",
        remedies.paging,
        "KAIR 127",
    ),
    Signature(
        "memory",
        r"DefaultCPUAllocator: (?:can't allocate|not enough) memory|\[Errno 12\]|MemoryError",
        "the machine ran out of main memory (RAM)",
        "the model, the data loader's processes and cached latents do not fit into it",
        remedies.memory,
        "torch",
    ),
    Signature(
        "nan-latents",
        r"NaN detected in latents: ?(?P<file>.*?)(?: steps:|$)",
        "the VAE made NaN of an image: {file}",
        "the VAE works in fp16, or the image is damaged",
        remedies.nan_latents,
        "sd-scripts 653",
    ),
    Signature(
        "fp16-gradients",
        r"Attempting to unscale FP16 gradients",
        "the gradients are in fp16, which mixed precision cannot scale",
        "weights in fp16 are trained with mixed_precision fp16",
        remedies.fp16_gradients,
        "torch's grad_scaler",
    ),
    Signature(
        "damaged-file",
        r"HeaderTooSmall",
        "a weights file is empty",
        "its download or copy failed",
        remedies.damaged,
        "safetensors",
    ),
    Signature(
        "damaged-file",
        r"HeaderTooLarge",
        "a file is not a weights file",
        "a web page was saved in its place, perhaps one that asks for a login",
        remedies.damaged,
        "safetensors",
    ),
    Signature(
        "damaged-file",
        r"MetadataIncompleteBuffer|InvalidHeader",
        "a weights file is damaged or cut short",
        "its download or copy was interrupted",
        remedies.damaged,
        "safetensors",
    ),
    Signature(
        "no-images",
        r"No data found|画像がありません",
        "sd-scripts found no images",
        "the folder has none, or only of kinds that sd-scripts does not read",
        remedies.images,
        "train_util.py",
    ),
    Signature(
        "empty-caption",
        r"caption file is empty: ?(?P<file>\S*)",
        "a caption file is empty: {file}",
        "",
        remedies.caption,
        "train_util.py",
    ),
)
