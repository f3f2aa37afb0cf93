from __future__ import annotations

import pytest

from wrapper.runs import failures


@pytest.mark.parametrize(
    ("line", "word"),
    [
        ("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate", "gradient_checkpointing"),
        ("OSError: [Errno 28] No space left on device", "disk is full"),
        ("No data found. Please verify arguments", "--data"),
        ("ImportError: No bitsandbytes", "bitsandbytes"),
        ("ModuleNotFoundError: No module named 'einops'", "doctor"),
        (
            "x: Error while finding module (ModuleNotFoundError: No module named 'accelerate')",
            "doctor",
        ),
        ("No module named 'triton'", "doctor"),
        ("sdxl_train.py: error: unrecognized arguments: --enable_ema", "option"),
        ("AssertionError: caption file is empty: a.txt", "caption"),
    ],
)
def test_a_known_sign_gets_its_advice(line: str, word: str) -> None:
    assert word in (failures.advise(["before", line, "after"]) or "")


def test_an_unknown_failure_gets_none() -> None:
    assert failures.advise(["ValueError: something new"]) is None


def test_a_package_that_another_can_do_without_is_no_advice() -> None:
    noise = "WARNING Failed to load CPU gemm_4bit_forward: No module named 'kernels'"
    assert failures.advise([noise, "ValueError: Seed must be between 0 and 2**32 - 1"]) is None


def test_the_trainers_own_error_counts_and_not_the_launchers() -> None:
    tail = [
        "Traceback (most recent call last):",
        "ValueError: too many values",
        "steps: 0%|",
        "subprocess.CalledProcessError: Command '[...]' returned non-zero exit status 1.",
    ]
    assert failures.last_words(tail) == "ValueError: too many values"
    assert failures.last_words(["a", "b "]) == "b"
    assert failures.last_words([]) == "it printed nothing"
