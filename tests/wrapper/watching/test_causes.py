"""Each cause in the exact words of its source, between what a log has around them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from kohya_presets.training.settings import Settings
from tests.wrapper.watching import healthy
from wrapper.watching import causes, log_end
from wrapper.watching.findings import Kept
from wrapper.watching.situation import Situation

PLAIN = Settings({"train": {"optimizer_type": "AdamW", "learning_rate": 1e-6}, "dataset": {}})
AT = Situation(PLAIN, run=Path("runs/korra"), python="/env/bin/python")
LAUNCHER = (
    "steps:  42%|████▏     | 5/12 [00:01<00:01,  4.05it/s, avr_loss=0.986]",
    "Traceback (most recent call last):",
    '  File "<frozen runpy>", line 198, in _run_module_as_main',
    "subprocess.CalledProcessError: Command '['/env/bin/python', 'sdxl_train.py']' returned "
    "non-zero exit status 1.",
)

# Each of facts/failures.md: the words, the code of the answer, what the answer must name.
SAID: tuple[tuple[str, str, str], ...] = (
    (
        "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 20.00 MiB. GPU 0 has a "
        "total capacity of 23.65 GiB of which 13.38 MiB is free.",
        "gpu-memory",
        "--set train.gradient_checkpointing=true",
    ),
    (
        "torch.cuda.OutOfMemoryError: CUDA out of memory. Tried to allocate 20.00 MiB (GPU 0; "
        "11.76 GiB total capacity; 9.43 GiB already allocated)",
        "gpu-memory",
        "11.76 GiB",
    ),
    ("RuntimeError: CUDA error: out of memory", "gpu-memory", "--set train"),
    (
        "RuntimeError: cuDNN error: CUDNN_STATUS_NOT_SUPPORTED. This error may appear if you "
        "passed in a non-contiguous input.",
        "gpu-memory",
        "--set train.gradient_checkpointing=true",
    ),
    (
        "RuntimeError: CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
        "gpu-memory",
        "--set train",
    ),
    ("RuntimeError: cuDNN error: CUDNN_STATUS_NOT_INITIALIZED", "cudnn", "--set train"),
    ("RuntimeError: cuDNN error: CUDNN_STATUS_EXECUTION_FAILED", "cudnn", "--set train"),
    (
        "RuntimeError: CUDA error: no kernel image is available for execution on the device\n"
        "CUDA kernel errors might be asynchronously reported at some other API call",
        "gpu-too-new",
        "--python",
    ),
    (
        "RuntimeError: The NVIDIA driver on your system is too old (found version 11040). Please "
        "update your GPU driver",
        "driver",
        "CUDA 11.4",
    ),
    (
        "RuntimeError: cuda runtime error (35) : CUDA driver version is insufficient for CUDA "
        "runtime version",
        "driver",
        "doctor",
    ),
    ("RuntimeError: CUDA error: unspecified launch failure", "gpu-fault", "Xid"),
    (
        "RuntimeError: CUDA error: an illegal memory access was encountered",
        "gpu-fault",
        "kohya-presets resume runs/korra",
    ),
    (
        "RuntimeError: CUDA error: uncorrectable ECC error encountered",
        "gpu-ecc",
        "another machine",
    ),
    (
        "RuntimeError: \n        CUDA Setup failed despite GPU being available. Please run the "
        "following command to get more information:",
        "bitsandbytes",
        "pip install bitsandbytes",
    ),
    (
        "RuntimeError: CUDA Setup failed despite CUDA being available.",
        "bitsandbytes",
        "pip install bitsandbytes",
    ),
    (
        "NotImplementedError: No operator found for `memory_efficient_attention_forward` with "
        "inputs:\n     query       : shape=(1, 4096, 10, 64) (torch.float16)",
        "xformers",
        "--set train.xformers=unset and --set train.sdpa=true",
    ),
    (
        "ImportError: No lion_pytorch / lion_pytorch がインストールされていないようです",
        "package",
        "/env/bin/python -m pip install lion-pytorch",
    ),
    (
        "ImportError: No bitsandbytes / bitsandbytesがインストールされていないようです",
        "package",
        "pip install bitsandbytes",
    ),
    (
        "ImportError: No dadaptation / dadaptation がインストールされていないようです",
        "package",
        "pip install dadaptation",
    ),
    (
        "ImportError: No Prodigy / Prodigy がインストールされていないようです",
        "package",
        "pip install prodigyopt",
    ),
    (
        "ImportError: No schedulefree / schedulefreeがインストールされていないようです",
        "package",
        "pip install schedulefree",
    ),
    (
        "ImportError: No xformers / xformersがインストールされていないようです",
        "package",
        "--set train.xformers=unset and --set train.sdpa=true",
    ),
    (
        "ImportError: No wandb / wandb がインストールされていないようです",
        "package",
        "--set train.log_with=tensorboard",
    ),
    ("ModuleNotFoundError: No module named 'einops'", "package", "pip install einops"),
    ("RuntimeError: Numpy is not available", "numpy", "numpy<2"),
    (
        "safetensors_rust.SafetensorError: Error while serializing: IoError(Os { code: 28, kind: "
        'StorageFull, message: "No space left on device" })',
        "disk-full",
        "Free some space",
    ),
    (
        "safetensors_rust.SafetensorError: Error while serializing: I/O error: No space left on "
        "device (os error 28)",
        "disk-full",
        "Free some space",
    ),
    (
        "RuntimeError: [enforce fail at inline_container.cc:672] . unexpected pos 576 vs 534",
        "disk-full",
        "Free some space",
    ),
    (
        "RuntimeError: PytorchStreamWriter failed writing file data/12: file write failed",
        "disk-full",
        "Free some space",
    ),
    ("OSError: [Errno 28] No space left on device", "disk-full", "resume runs/korra"),
    ("OSError: [Errno 122] Disk quota exceeded", "disk-full", "resume runs/korra"),
    (
        "RuntimeError: [enforce fail at alloc_cpu.cpp:117] err == 0. DefaultCPUAllocator: can't "
        "allocate memory: you tried to allocate 13271040000 bytes. Error code 12 (Cannot allocate "
        "memory)",
        "memory",
        "--set train.max_data_loader_n_workers=1",
    ),
    (
        "OSError: [WinError 1455] The paging file is too small for this operation to complete.",
        "paging-file",
        "paging file",
    ),
    (
        "RuntimeError: DataLoader worker (pid 4171) is killed by signal: Bus error. It is possible "
        "that dataloader's workers are out of shared memory.",
        "shared-memory",
        "--set train.max_data_loader_n_workers=0",
    ),
    (
        "RuntimeError: NaN detected in latents: /data/korra/07 (2).png",
        "nan-latents",
        "--set train.no_half_vae=true",
    ),
    (
        "ValueError: Attempting to unscale FP16 gradients.",
        "fp16-gradients",
        "--set train.mixed_precision=bf16",
    ),
    (
        "safetensors_rust.SafetensorError: Error while deserializing header: HeaderTooSmall",
        "damaged-file",
        "again",
    ),
    (
        "safetensors_rust.SafetensorError: Error while deserializing header: HeaderTooLarge",
        "damaged-file",
        "web page",
    ),
    (
        "safetensors_rust.SafetensorError: Error while deserializing header: "
        "MetadataIncompleteBuffer",
        "damaged-file",
        "cut short",
    ),
    ("AssertionError: caption file is empty: a.txt", "empty-caption", "a.txt"),
)
# Said by no exception of Python.
SAID_OTHERWISE = (
    (
        "[rank0]:[E ProcessGroupNCCL.cpp:523] [Rank 0] Watchdog caught collective operation "
        "timeout: WorkNCCL(SeqNum=3, OpType=ALLREDUCE, Timeout(ms)=1800000) ran for 1800124 "
        "milliseconds before timing out.",
        "nccl-timeout",
        "--set train.ddp_timeout=120",
    ),
    (
        "Unable to determine the device handle for GPU 0000:0A:00.0: GPU is lost. Reboot the "
        "system to recover this GPU",
        "gpu-lost",
        "Restart the machine",
    ),
    (
        "Could not find the bitsandbytes CUDA binary at PosixPath('/env/lib/libbitsandbytes.so')",
        "bitsandbytes",
        "pip install bitsandbytes",
    ),
    ("ERROR: Unexpected bus error encountered in worker. This might be caused by insufficient "
     "shared memory (shm).", "shared-memory", "--shm-size"),
    ("sdxl_train.py: error: unrecognized arguments: --enable_ema", "options", "validate"),
    ("No data found. Please verify arguments (train_data_dir must be the parent)", "no-images",
     "--data"),
    ("/env/bin/python: No module named accelerate.commands.launch", "package", "accelerate"),
)  # fmt: skip
# Warnings that explain an exception, and that exception.
EXPLAINED = (
    (
        "UserWarning: \nNVIDIA GeForce RTX 5090 with CUDA capability sm_120 is not compatible with "
        "the current PyTorch installation.",
        "RuntimeError: CUDA error: invalid device function",
        "gpu-too-new",
    ),
    (
        "WARNING[XFORMERS]: xFormers can't load C++/CUDA extensions. xFormers was built for:\n"
        "    PyTorch 2.1.0+cu121 with CUDA 1201 (you have 2.0.1+cu118)",
        "AttributeError: module 'xformers' has no attribute 'ops'",
        "xformers",
    ),
    (
        "A module that was compiled using NumPy 1.x cannot be run in\nNumPy 2.0.1 as it may crash.",
        "ImportError: numpy.core.umath failed to import",
        "numpy",
    ),
)


def log(*said: str, before: Sequence[str] = healthy.START) -> list[str]:
    """Return a log that ends with an exception: its message, then the launcher's own."""
    raised = ["Traceback (most recent call last):", '  File "sdxl_train.py", line 800, in train']
    return log_end.split("\n".join([*before, *raised, *said, *LAUNCHER]))


