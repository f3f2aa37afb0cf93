"""accelerate's config file: accelerate's own reader must make of it what is meant."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kohya_presets.training.spread import ALONE, Spread
from wrapper.planning import launcher

HELPER = Spread(gpus=4, machines=2, rank=1, address="10.0.0.1", port=4000)


def launched(tmp_path: Path, spread: Spread, train: dict[str, Any], *, cpu: bool = False) -> Any:
    """Return accelerate's arguments after it has read the file, as its launcher does."""
    commands = pytest.importorskip("accelerate.commands.launch", reason="accelerate is not here")
    file = tmp_path / "with spaces ü" / launcher.FILE
    file.parent.mkdir()
    file.write_text(launcher.config(spread, train), "utf-8")
    words = launcher.words(file, threads=2, cpu=cpu, spread=spread)
    arguments = commands.launch_command_parser().parse_args([*words, "script.py", "--seed=1"])
    found, *_ = commands._validate_launch_command(arguments)
    return found


@pytest.fixture(autouse=True)
def _somebodys_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # What `accelerate config` left on a machine, which must count for nothing.
    file = tmp_path / "default_config.yaml"
    file.write_text("distributed_type: DEEPSPEED\nnum_processes: 8\n", "utf-8")
    for module in ("accelerate.commands.launch", "accelerate.commands.config.config_args"):
        monkeypatch.setattr(f"{module}.default_config_file", str(file), raising=False)


def test_one_process_is_one_whatever_the_machine_s_default_says(tmp_path: Path) -> None:
    found = launched(tmp_path, ALONE, {"mixed_precision": "no"})
    assert not found.multi_gpu
    assert not found.use_deepspeed
    assert (found.num_processes, found.num_machines) == (1, 1)
    assert found.mixed_precision == "no"
    assert found.num_cpu_threads_per_process == 2


def test_several_gpus_of_one_machine(tmp_path: Path) -> None:
    found = launched(tmp_path, Spread(gpus=4, port=29501), {"mixed_precision": "bf16"})
    assert found.multi_gpu
    assert (found.num_processes, found.num_machines, found.main_process_port) == (4, 1, 29501)
    assert found.mixed_precision == "bf16"


def test_several_machines(tmp_path: Path) -> None:
    found = launched(tmp_path, HELPER, {"mixed_precision": "fp16"})
    assert found.multi_gpu
    assert (found.num_processes, found.num_machines, found.machine_rank) == (8, 2, 1)
    assert (found.main_process_ip, found.main_process_port) == ("10.0.0.1", 4000)


def test_deepspeed_is_told_to_the_launcher_too(tmp_path: Path) -> None:
    train = {
        "deepspeed": True,
        "zero_stage": 3,
        "offload_optimizer_device": "cpu",
        "gradient_accumulation_steps": 2,
        "mixed_precision": "bf16",
    }
    found = launched(tmp_path, Spread(gpus=2), train)
    assert found.use_deepspeed
    assert (found.zero_stage, found.offload_optimizer_device) == (3, "cpu")
    assert found.gradient_accumulation_steps == 2
    assert found.gradient_clipping == 1.0
    assert not found.zero3_init_flag


def test_several_on_a_cpu_are_started_as_if_on_gpus(tmp_path: Path) -> None:
    spread = Spread(gpus=2)
    found = launched(tmp_path, spread, {}, cpu=True)
    assert found.multi_gpu
    assert not found.cpu
    told = launcher.environ(cpu=True, spread=spread)
    assert told["ACCELERATE_USE_CPU"] == "true"
    assert launcher.environ(cpu=False, spread=spread) == {
        "TORCH_ELASTIC_SHUTDOWN_TIMEOUT": told["TORCH_ELASTIC_SHUTDOWN_TIMEOUT"]
    }
    assert launcher.environ(cpu=True, spread=ALONE) == {}


def test_one_on_a_cpu(tmp_path: Path) -> None:
    assert launched(tmp_path, ALONE, {}, cpu=True).cpu


def test_a_port_that_is_in_use_is_not_taken() -> None:
    import socket

    first = launcher.listening(Spread(gpus=2)).port
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as busy:
        busy.bind(("127.0.0.1", first))
        busy.listen()
        assert launcher.listening(Spread(gpus=2)).port != first
    assert launcher.listening(HELPER) == HELPER  # its port is agreed on
