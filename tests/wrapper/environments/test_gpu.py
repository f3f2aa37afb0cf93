"""What nvidia-smi answers, by a stand-in on the PATH: there is no GPU where the tests run."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from wrapper.environments import gpu

pytestmark = pytest.mark.skipif(os.name != "posix", reason="a shell script stands in")


def answers(folder: Path, monkeypatch: pytest.MonkeyPatch, text: str, code: int = 0) -> None:
    file = folder / "bin" / "nvidia-smi"
    file.parent.mkdir()
    file.write_text(f"#!/bin/sh\ncat <<'E'\n{text}\nE\nexit {code}\n")
    file.chmod(file.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{file.parent}{os.pathsep}{os.environ['PATH']}")


@pytest.mark.parametrize(
    ("said", "memory"),
    [
        ("2048, 8192\n1, 2", (2048.0, 8192.0)),  # of the first of two
        ("[N/A], 8192", None),
        ("Failed to initialize NVML", None),
        ("", None),
    ],
)
def test_memory_is_that_of_the_first_gpu(
    said: str,
    memory: tuple[float, float] | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answers(tmp_path, monkeypatch, said)
    assert gpu.memory() == memory


def test_load_says_what_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answers(tmp_path, monkeypatch, "61440, 81920, 65, [N/A]")
    assert gpu.load() == "GPU 60 of 80 GiB 65 °C"


def test_without_nvidia_smi_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert gpu.memory() is None
    assert gpu.load() == ""