@pytest.mark.parametrize(("words", "code", "named"), SAID)
def test_the_words_of_an_exception_get_their_answer(words: str, code: str, named: str) -> None:
    stop = causes.of(log(words), AT)
    assert stop is not None
    assert stop.code == code
    assert named in f"{stop} {stop.hint}"


@pytest.mark.parametrize(("words", "code", "named"), SAID_OTHERWISE)
def test_so_do_words_without_an_exception(words: str, code: str, named: str) -> None:
    stop = causes.of([*healthy.START, words, *LAUNCHER[:1]], AT)
    assert stop is not None
    assert stop.code == code
    assert named in f"{stop} {stop.hint}"


@pytest.mark.parametrize(("warning", "raised", "code"), EXPLAINED)
def test_a_warning_explains_an_exception_of_its_kind_alone(
    warning: str, raised: str, code: str
) -> None:
    before = [*warning.split("\n"), *healthy.START]
    assert getattr(causes.of(log(raised, before=before), AT), "code", None) == code
    assert causes.of(log("ValueError: something new", before=before), AT) is None


def test_every_signature_was_tried() -> None:
    tried = {code for _, code, _ in (*SAID, *SAID_OTHERWISE, *EXPLAINED)}
    assert tried >= {known.code for known in causes.SIGNATURES} - {"nccl", "transformers"}


