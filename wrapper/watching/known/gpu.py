"""Failures of the GPU, its memory, its driver and its libraries."""

from __future__ import annotations

from wrapper.watching import remedies
from wrapper.watching.known.signature import Signature

_GPU_MEMORY = "the GPU ran out of memory"
_FAULT = "the GPU or its driver failed"
_SIZES = (
    r"CUDA out of memory\. Tried to allocate (?P<asked>[\d.]+ [KMG]iB).*?"
    r"(?:total capacity of |GPU \d; )(?P<total>[\d.]+ [KMG]iB)"
)
EVERY: tuple[Signature, ...] = (
    Signature(
        "gpu-memory",
        _SIZES,
        _GPU_MEMORY + ": it has {total}, and another {asked} were needed",
        "the model, its gradients, the optimizer's state and one step do not fit into it",
        remedies.gpu_memory,
        "kohya_ss 3300; sd-scripts 648, 725",
    ),
    Signature(
        "gpu-memory",
        r"(?:CUDA|HIP) out of memory|OutOfMemoryError|CUDA error: out of memory"
        r"|CUBLAS_STATUS_ALLOC_FAILED when calling",
        _GPU_MEMORY,
        "the model, its gradients, the optimizer's state and one step do not fit into it",
        remedies.gpu_memory,
        "composer's trainer; JoePenna 37",
    ),
    Signature(
        "gpu-memory",
        r"CUDNN_STATUS_NOT_SUPPORTED\. This error may appear if you passed in a non-contiguous",
        f"{_GPU_MEMORY}, as cuDNN says it",
        "cuDNN found no room to work in",
        remedies.gpu_memory,
        "composer's trainer",
    ),
    Signature(
        "cudnn",
        r"cuDNN error: CUDNN_STATUS_(?:NOT_INITIALIZED|EXECUTION_FAILED|INTERNAL_ERROR)",
        "cuDNN failed",
        "too little free GPU memory, or a driver that does not fit",
        remedies.gpu_memory,
        "sd-scripts 602; kohya_ss 1442",
    ),
    Signature(
        "gpu-too-new",
        r"no kernel image is available for execution on the device",
        "this torch has no code for this GPU",
        "the GPU is newer (or much older) than torch",
        remedies.newer_torch,
        "pytorch 167244",
    ),
    Signature(
        "gpu-too-new",
        r"with CUDA capability sm_\d+ is not compatible with the current PyTorch installation",
        "this torch has no code for this GPU",
        "the GPU is newer than torch",
        remedies.newer_torch,
        "kohya_ss 3096, 3159",
        explains="CUDA|cuBLAS|CUBLAS|cuDNN",
    ),
    Signature(
        "driver",
        r"The NVIDIA driver on your system is too old "
        r"\(found version (?P<major>\d\d)0(?P<minor>\d)0\)",
        "the NVIDIA driver is too old for this torch (it supports CUDA {major}.{minor})",
        "torch is newer than the driver",
        remedies.driver,
        "Fooocus 1313",
    ),
    Signature(
        "driver",
        r"CUDA driver version is insufficient for CUDA runtime version",
        "the NVIDIA driver is too old for this torch",
        "torch is newer than the driver",
        remedies.driver,
        "lora-scripts 101",
    ),
    Signature(
        "gpu-ecc",
        r"uncorrectable ECC error encountered",
        "the GPU's memory is faulty (an uncorrectable ECC error)",
        "the hardware",
        remedies.hardware,
        "sd-scripts 1434",
    ),
    Signature(
        "gpu-lost",
        r"Unable to determine the device handle for GPU|GPU is lost\.? *Reboot the system"
        r"|has fallen off the bus",
        "the machine has lost its GPU (it fell off the bus)",
        "the GPU overheated, its power supply is too weak, or it is faulty",
        remedies.hardware,
        "returnn 1486",
    ),
    Signature(
        "gpu-fault",
        r"CUDA error: unspecified launch failure|an illegal memory access was encountered",
        _FAULT,
        "an overclocked or faulty GPU, or a fault of the driver",
        remedies.hardware,
        "pytorch 74235; mmdetection 7991",
    ),
    Signature(
        "nccl-timeout",
        r"Watchdog caught collective operation timeout: WorkNCCL\(",
        "the processes on the GPUs waited too long for each other",
        "one of them was busy (caching latents took over 30 minutes), or had died",
        remedies.waits,
        "sd-scripts 971",
    ),
    Signature(
        "nccl",
        r"NCCL error|ncclUnhandledCudaError|ncclSystemError|ncclInternalError",
        "the GPUs could not talk to each other (NCCL)",
        "a driver that does not fit, or a container that has too little shared memory",
        remedies.doctor,
        "torch's ProcessGroupNCCL",
    ),
)
