"""Logs of trainings that went well, real ones among them, and parts of them."""

from __future__ import annotations

from pathlib import Path

from wrapper.watching import log_end

FOLDER = Path(__file__).parent / "logs"
LOGS = tuple(sorted(file.name for file in FOLDER.glob("*.log")))

# What trainers print at their start, and go on after: of several releases and machines.
START = (
    "2024-02-03 10:11:12.131415: I tensorflow/core/util/port.cc:113] oneDNN custom operations on",
    "WARNING[XFORMERS]: Need to compile C++ extensions to use sparse attention suport. Please run "
    "python setup.py build develop",
    "A matching Triton is not available, some optimizations will not be enabled.",
    "Error caught was: No module named 'triton'",
    "Failed to load CPU gemm_4bit_forward from kernels-community: No module named 'kernels'. "
    "Please make sure you already `pip install kernels` and the kernels >= 0.11.1",
    "WARNING:xformers:xformers is not installed",
    "/env/bitsandbytes/cextension.py:34: UserWarning: The installed version of bitsandbytes was "
    "compiled without GPU support. 8-bit optimizers, 8-bit multiplication are unavailable.",
    "'NoneType' object has no attribute 'cadam32bit_grad_fp32'",
    "UserWarning: Can't initialize NVML",
    "2026-11-26 15:15:17 INFO     Loading settings from config.toml...      train_util.py:4744",
    "                    WARNING  no regularization images                  train_util.py:2164",
    "caching latents.",
    "checking cache validity...",
    "  0%|          | 0/6 [00:00<?, ?it/s]",
    "100%|██████████| 6/6 [00:00<00:00, 45100.04it/s]",
    "NaN found in latents, replacing with zeros",
    "steps:   0%|          | 0/12 [00:00<?, ?it/s]",
)  # fmt: skip
STEPS = tuple(
    f"steps:  50%|█████     | {step}/12 [00:01<00:01,  4.11it/s, avr_loss=0.{step:03}]"
    for step in range(1, 13)
)


def read(name: str) -> list[str]:
    """Return the lines of a log."""
    return log_end.split((FOLDER / name).read_text("utf-8"))