@pytest.mark.parametrize("words", [words for words, _, _ in (*SAID, *SAID_OTHERWISE)])
def test_what_training_went_on_after_is_no_answer(words: str) -> None:
    """A package prints the exception of another that it does without; the run died of another."""
    survived = log(words)[: -len(LAUNCHER)]
    assert causes.of([*survived, *healthy.START, *healthy.STEPS]) is None
    assert causes.of(log("ValueError: something new", before=survived)) is None


@pytest.mark.parametrize("name", healthy.LOGS)
def test_a_healthy_log_gets_no_answer(name: str) -> None:
    lines = healthy.read(name)
    for end in range(0, len(lines), 3):
        stop = causes.of(lines[:end])
        assert stop is None, lines[max(0, end - 3) : end]
    assert causes.of(lines) is None


def test_an_exception_of_an_exception_is_read_with_it() -> None:
    lines = log(
        "OSError: [Errno 28] No space left on device",
        "During handling of the above exception, another exception occurred:",
        "Traceback (most recent call last):",
        "RuntimeError: could not finish",
    )
    assert getattr(causes.of(lines), "code", None) == "disk-full"


def test_a_message_that_a_narrow_log_wrapped_is_read() -> None:
    lines = log("OutOfMemoryError: CUDA out of memory. Tried to", "allocate 20.00 MiB")
    assert getattr(causes.of(lines), "code", None) == "gpu-memory"


def test_an_answer_names_the_newest_whole_state() -> None:
    states = (Kept(Path("s/20"), 20), Kept(Path("s/60"), 60), Kept(Path("s/40"), 40))
    stop = causes.of(log("OSError: [Errno 28] No space left on device"), replace(AT, states=states))
    assert stop is not None
    assert stop.state == states[1]
    assert "newest whole state: step 60" in str(stop)


def test_what_is_on_already_is_not_proposed() -> None:
    on = {"gradient_checkpointing": True, "no_half_vae": True, "sdpa": True}
    made = replace(PLAIN, tables={**PLAIN.tables, "train": {**PLAIN.tables["train"], **on}})
    at = replace(AT, settings=made)
    stop = causes.of(log("torch.OutOfMemoryError: CUDA out of memory."), at)
    assert stop is not None
    assert "gradient_checkpointing" not in stop.hint
    assert "--set train.optimizer_type=AdamW8bit" in stop.hint
    stop = causes.of(log("RuntimeError: NaN detected in latents: a.png"), at)
    assert stop is not None
    assert "no_half_vae" not in stop.hint


def test_the_trainers_own_error_counts_and_not_the_launchers() -> None:
    assert log_end.words(log("ValueError: too many values")) == "ValueError: too many values"
    assert log_end.words(["a", "b "]) == "b"
    assert log_end.words([]) == "it printed nothing"
    died = f"subprocess.CalledProcessError: Command '{['x' * 400]}' died with <Signals.SIGKILL: 9>."
    assert log_end.words(["a", died]) == "the trainer was killed (SIGKILL)"
    assert log_end.words(LAUNCHER) == "the trainer ended with exit code 1"
